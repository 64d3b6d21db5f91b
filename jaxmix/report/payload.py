"""What the page's scripts are given: the rows to draw and the laws to compute with."""

from typing import Any

import numpy as np

from jaxmix.fitting import FittedLaws
from jaxmix.laws import LAWS
from jaxmix.mixtures.solve.lanes import make_starts
from jaxmix.report.contents import Report
from jaxmix.report.limits import page_limits
from jaxmix.report.markup import embed

# Laws that assets/laws.js computes; for other laws the page has no sliders.
PAGE_LAWS = (
    "chinchilla", "additive", "joint", "simple", "full", "additive-fixed-nd", "additive-fixed-n",
    "effective", "effective-fixed-nd", "effective-fixed-n", "effective-fixed-d",
    "ye-m1", "ye-m2", "ye-m3", "ye-m4", "ge",
)  # fmt: skip
_SIDE = 80  # cells on a side
_MOST_HULL = 600  # mixtures whose hull the page measures distances to


def why_no_sliders(report: Report) -> str | None:
    """Why the page cannot compute other budgets itself; None if it can."""
    law, best = report.laws.law, report.optimum
    if law.name not in PAGE_LAWS or LAWS.get(law.name) != law:
        return f"the {law.name} law is not one of those that the page can compute"
    if best and best.worst_case:
        return "the page cannot minimize the worst case of the targets"
    return None


def model(report: Report) -> dict[str, Any] | None:
    """The laws in full precision; None if the page cannot compute them."""
    if why_no_sliders(report):
        return None
    laws, best, k = report.laws, report.optimum, len(report.laws.domains)
    convex = best is None or best.proven
    count = 1 if convex else max(8, k + 4)
    return {
        "law": laws.law.name,
        "uses": laws.inputs,
        "domains": report.laws.domains,
        "convex": convex,
        "starts": make_starts(np.zeros(k), np.ones(k), count, 0) if k else np.zeros((1, 0)),
        "targets": [{"name": f.target, "params": {**f.params, **_own(f.own_domain)}} for f in laws],
        "range": {
            "n": [max(f.data.n_params[0] for f in laws), min(f.data.n_params[1] for f in laws)],
            "d": [max(f.data.tokens[0] for f in laws), min(f.data.tokens[1] for f in laws)],
        },
        "hull": hull_points(report),
        "baselines": [{"name": n, "weights": h} for n, h in report.baselines.items()],
        "n": report.n_params if np.isfinite(report.n_params) else 1e300,
        "d": report.tokens if np.isfinite(report.tokens) else 1e300,
        "targetWeights": list(report.target_weights.values()),
        "best": best.h if best else None,
        "limits": page_limits(best) if best else None,
    }


def _own(index: int | None) -> dict[str, int]:
    return {} if index is None else {"own": index}


def _counted(report: Report) -> FittedLaws:
    """The laws of the targets that count."""
    return report.optimum.counted.laws if report.optimum else report.laws


def hull_points(report: Report) -> np.ndarray:
    """The distinct mixtures of the first target that counts, or none if there are too many."""
    mixtures = _counted(report)[0].data.mixtures
    return mixtures if len(mixtures) <= _MOST_HULL else np.zeros((0, len(report.laws.domains)))


def rows(report: Report) -> dict[str, Any]:
    """The rows to draw; mixtures once each, and an index of them."""
    table = report.rows.table
    mixtures, index = np.unique(np.round(report.mixtures, 5), axis=0, return_inverse=True)
    return {
        "n": table.n_params,
        "d": table.tokens,
        "fitted": report.rows.fitted.astype(int),
        "mixture": index.ravel(),
        "mixtures": mixtures,
        "observed": report.observed,
        "predicted": report.predicted,
    }


def proposal(report: Report) -> dict[str, Any] | None:
    """h*, its confidence set, and what it is compared with."""
    best, sure = report.optimum, report.uncertainty
    if best is None:
        return None
    intervals = [sure.intervals[d] for d in best.domains] if sure else None
    cloud = sure.refit_optima[np.isfinite(sure.refit_optima).all(1)][:300] if sure else []
    inside = sure.contains(ternary_grid()) if sure and len(best.domains) == 3 else None
    return {
        "weights": best.h,
        "low": intervals and [i.low for i in intervals],
        "high": intervals and [i.high for i in intervals],
        "cloud": cloud,
        "baselines": [{"name": n, "weights": h} for n, h in report.baselines.items()],
        "ternary": None if inside is None else {"side": _SIDE, "inside": np.flatnonzero(inside)},
        "run": hull_points(report),
    }


def recommended(report: Report) -> dict[str, Any] | None:
    """The recommended mixture within the weights that were run, and what it is compared with."""
    found = report.recommendation
    if found is None:
        return None
    others = {"law alone": found.law_optimum.h, **found.baselines}
    support = _counted(report).support
    return {
        "weights": found.h,
        "low": None if support is None else support.low,
        "high": None if support is None else support.high,
        "cloud": [],
        "baselines": [{"name": n, "weights": h} for n, h in others.items()],
    }


def ternary_grid(side: int = _SIDE) -> np.ndarray:
    """Centers of the upward and downward cells of a triangle, [side^2, 3], row by row."""
    up = [(i, j) for i in range(side) for j in range(side - i)]
    down = [(i, j) for i in range(side - 1) for j in range(side - 1 - i)]
    points = [
        ((i + a) / side, (j + a) / side) for a, c in ((1 / 3, up), (2 / 3, down)) for i, j in c
    ]
    first = np.array(points)
    return np.column_stack([first, 1.0 - first.sum(1)])


def path(report: Report) -> dict[str, Any] | None:
    """h* over sizes."""
    if not report.path:
        return None
    seen = min(f.data.n_params[1] for f in report.laws)
    return {
        "n": [best.n_params for best in report.path],
        "weights": [best.h for best in report.path],
        "seen": seen,
    }


def payload(report: Report) -> dict[str, str]:
    """JSON by the id of the script element that holds it."""
    drawn = {
        "domains": report.laws.domains,
        "targets": report.laws.targets,
        "rows": rows(report),
        "proposal": proposal(report),
        "recommended": recommended(report),
        "path": path(report),
    }
    return {"report-data": embed(drawn, 6), "report-model": embed(model(report))}
