"""What each domain does to each target: slopes of fitted laws, and their checks."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxmix.fitting import Ensemble, FittedLaw, bootstrap, fit, simulate_laws
from jaxmix.mixtures import domain_effects, one_out, uniform
from jaxmix.runs import RunTable

_STEP = 1e-5
_LEVEL = 0.9
_NORMAL = 1.645  # standard errors in half an interval of that level


def towards(mixture: np.ndarray, i: int) -> np.ndarray:
    """The direction that moves weight to domain i and takes it from the others in proportion."""
    others = np.where(np.arange(len(mixture)) == i, 0.0, mixture)
    return np.eye(len(mixture))[i] - others / others.sum()


def at(budget: tuple[float, float], mixture: np.ndarray) -> dict[str, Any]:
    """The inputs at one budget and mixture, by name."""
    return {"n_params": budget[0], "tokens": budget[1], "weights": mixture}


def effect_rows(
    laws: Sequence[FittedLaw],
    runs: RunTable,
    refits: Ensemble | None,
    budget: tuple[float, float],
    places: dict[str, np.ndarray],
) -> Iterator[dict[str, Any]]:
    """One row per mixture, target and domain: the slope, its interval, and two checks.

    `difference` is the same slope by finite differences; `measured` is the change from the uniform
    mixture to the one nearest the domain's vertex, per unit of weight, in runs of the largest
    size that has both; `secant` is what the law says of that change.
    """
    for name, mixture in places.items():
        found = domain_effects(laws, at(budget, mixture), ensemble=refits, level=_LEVEL)
        for (t, law), (i, domain) in _pairs(laws):
            step = _STEP * towards(mixture, i)
            ends = (
                law.predict(
                    dict(zip(("n_params", "tokens"), budget, strict=True), weights=mixture + step)
                ),
                law.predict(
                    dict(zip(("n_params", "tokens"), budget, strict=True), weights=mixture - step)
                ),
            )
            yield {
                "at": name,
                "target": law.target,
                "domain": domain,
                "weight": float(mixture[i]),
                "slope": float(found.slope[t, i]),
                "low": float(found.low[t, i]),
                "high": float(found.high[t, i]),
                "standard_error": float(found.high[t, i] - found.low[t, i]) / (2 * _NORMAL),
                "difference": float(ends[0] - ends[1]) / (2 * _STEP),
                **(_measured(runs, law, domain) if name == "uniform" else {}),
            }


def _pairs(laws: Sequence[FittedLaw]) -> Iterator[tuple[tuple[int, FittedLaw], tuple[int, str]]]:
    for law in enumerate(laws):
        for domain in enumerate(laws[0].domains):
            yield law, domain


def _measured(runs: RunTable, law: FittedLaw, domain: str) -> dict[str, float]:
    frame = runs.frame
    if "mixture" not in frame:
        return {}
    near = frame[frame["mixture"] == f"only-{domain}"]
    if near.empty:
        return {}
    at = (frame["n_params"] == near["n_params"].max()) & (frame["tokens"] == near["tokens"].max())
    rows = frame[at].set_index("mixture").reindex(["uniform", f"only-{domain}"])
    weights = rows[[f"w_{d}" for d in law.domains]].to_numpy()
    moved = float(np.diff(rows[f"w_{domain}"])[0])
    said = law.predict(
        dict(
            n_params=rows["n_params"].to_numpy(), tokens=rows["tokens"].to_numpy(), weights=weights
        )
    )
    measured = float(np.diff(rows[f"loss_{law.target}"])[0])
    return {"measured": measured / moved, "secant": float(np.diff(said)[0]) / moved}


def recovery_rows(
    truth: Sequence[FittedLaw],
    runs: RunTable,
    budget: tuple[float, float],
    *,
    restarts: int,
    resamples: int,
) -> Iterator[dict[str, Any]]:
    """Slopes found in a study that is drawn from known laws, beside the true ones.

    The study has the design and, as noise, the residuals' size of the real one. `without` is the
    true change of the loss as the domain is left out of the uniform mixture; the slope's
    first-order guess of it is `guess`.
    """
    noise = 0.01 * float(np.mean([law.report.train_mre for law in truth])) * np.sqrt(np.pi / 2)
    drawn = simulate_laws(
        truth,
        mixtures=np.unique(np.round(runs.weights, 9), axis=0),
        n_params=np.unique(runs.n_params).tolist(),
        tokens=np.geomspace(runs.tokens.min(), runs.tokens.max(), 6).tolist(),
        noise=noise,
        seed=1,
    )
    law, targets = truth[0].law, [t.target for t in truth]
    fitted = fit(drawn, law, targets=targets, restarts=restarts, residual="log")
    refits = bootstrap(fitted, drawn, resamples=resamples, cluster="mixture")
    k = len(truth[0].domains)
    center, out = uniform(k)[0], one_out(k)
    true = domain_effects(truth, at(budget, center))
    found = domain_effects(fitted, at(budget, center), ensemble=refits, level=_LEVEL)
    for (t, one), (i, domain) in _pairs(truth):
        yield {
            "target": one.target,
            "domain": domain,
            "noise": noise,
            "true": float(true.slope[t, i]),
            "slope": float(found.slope[t, i]),
            "low": float(found.low[t, i]),
            "high": float(found.high[t, i]),
            "without": float(
                one.predict(dict(zip(("n_params", "tokens"), budget, strict=True), weights=out[i]))
                - one.predict(
                    dict(zip(("n_params", "tokens"), budget, strict=True), weights=center)
                )
            ),
            "guess": -float(found.slope[t, i]) / k,
        }
