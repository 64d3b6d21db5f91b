"""What the page's scripts are given: the rows to draw and the laws to compute with."""

from typing import Any

import numpy as np

from jaxmix.laws import LAWS
from jaxmix.mixtures.solve.lanes import make_starts
from jaxmix.report.contents import Report

# Laws that assets/laws.js computes; a law of one's own is shown without the interactive part.
PAGE_LAWS = (
    "chinchilla", "additive", "joint", "simple", "full", "additive-fixed-nd", "additive-fixed-n",
    "ye-m1", "ye-m2", "ye-m3", "ye-m4", "ge",
)  # fmt: skip
_TERNARY = 80  # cells on a side
_MOST_HULL = 600  # mixtures whose hull the page measures distances to


def interactive(report: Report) -> bool:
    """Whether the page can compute the law itself."""
    law = report.laws[0].law
    return law.name in PAGE_LAWS and LAWS.get(law.name) == law


def model(report: Report) -> dict[str, Any] | None:
    """The laws in full precision; None where the page cannot compute them."""
    if not interactive(report):
        return None
    laws, k = report.laws, len(report.domains)
    convex = report.optimum is None or report.optimum.proven
    count = 1 if convex else max(8, k + 4)
    starts = make_starts(np.zeros(k), np.ones(k), count, 0) if k else np.zeros((1, 0))
    return {
        "law": laws[0].law.name,
        "uses": [i.name for i in laws[0].law.inputs],
        "domains": report.domains,
        "convex": convex,
        "starts": starts,
        "targets": [{"name": f.target, "params": {**f.params, **_own(f.own_domain)}} for f in laws],
        "range": {
            "n": [max(f.data.n_params[0] for f in laws), min(f.data.n_params[1] for f in laws)],
            "d": [max(f.data.tokens[0] for f in laws), min(f.data.tokens[1] for f in laws)],
        },
        "hull": hull_points(report),
        "baselines": [{"name": n, "weights": h} for n, h in report.baselines.items()],
        "n": report.n_params if np.isfinite(report.n_params) else 1e300,
        "d": report.tokens if np.isfinite(report.tokens) else 1e300,
        "targetWeights": [report.target_weights[t] for t in report.targets],
    }


def _own(index: int | None) -> dict[str, int]:
    return {} if index is None else {"own": index}


def hull_points(report: Report) -> np.ndarray:
    """The distinct mixtures of the first target, or none where there are too many."""
    mixtures = report.laws[0].data.mixtures
    return mixtures if len(mixtures) <= _MOST_HULL else np.zeros((0, len(report.domains)))


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
    best, sure = report.optimum, report.trust
    if best is None:
        return None
    intervals = sure.intervals if sure else {}
    return {
        "weights": best.weights,
        "low": [intervals[d].low for d in best.domains] if sure else None,
        "high": [intervals[d].high for d in best.domains] if sure else None,
        "cloud": _finite(sure.weights)[:300] if sure else [],
        "baselines": [{"name": n, "weights": h} for n, h in report.baselines.items()],
        "ternary": _ternary(report) if sure and len(best.domains) == 3 else None,
        "run": hull_points(report),
    }


def _finite(weights: np.ndarray) -> np.ndarray:
    return weights[np.isfinite(weights).all(1)]


def ternary_grid(side: int = _TERNARY) -> np.ndarray:
    """Centers of the upward and downward cells of a triangle, [side^2, 3], row by row."""
    up = [(i, j) for i in range(side) for j in range(side - i)]
    down = [(i, j) for i in range(side - 1) for j in range(side - 1 - i)]
    points = [
        ((i + a) / side, (j + a) / side) for a, c in ((1 / 3, up), (2 / 3, down)) for i, j in c
    ]
    first = np.array(points)
    return np.column_stack([first, 1.0 - first.sum(1)])


def _ternary(report: Report) -> dict[str, Any]:
    assert report.trust is not None
    inside = report.trust.contains(ternary_grid())
    return {"side": _TERNARY, "inside": np.flatnonzero(inside)}


def path(report: Report) -> dict[str, Any] | None:
    """h* over sizes."""
    if report.path is None:
        return None
    seen = min(f.data.n_params[1] for f in report.laws)
    return {"n": report.path.n_params, "weights": report.path.weights, "seen": seen}


def payload(report: Report) -> dict[str, str]:
    """JSON by the id of the script element that holds it."""
    from jaxmix.report.markup import embed

    drawn = {
        "domains": report.domains,
        "targets": report.targets,
        "uses": [i.name for i in report.laws[0].law.inputs],
        "rows": rows(report),
        "proposal": proposal(report),
        "path": path(report),
    }
    return {"report-data": embed(drawn, 6), "report-model": embed(model(report))}
