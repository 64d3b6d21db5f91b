"""What the page's scripts are given: the rows to draw and the laws to compute with."""

from typing import Any

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting import FittedLaws
from jaxmix.fitting.portable import portable_laws
from jaxmix.report.contents import Report
from jaxmix.report.findings import objective_name
from jaxmix.report.limits import page_limits
from jaxmix.report.markup import embed

_SIDE = 80  # cells on a side
_MOST_RUN = 600  # mixtures whose dots the page draws
_PLACES = 5  # decimals of weights in tables of optima


def steps_of(report: Report) -> tuple[dict[str, Any] | None, str]:
    """The laws as steps that the page runs, or None and the reason why there are none."""
    inputs = {"n_params": report.n_params, "tokens": report.tokens}
    inputs |= report.optimum.inputs if report.optimum else {}
    try:
        return portable_laws(report.laws, inputs), ""
    except JaxmixError as error:
        return None, f"{str(error)[0].upper()}{str(error)[1:]}, which the page cannot compute"


def model(report: Report) -> dict[str, Any]:
    """What the sliders need: the laws' steps in full precision, tables of optima, and limits."""
    laws, best = report.laws, report.supported
    steps, _ = steps_of(report)
    support = _counted(report).support
    compared = report.compared.items()
    return {
        "steps": steps and spelled(steps),
        "reads": [name for name in ("n_params", "tokens") if laws.law.reads(name)],
        "domains": laws.domains,
        "targets": laws.targets,
        "n": _finite(report.n_params),
        "d": _finite(report.tokens),
        "range": {
            "n": [max(f.data.n_params[0] for f in laws), min(f.data.n_params[1] for f in laws)],
            "d": [max(f.data.tokens[0] for f in laws), min(f.data.tokens[1] for f in laws)],
        },
        "targetWeights": list(report.target_weights.values()),
        "objective": {"name": objective_name(report), "worst": best.worst_case if best else None},
        "proposed": report.proposed,
        "best": best.h if best else None,
        "baselines": [{"name": n, "weights": h} for n, h in compared],
        "least": support.low if support else None,
        "most": support.high if support else None,
        "run": hull_points(report),
        "limits": page_limits(best) if best else None,
        "surface": _surface(report),
        "curves": [
            {
                "domain": laws.domains.index(curve.domain),
                "limit": curve.limit,
                "weights": np.round(curve.weights, _PLACES),
                "rough": curve.rough.astype(int),
            }
            for curve in report.curves
        ],
    }


def _surface(report: Report) -> dict[str, Any] | None:
    made = report.surface
    if made is None:
        return None
    weights, rough = np.round(made.weights, _PLACES), made.rough.astype(int)
    return {"n": made.n_params, "d": made.tokens, "weights": weights, "rough": rough}


def _finite(value: float) -> float:
    return value if np.isfinite(value) else 1e300


def spelled(value: Any) -> Any:
    """Numbers that JSON does not know as text: the stock of a domain may be infinite."""
    if isinstance(value, dict):
        return {name: spelled(one) for name, one in value.items()}
    if isinstance(value, list):
        return [spelled(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _counted(report: Report) -> FittedLaws:
    """The laws of the targets that count."""
    return report.optimum.counted.laws if report.optimum else report.laws


def hull_points(report: Report) -> np.ndarray:
    """The distinct mixtures of the first target that counts, or an even choice of them."""
    mixtures = _counted(report)[0].data.mixtures
    step = -(-len(mixtures) // _MOST_RUN) or 1
    return np.round(mixtures[::step], 4)


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
        "baselines": [{"name": n, "weights": h} for n, h in report.compared.items()],
        "ternary": None if inside is None else {"side": _SIDE, "inside": np.flatnonzero(inside)},
        "run": hull_points(report),
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


def payload(report: Report) -> dict[str, str]:
    """JSON by the id of the script element that holds it."""
    drawn = {
        "domains": report.laws.domains,
        "targets": report.laws.targets,
        "rows": rows(report),
        "proposal": proposal(report),
    }
    return {"report-data": embed(drawn, 6), "report-model": embed(model(report))}
