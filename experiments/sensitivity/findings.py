"""What came out of derivatives against refits, and of slopes against their checks."""

import pathlib

import pandas as pd
from findings import Finding


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
    inside = (recovery["low"] <= recovery["true"]) & (recovery["true"] <= recovery["high"])
    found.append(
        Finding(
            "Equation 5",
            "the same in a simulated study with known slopes",
            "-",
            f"correlation {recovery['slope'].corr(recovery['true']):.3f}; "
            f"{inside.sum()} of {len(recovery)} in the 90% intervals; loss without a domain "
            "against the slope's guess: correlation "
            f"{recovery['without'].corr(recovery['guess']):.2f}",
        )
    )
    return found


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
    text = f"{clear.sum()} of {len(rows)} differ from 0; finite differences within "
    text += f"{(rows['slope'] - rows['difference']).abs().max():.0e}"
    measured = rows.dropna(subset=["measured"])
    if len(measured):
        same = (measured["slope"] > 0) == (measured["measured"] > 0)
        text += (
            f"; sign as measured from uniform to near the domain alone for {same.sum()} of "
            f"{len(measured)}, correlation {measured['slope'].corr(measured['measured']):.2f}"
        )
    return text
