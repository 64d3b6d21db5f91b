"""Figure 2 beside ours."""

from experiments.reading import rows
from experiments.summary import Finding

_WHAT = "objective (6) of eq. (5) after as many local solves, median over trials"
_PAPER = "basin-hopping with L-BFGS reaches a low value in far fewer solves than random restarts"


def findings(results):
    """One line for every table that was fitted."""
    made = rows(results / "figure2.csv")
    names = list(dict.fromkeys(r["table"] for r in made))
    return [_found(name, [r for r in made if r["table"] == name]) for name in names]


def _found(name, made):
    curves = {
        m: [r for r in made if r["method"] == m] for m in dict.fromkeys(r["method"] for r in made)
    }
    hopped = len(curves["basin-hopping, L-BFGS"])
    default = next(m for m in curves if "default" in m)
    shown = ("random restarts, L-BFGS", "basin-hopping, L-BFGS", default)
    ours = [f"after {hopped} solves", *(f"{m} {_value(curves[m][hopped - 1])}" for m in shown)]
    best = min(float(r["median"]) for r in made)
    ours.append(f"lowest median {1e5 * best:.4f}e-5")
    hops, random = (
        float(curves[m][hopped - 1]["median"])
        for m in ("basin-hopping, L-BFGS", "random restarts, L-BFGS")
    )
    why = ""
    if hops > random:
        why = "A chain stays near the basin that it began in; restarts see many."
    return Finding("Figure 2", f"{name}: {_WHAT}", _PAPER, "; ".join(ours), why)


def _value(row):
    return f"{1e5 * float(row['median']):.4f}e-5"
