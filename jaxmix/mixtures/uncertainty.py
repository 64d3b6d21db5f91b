"""How sure a proposed mixture is: its confidence set, and its gain with the optimism taken out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import StackedLaws, stack
from jaxmix.fitting.uncertainty.ensemble import Ensemble, Interval
from jaxmix.mixtures.optimize import Weights, optimize
from jaxmix.mixtures.optimum import Optimum
from jaxmix.mixtures.simplex import Bounds, make_bounds
from jaxmix.mixtures.solve.lanes import make_starts
from jaxmix.mixtures.solve.refitted import best_refitted, solve_refitted
from jaxmix.runs.names import resolve

_HUGE = 1e6  # nats: stands for an infinite error
_FEWEST_BEYOND = 5  # refits outside an interval, for its ends to mean something
_BISECTIONS = 30
_TILTS = (1e-8, 1e4)  # nats per unit of weight: from no pull to nothing but it


@dataclass(frozen=True, eq=False)
class Gain:
    """What the proposed mixture gains over a baseline, in nats of the weighted loss.

    Attributes:
        baseline: its name.
        mixture: [k] its weights.
        predicted: what the laws say: too much, since the proposal is where they are lowest.
        optimism: by how much, as the refits show: in their worlds the truth is known.
        low: lower end of the interval of the true gain.
        high: upper end.
        probability: that the proposal beats the baseline.
    """

    baseline: str
    mixture: np.ndarray
    predicted: float
    optimism: float
    low: float
    high: float
    probability: float

    @property
    def corrected(self) -> float:
        """The predicted gain less the optimism."""
        return self.predicted - self.optimism


@dataclass(frozen=True, eq=False)
class Trust:
    """The proposed mixture at one budget with what is known about it.

    Attributes:
        optimum: the proposal h* and its certificate.
        weights: [B, k] the optimum of every refit.
        level: probability that intervals and the set are to cover.
        threshold: nats: mixtures whose predicted objective exceeds the lowest by no more than
            this form the confidence set of the true optimum.
        intervals: projections of that set on each domain.
        gains: over each baseline.
        objective: the true weighted loss at h*; the estimate is the predicted one.
        losses: likewise of each target.
        notes: what a reader should know, one sentence each.
        bounds: what the weights were held to.
        laws: what was minimized.
    """

    optimum: Optimum
    weights: np.ndarray
    level: float
    threshold: float
    intervals: dict[str, Interval]
    gains: tuple[Gain, ...]
    objective: Interval
    losses: dict[str, Interval]
    notes: tuple[str, ...]
    bounds: Bounds
    laws: StackedLaws

    def contains(self, mixtures: Any) -> np.ndarray:
        """Whether mixtures [..., k] lie in the confidence set and the bounds; bool [...]."""
        h = np.asarray(mixtures, float)
        low, high = self.bounds.lower - 1e-9, self.bounds.upper + 1e-9
        return (self.regret(h) <= self.threshold) & np.all((h >= low) & (h <= high), -1)

    def regret(self, mixtures: Any) -> np.ndarray:
        """Predicted objective of mixtures [..., k] less that of the optimum, nats [...]."""
        best, w = self.optimum, np.array(list(self.optimum.target_weights.values()))
        budget = best.n_params, best.tokens
        return _objective(self.laws, *budget, w, np.asarray(mixtures, float)) - best.objective


def trust(
    ensemble: Ensemble,
    n_params: float,
    tokens: float,
    *,
    target_weights: Weights = None,
    minimum: Mapping[str, float] | None = None,
    maximum: Mapping[str, float] | None = None,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
    level: float = 0.9,
) -> Trust:
    """The optimal mixture at one budget, with its confidence set and honest gains.

    Args:
        ensemble: refits of the laws (``jaxmix.fitting.bootstrap``).
        n_params: N of the big run.
        tokens: D of the big run.
        target_weights: as in ``optimize``.
        minimum: smallest weight by domain.
        maximum: largest weight by domain.
        baselines: mixtures to compare with, by name, each a weight per domain with sum 1; None
            for the uniform one.
        level: probability that intervals and the set are to cover.

    Raises:
        JaxmixError: as ``optimize``; a baseline that is no mixture; a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise JaxmixError(f"level must lie between 0 and 1, not {level:g}")
    laws = ensemble.laws
    given = {n: mixture_of(m, laws[0].domains, n) for n, m in _given(baselines, laws).items()}
    best = optimize(
        laws,
        n_params,
        tokens,
        target_weights=target_weights,
        minimum=minimum,
        maximum=maximum,
    )
    bounds = make_bounds(laws[0].domains, minimum, maximum)
    with jax.enable_x64(True):
        return _trust(ensemble, best, bounds, given, level)


def _given(baselines: Any, laws: Any) -> Mapping[str, Mapping[str, float]]:
    if baselines is not None:
        return baselines
    domains = laws[0].domains
    return {"uniform": dict.fromkeys(domains, 1.0 / len(domains))}


def mixture_of(weights: Mapping[str, float], domains: tuple[str, ...], name: str) -> np.ndarray:
    """A mixture given by name as weights [k]; domains left out have weight 0.

    Raises:
        JaxmixError: an unknown domain, a negative weight, or a sum that is not 1 within .005.
    """
    found = resolve(weights, domains, "domain")
    mixture = np.array([found.get(d, 0.0) for d in domains])
    if not np.all(mixture >= 0) or abs(mixture.sum() - 1) > 0.005:
        raise JaxmixError(
            f"baseline '{name}' is no mixture: its weights sum to {mixture.sum():.6g}, not 1"
        )
    return mixture / mixture.sum()


def _trust(
    ensemble: Ensemble, best: Optimum, bounds: Bounds, given: dict[str, np.ndarray], level: float
) -> Trust:
    laws, refits = stack(ensemble.laws), ensemble.stacked
    w = np.array(list(best.target_weights.values()))
    budget = best.n_params, best.tokens
    starts = best.weights[None]
    if not best.proven:
        more = make_starts(bounds.lower, bounds.upper, len(best.domains) + 1, 0)
        starts = np.concatenate([starts, more])
    starts = np.maximum(starts, 1e-6)
    box = bounds.lower, bounds.upper
    weights, lowest = best_refitted(refits, starts, *budget, w, *box)  # [B, k], [B]
    proposal = _refitted(refits, *budget, w, best.weights)
    errors = _Errors(ensemble, refits, laws, budget, w, best.weights, weights, lowest, proposal)
    threshold = errors.threshold(level)
    gains = tuple(errors.gain(n, h, best, level) for n, h in given.items())
    objective, losses = errors.losses(best, level)
    edges = _project(laws, best, w, bounds, threshold, weights)
    intervals = {
        d: Interval(float(a), float(h), float(b))
        for d, a, h, b in zip(best.domains, edges[0], best.weights, edges[1], strict=True)
    }
    notes = (*ensemble.notes, *best.notes, *_notes(gains, intervals))
    if ensemble.resamples * (1 - level) < _FEWEST_BEYOND:
        notes += (f"{ensemble.resamples} refits are few for a level of {level:g}: raise resamples",)
    return Trust(
        best, weights, level, threshold, intervals, gains, objective, losses, notes, bounds, laws
    )


@dataclass(frozen=True)
class _Errors:
    """How refits err about the laws, at mixtures that each chose as it would choose h*."""

    ensemble: Ensemble
    refits: StackedLaws
    laws: StackedLaws
    budget: tuple[float, float]
    w: np.ndarray
    best: np.ndarray  # [k] the proposal
    weights: np.ndarray  # [B, k] the refits' optima
    lowest: np.ndarray  # [B] their objectives there
    proposal: np.ndarray  # [B] their objectives at the proposal

    def gain(self, name: str, baseline: np.ndarray, best: Optimum, level: float) -> Gain:
        """Predicted gain, and what it would be off by in the refits' worlds."""
        here = _refitted(self.refits, *self.budget, self.w, baseline)  # [B]
        at = _objective(self.laws, *self.budget, self.w, baseline)
        truth = at - _objective(self.laws, *self.budget, self.w, self.weights)  # [B]
        errors = _finite((here - self.lowest) - truth)
        predicted = float(at - best.objective)
        missed = self._missed_difference(baseline - best.weights)
        fixed = _finite(here - self.proposal - predicted)  # the proposal in the refits' worlds
        low, high = _ends(predicted, errors + missed, fixed + missed, level)
        chance = 0.5 * float(np.mean(predicted - errors - missed > 0))
        chance += 0.5 * float(np.mean(predicted + fixed + missed > 0))
        return Gain(name, baseline, predicted, float(np.median(errors)), low, high, chance)

    def threshold(self, level: float) -> float:
        """The quantile of how far below the proposal the refits' optima lie, nats."""
        above = np.maximum(_finite(self.proposal - self.lowest), 0.0)
        missed = np.abs(self._missed_difference(self.best - self.weights))
        return float(np.quantile(above + missed, level))

    def losses(self, best: Optimum, level: float) -> tuple[Interval, dict[str, Interval]]:
        """The weighted loss and each target's at h*: what the laws say is too low there."""
        params, chosen = self.refits.params, jnp.asarray(self.weights)
        said = np.asarray(jax.vmap(self._at)(params, chosen))  # [B, m]
        fixed = np.asarray(jax.vmap(self._at, (0, None))(params, jnp.asarray(self.best)))
        n, d = (jnp.full(len(self.weights), x) for x in self.budget)
        truth = np.asarray(self.laws.losses({"n_params": n, "tokens": d, "weights": chosen})).T
        center = np.array(list(best.predicted.values()))
        x = {"n_params": self.budget[0], "tokens": self.budget[1], "weights": self.best}
        missed = self.ensemble.model_error.draw(x, len(self.weights), 1).T
        errors, fixed = _finite(said - truth) + missed, _finite(fixed - center) + missed

        def shifted(value: float, w: np.ndarray) -> Interval:
            low, high = _ends(value, errors @ w, fixed @ w, level)
            return Interval(low, value, high)

        one = np.eye(len(center))
        found = {t: shifted(x, one[i]) for i, (t, x) in enumerate(best.predicted.items())}
        return shifted(best.objective, self.w), found

    def _at(self, params: dict[str, jax.Array], h: jax.Array) -> jax.Array:
        laws = StackedLaws(params, self.laws.own, self.laws.law)
        n, d = (jnp.asarray(x) for x in self.budget)
        return laws.losses({"n_params": n, "tokens": d, "weights": h})

    def _missed_difference(self, apart: np.ndarray) -> np.ndarray:
        """Random errors [B] of the difference of two mixtures that are ``apart`` [k] or [B, k]."""
        x = {"n_params": self.budget[0], "tokens": self.budget[1], "weights": self.best}
        distance = np.sqrt((apart**2).sum(-1))
        return self.ensemble.model_error.draw_difference(
            x, self.w, distance, len(self.weights), self.ensemble.seed + 1
        )


def _finite(errors: np.ndarray) -> np.ndarray:
    """Errors as finite numbers: a law without a finite loss is off by as much as can be."""
    return np.nan_to_num(errors, nan=_HUGE, posinf=_HUGE, neginf=-_HUGE)


def _ends(value: float, errors: np.ndarray, fixed: np.ndarray, level: float) -> tuple[float, float]:
    """Midway between the interval from errors at the refits' optima and that at the proposal."""
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(errors, [tail, 100.0 - tail])
    below, above = np.percentile(fixed, [tail, 100.0 - tail])
    return float(value + 0.5 * (below - high)), float(value + 0.5 * (above - low))


def _project(
    laws: StackedLaws,
    best: Optimum,
    w: np.ndarray,
    bounds: Bounds,
    threshold: float,
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest weight [k] of each domain over the confidence set.

    The edge towards a domain is where its pull on the objective is just so strong that the optimum
    of both lies at the set's rim: bisection on the pull, all domains and both signs at once.
    """
    k = len(best.weights)
    direction = np.concatenate([np.eye(k), -np.eye(k)])  # + pulls down, - pulls up
    low, high = (np.full(2 * k, np.log(x)) for x in _TILTS)
    budget, one = (
        (best.n_params, best.tokens),
        StackedLaws({n: v[None] for n, v in laws.params.items()}, laws.own, laws.law),
    )
    inside = np.tile(best.weights, (2 * k, 1))
    starts = np.maximum(inside, 1e-6)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        tilts = np.exp(middle)[:, None] * direction
        found = solve_refitted(
            one, *budget, w, bounds.lower, bounds.upper, starts=starts, tilts=tilts
        ).weights
        within = _objective(laws, *budget, w, found) - best.objective <= threshold
        inside = np.where(within[:, None], found, inside)
        low, high = np.where(within, middle, low), np.where(within, high, middle)
    seen = weights[_objective(laws, *budget, w, weights) - best.objective <= threshold]
    points = np.concatenate([inside, best.weights[None], seen])
    return points.min(0), points.max(0)


def _notes(gains: tuple[Gain, ...], intervals: dict[str, Interval]) -> list[str]:
    notes = [
        f"no gain over {g.baseline} is shown: the interval of the true gain, {g.low:.3g} to "
        f"{g.high:.3g} nats, has 0 in it"
        for g in gains
        if g.low <= 0 <= g.high
    ]
    loose = [d for d, i in intervals.items() if i.high - i.low > 0.8]
    if loose:
        notes.append(f"the weight of {', '.join(loose)} is all but undetermined")
    return notes


def _objective(laws: StackedLaws, n: float, d: float, w: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Weighted losses [...] of one set of laws at mixtures [..., k]."""
    with jax.enable_x64(True):
        losses = laws.losses(
            {
                "n_params": jnp.asarray(float(n)),
                "tokens": jnp.asarray(float(d)),
                "weights": jnp.asarray(h),
            }
        )
        shaped = w.reshape((-1,) + (1,) * (losses.ndim - 1))
        return np.asarray(jnp.sum(jnp.where(shaped > 0, shaped * losses, 0.0), 0))


def _refitted(refits: StackedLaws, n: float, d: float, w: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Weighted losses [B] of every set of laws at one mixture [k]."""

    def one(params: dict[str, jax.Array]) -> jax.Array:
        laws = StackedLaws(params, refits.own, refits.law)
        losses = laws.losses(
            {
                "n_params": jnp.asarray(float(n)),
                "tokens": jnp.asarray(float(d)),
                "weights": jnp.asarray(h),
            }
        )
        return jnp.sum(jnp.where(w > 0, w * losses, 0.0))

    with jax.enable_x64(True):
        return np.asarray(jax.vmap(one)(refits.params))
