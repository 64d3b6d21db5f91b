"""Findings of the nested laws, from the result files."""

import pathlib

import pandas as pd

from experiments.summary import Finding

LAWS = ("additive", "joint", "nested")
WITH_M1 = "nested(mixtures=ye-m1)"
UNSEEN = "unseen mixtures"


def findings(results: pathlib.Path) -> list[Finding]:
    """What the tables say."""
    scores = pd.read_csv(results / "scores.csv")
    mixed = pd.read_csv(results / "mixture_laws.csv")
    cases = scores.groupby(["table", "case"], sort=False)
    return [
        *(_case(table, case, rows) for (table, case), rows in cases),
        *(_implicit(table, rows) for table, rows in mixed.groupby("table", sort=False)),
    ]


def _case(table: str, case: str, rows: pd.DataFrame) -> Finding:
    """Means over the losses; medians over rows where whole mixtures are held out."""
    which = "median" if case == UNSEEN else "mre"
    errors = rows.groupby("law")[which].mean()
    ours = ", ".join(f"{law} {errors[law]:.2f}%" for law in LAWS)
    shared = errors[errors.index.str.startswith("nested") & ~errors.index.str.contains("mixtures=")]
    ours += f" (ways to share exponents: {shared.min():.2f}% to {shared.max():.2f}%)"
    if WITH_M1 in errors:
        ours += f", nested with M1 {errors[WITH_M1]:.2f}%"
    sizes = "70M-305M to 410M" if table == "RedPajama" else "four sizes to a larger one"
    paper = "a 1B model is predicted from 70M to 410M" if case == "larger" else "no such split"
    return Finding(
        "Ye et al., nested laws",
        f"{table}, {sizes if case == 'larger' else case}: "
        f"{'median' if case == UNSEEN else 'mean'} relative error, same rows for all",
        paper,
        ours,
        _why(case, rows, errors),
    )


def _why(case: str, rows: pd.DataFrame, errors: pd.Series) -> str:
    best = errors[list(LAWS)].idxmin()
    if case == UNSEEN:
        means = rows.groupby("law")["mre"].mean()
        said = ", ".join(f"{law} {_percent(means[law])}" for law in LAWS)
        return f"means over rows, which a few mixtures set: {said}"
    return "" if best == "nested" else f"the {best} law predicts these rows best"


def _implicit(table: str, rows: pd.DataFrame) -> Finding:
    ours = ", ".join(
        f"{law} {_percent(median)} (mean {_percent(mean)})"
        for law, median, mean in rows[["law", "unseen_median", "unseen_mre"]].itertuples(
            index=False
        )
    )
    return Finding(
        "Ye et al., implicit domains",
        f"{table}: median relative error on mixtures that were not fitted, one N and D",
        "the domains of a validation set need not be known",
        ours,
        "",
    )


def _percent(value: float) -> str:
    return f"{value:.2f}%" if value < 1000 else f"{value:.0e}%"
