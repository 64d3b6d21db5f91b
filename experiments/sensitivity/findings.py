"""What came out of derivatives against refits, and of slopes against their checks."""

import pathlib

import pandas as pd

from experiments.summary import Finding


def findings(results: pathlib.Path) -> list[Finding]:
    """Agreement of predicted with refitted changes, and of slopes with their checks."""
    agreement = pd.read_csv(results / "agreement.csv")
    noise = pd.read_csv(results / "noise.csv").set_index(["study", "law", "delta", "unit"])[
        "equally_good"
    ]
    slopes = pd.read_csv(results / "slopes.csv")
    recovery = pd.read_csv(results / "recovery.csv")
    found = []
    for (study, law), rows in agreement[agreement["unit"] == "mixture"].groupby(
        ["study", "law"], sort=False
    ):
        for delta, some in rows.groupby("delta"):
            found.append(
                Finding(
                    "Equations 6 and 7",
                    f"{study}, {law} law, Huber threshold {delta:g}: change of h* without a "
                    "mixture, predicted against refits",
                    "-",
                    _agreement(some),
                    _why(some, float(noise.loc[(study, law, delta, "mixture")])),
                )
            )
    for study, rows in slopes[slopes["at"] == "uniform"].groupby("study", sort=False):
        found.append(
            Finding(
                "Equation 5",
                f"{study}: slope of each target's loss towards each domain",
                "-",
                _slopes(rows),
            )
        )
    found.append(
        Finding("Equation 5", "the same in a simulated study, slopes known", "-", _known(recovery))
    )
    return found


def _known(rows: pd.DataFrame) -> str:
    inside = (rows["low"] <= rows["true"]) & (rows["true"] <= rows["high"])
    same = (rows["without"] > 0) == (rows["guess"] > 0)
    return (
        f"correlation {rows['slope'].corr(rows['true']):.3f}; {inside.sum()} of {len(rows)} in the "
        f"90% intervals; sign of the change without a domain right for {same.sum()}, rank "
        f"correlation {rows['without'].corr(rows['guess'], method='spearman'):.2f}"
    )


def _why(rows: pd.DataFrame, apart: float) -> str:
    """Where even a second search does not foresee the first."""
    rows = rows[(rows["of"] == "weights") & (rows["predicted"] == "again")]
    if rows.empty or rows["correlation"].item() > 0.8:
        return ""
    return (
        "two searches without a mixture end in basins of nearly the same objective but other "
        f"optima; those of equally good fits of all rows lie up to {apart:.2g} away"
    )


def _agreement(rows: pd.DataFrame) -> str:
    rows = rows[rows["of"] == "weights"].set_index(["predicted", "compared_with"])

    def said(predicted: str, compared_with: str) -> str:
        row = rows.loc[(predicted, compared_with)]
        return f"{row['correlation']:.2f}, {row['slope']:.2f}"

    text = "correlation and slope, in the same basin: derivatives "
    text += f"{said('derivative', 'tenth')} if a tenth of its weight is taken, "
    text += f"{said('derivative', 'same')} without it; steps downhill {said('steps', 'same')}"
    if ("again", "search") in rows.index:
        text += f"; fresh searches: derivatives {said('derivative', 'search')}, steps "
        text += f"{said('steps', 'search')}, a second search {said('again', 'search')}"
    return text


def _slopes(rows: pd.DataFrame) -> str:
    clear = (rows["low"] > 0) | (rows["high"] < 0)
    apart = ((rows["slope"] - rows["difference"]).abs() / rows["slope"].abs()).max()
    text = f"{clear.sum()} of {len(rows)} differ from 0; finite differences "
    text += f"within {apart:.0e} of them" if apart else "the same in six digits"
    measured = rows.dropna(subset=["measured"])
    if len(measured):
        same = (measured["slope"] > 0) == (measured["measured"] > 0)
        text += (
            f"; sign as measured from uniform to near the domain alone for {same.sum()} of "
            f"{len(measured)}, correlation {measured['slope'].corr(measured['measured']):.2f}"
        )
    return text
