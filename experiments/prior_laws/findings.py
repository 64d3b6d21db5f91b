"""Tables 13 and 14 beside ours."""

from experiments.reading import rows
from experiments.summary import Finding

_PAPER = {
    "Table 13": ".17 / .31 / .24 / 3.95 / .32 (means over four targets)",
    "Table 14": ".19 / 1.16 (means over four targets)",
}
_LAWS = {
    "Table 13": ("additive-fixed-nd", "ye-m1", "ye-m2", "ye-m3", "ye-m4"),
    "Table 14": ("additive-fixed-n", "ge"),
}


def findings(results):
    """Mean over targets of the median error over draws, on unseen mixtures."""
    made = rows(results / "comparison.csv")
    keys = dict.fromkeys((r["paper"], r["table"], r["mixtures"]) for r in made)
    return [_found(made, *key) for key in sorted(keys)]


def _found(made, paper, table, mixtures):
    own = [r for r in made if (r["paper"], r["table"], r["mixtures"]) == (paper, table, mixtures)]
    errors, beaten = {}, {}
    for law in _LAWS[paper]:
        of_law = [r for r in own if r["law"] == law]
        errors[law] = _mean(of_law, "unseen_median")
        beaten[law] = _mean(of_law, "additive_lower")
    ours = " / ".join("-" if e is None else f"{e:.2f}" for e in errors.values()) + "%"
    others = {law: share for law, share in beaten.items() if not law.startswith("additive")}
    if errors[_LAWS[paper][0]] is not None:
        wins = ", ".join(f"{n} in {s:.0%}" for n, s in others.items() if s is not None)
        ours += f"; the additive law has the lower error than {wins} of the draws"
    laws = "additive / M1 / M2 / M3 / M4 of Ye" if paper == "Table 13" else "additive / Ge"
    what = f"{table}, {mixtures} mixtures fitted: error on unseen ones, {laws}"
    return Finding(paper, what, _PAPER[paper], ours, _why(errors))


def _mean(found, column):
    values = [float(r[column]) for r in found]
    values = [v for v in values if v == v]
    return sum(values) / len(values) if values else None


def _why(errors):
    first = next(iter(errors))
    if errors[first] is None:
        return "Fewer mixtures than the 35 parameters that the additive law and M1 have here."
    better = [n for n, e in errors.items() if e is not None and e < errors[first]]
    if not better:
        return ""
    return f"Few mixtures for the additive law's parameters; lower errors: {', '.join(better)}."
