"""What came out of derivatives against refits, and of slopes against their checks."""

import pathlib

import pandas as pd

from experiments.summary import Finding


def findings(results: pathlib.Path) -> list[Finding]:
    """Agreement of predicted with refitted changes, and of slopes with their checks."""
    agreement = pd.read_csv(results / "agreement.csv")
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
                    "mixture, derivatives against refits",
                    "-",
                    _agreement(some),
                    _why(some),
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


def _why(rows: pd.DataFrame) -> str:
    gradient = rows["largest_gradient"].max()
    if gradient > 1e-6:
        return f"a fit has directions so flat that it is not stationary (gradient {gradient:.0e})"
    out = rows[(rows["of"] == "weights") & (rows["kept"] == 0.0)]
    if out["correlation"].min() < 0.85:
        return "a whole mixture is beyond the linear range: kinks, weights at 0, other basins"
    return ""


def _agreement(rows: pd.DataFrame) -> str:
    rows = rows[rows["of"] == "weights"].set_index(["kept", "basin"])
    little = rows.loc[(0.9, "same")]
    text = f"a tenth of its weight taken: correlation {little['correlation']:.2f}, slope "
    text += f"{little['slope']:.2f}"
    for basin, what in (("same", "left out"), ("best", "in the best basin")):
        if (0.0, basin) in rows.index:
            row = rows.loc[(0.0, basin)]
            text += f"; {what}: {row['correlation']:.2f}, {row['slope']:.2f}, sign right "
            text += f"{row['same_sign']:.0%}"
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
