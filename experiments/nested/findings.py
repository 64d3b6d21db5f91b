"""Findings of the nested laws, from the result files."""

import pathlib

import pandas as pd
from findings import Finding

NESTED = "nested"


def findings(results: pathlib.Path) -> list[Finding]:
    """What the tables say."""
    scores = pd.read_csv(results / "scores.csv")
    means = scores.groupby(["table", "case", "law"])["mre"].mean()
    mixed = pd.read_csv(results / "mixture_laws.csv")
    found = []
    for table in dict.fromkeys(scores["table"]):
        sizes = "70M-305M to 410M" if table == "RedPajama" else "four sizes to a larger one"
        for case in dict.fromkeys(scores["case"]):
            text = sizes if case == "larger" else case
            found.append(_case(table, case, text, means[table][case]))
    return [*found, *(_implicit(t, mixed[mixed["table"] == t]) for t in mixed["table"].unique())]


def _case(table: str, case: str, text: str, errors: pd.Series) -> Finding:
    laws = ("additive", "joint", NESTED)
    ours = ", ".join(f"{law} {errors[law]:.2f}%" for law in laws)
    variants = errors[[name for name in errors.index if name.startswith("nested")]]
    ours += f"; other ways to share exponents {variants.min():.2f}% to {variants.max():.2f}%"
    paper = "a 1B model predicted from 70M to 410M" if case == "larger" else "no such split"
    best = errors[list(laws)].idxmin()
    return Finding(
        "Ye et al., nested laws",
        f"{table}, {text}: mean relative error on the same rows",
        paper,
        ours,
        f"the {best} law errs least of the three here" if best != NESTED else "",
    )


def _implicit(table: str, rows: pd.DataFrame) -> Finding:
    ours = ", ".join(
        f"{r.law} {r.unseen_mre:.2f}%" for r in rows.sort_values("unseen_mre").itertuples()
    )
    return Finding(
        "Ye et al., implicit domains",
        f"{table}: mean relative error on mixtures that were not fitted, one N and D",
        "the domains of a validation set need not be known",
        ours,
        "",
    )
