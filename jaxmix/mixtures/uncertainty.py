"""The uncertainty of a proposed mixture: its confidence set, and gains without their optimism."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown, axes_or_new, legend_above, plain
from jaxmix.errors import JaxmixError
from jaxmix.fitting.precision import float64
from jaxmix.fitting.uncertainty.ensemble import Ensemble, Interval, finite, interval
from jaxmix.mixtures.optimum import Optimum
from jaxmix.mixtures.solve.refits import level_edges, losses_at, meets, objective_of, solve_refits
from jaxmix.notes import GUESS, UNSAFE, Note
from jaxmix.quantities import chance
from jaxmix.runs import resolve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = ("predicted", "optimism", "corrected", "low", "high", "probability")
_FEWEST_OUTSIDE = 5  # refits outside an interval that its ends need
_LOOSE = 0.8  # width of a weight's interval that says next to nothing

Baselines = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Gain:
    """What the proposed mixture gains over a baseline, nats of the objective.

    Attributes:
        baseline: its name.
        mixture: [k] its weights.
        predicted: by the laws; too high, because the proposal is where they are lowest.
        optimism: by how much too high, the median over refits.
        low: lower end of the interval of the true gain.
        high: upper end.
        probability: that the proposal is better than the baseline.
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


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Uncertainty(Shown):
    """A proposed mixture with what is known about it.

    Attributes:
        optimum: the proposal and its certificate.
        ensemble: the refits.
        refit_optima: [B, k] the optimum of every refit within the same constraints.
        level: probability that intervals and the set should cover.
        threshold: nats; the confidence set of the true optimum holds the feasible mixtures whose
            predicted objective exceeds the lowest by no more than this.
        intervals: smallest and largest weight of each domain in that set.
        gains: over each baseline.
        objective: the true objective at the proposal; the estimate is the predicted one.
        losses: the true loss of each target there, likewise.
        notes: what a reader should know, one sentence each.
    """

    optimum: Optimum
    ensemble: Ensemble
    refit_optima: np.ndarray
    level: float
    threshold: float
    intervals: dict[str, Interval]
    gains: tuple[Gain, ...]
    objective: Interval
    losses: dict[str, Interval]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        gains = "; ".join(
            f"gain over {g.baseline} {g.corrected:.3g} [{g.low:.3g}, {g.high:.3g}]"
            for g in self.gains
        )
        return f"Uncertainty({100 * self.level:g}%: {gains})"

    def contains(self, mixtures: Any) -> np.ndarray:
        """Whether mixtures [..., k] lie in the confidence set; bool [...]."""
        h = np.asarray(mixtures, float)
        return (self.regret(h) <= self.threshold) & meets(self.optimum, h)

    def regret(self, mixtures: Any) -> np.ndarray:
        """Predicted objective of mixtures [..., k] less that of the optimum, nats [...]."""
        return _predicted(self.optimum, mixtures) - self.optimum.objective

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` of ``jaxmix trust``."""
        refits = self.ensemble
        check, errors = refits.search_check, refits.model_error.level.tolist()
        return {
            "weights": self.optimum.weights,
            "intervals": {d: [i.low, i.high] for d, i in self.intervals.items()},
            "threshold": self.threshold,
            "level": self.level,
            "gains": {g.baseline: {n: getattr(g, n) for n in _COLUMNS} for g in self.gains},
            "objective": self.objective._asdict(),
            "losses": {t: i._asdict() for t, i in self.losses.items()},
            "resampling": {
                "method": refits.method,
                "unit": refits.cluster,
                "units": refits.clusters,
                "resamples": refits.resamples,
                "monte_carlo_error": refits.monte_carlo_error,
                "elsewhere": None if check is None else vars(check),
            },
            "discrepancy": dict(zip(self.losses, errors, strict=True)),
            "noise": {n.target: {**vars(n), "floor": n.floor} for n in refits.noise},
            "notes": self.notes,
        }

    def to_frame(self) -> pd.DataFrame:
        """The weights with their intervals, one row per domain."""
        index = pd.Index(self.intervals, name="domain")
        rows = [(i.estimate, i.low, i.high) for i in self.intervals.values()]
        return pd.DataFrame(rows, index=index, columns=["weight", "low", "high"])

    @property
    def headline(self) -> str:
        """What the mixture gains over each baseline, in one sentence."""
        return "; ".join(
            f"gain over {g.baseline} {g.corrected:.3g} nats ({100 * self.level:g}%: {g.low:.3g} to "
            f"{g.high:.3g}), better with probability {chance(g.probability)}"
            for g in self.gains
        )

    def _shown(self) -> Parts:
        level = f"{100 * self.level:g}%"
        gains = {g.baseline: [getattr(g, n) for n in _COLUMNS] for g in self.gains}
        named = pd.DataFrame.from_dict(gains, orient="index", columns=_COLUMNS)
        losses = pd.DataFrame(self.losses.values(), index=pd.Index(self.losses, name="target"))
        tables = {
            f"weights and their {level} intervals": self.to_frame(),
            "gain over, nats": named.rename_axis("baseline"),
            "losses there, nats": losses,
        }
        return Parts(self.headline, tables, self.notes)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The weights with their intervals, and those of the baselines."""
        ax = axes_or_new(ax)
        frame, best = self.to_frame(), self.optimum.h
        place = np.arange(len(frame))[::-1]
        spans = np.maximum([best - frame["low"], frame["high"] - best], 0.0)
        ax.errorbar(best, place, xerr=spans, fmt="o", capsize=3, label="optimum")
        for gain in self.gains:
            ax.plot(gain.mixture, place, "|", markersize=12, label=plain(gain.baseline))
        ax.set_yticks(place, map(plain, frame.index))
        ax.set(xlabel=f"weight, {100 * self.level:g}% confidence set", xlim=(-0.02, 1.02))
        legend_above(ax)
        return ax


def uncertainty(
    optimum: Optimum, ensemble: Ensemble, *, baselines: Baselines | None = None, level: float = 0.9
) -> Uncertainty:
    """The confidence set of a proposed mixture, and its gains without their optimism.

    Every refit is a study in a world where the fitted laws are the truth. Its own optimum, within
    the constraints of the proposal, shows how far optima scatter and by how much their predicted
    objectives are too low.

    Args:
        optimum: the proposal.
        ensemble: refits of its laws (``jaxmix.fitting.bootstrap``).
        baselines: mixtures to compare with, by name, each a weight per domain with sum 1 (domains
            left out have 0); None for the uniform one.
        level: probability that intervals and the set should cover.

    Raises:
        JaxmixError: refits of other laws, a baseline that is no mixture, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise JaxmixError(f"level must lie between 0 and 1, not {level:g}")
    if (ensemble.laws.targets, ensemble.laws.domains) != (optimum.targets, optimum.domains):
        raise JaxmixError("the refits are of other targets or domains than the optimum")
    mixtures = check_baselines(baselines, optimum.domains)
    errors = _Errors(optimum, ensemble)
    threshold = errors.threshold(level)
    low, high = level_edges(optimum, threshold)
    near = errors.true - optimum.objective <= threshold
    seen = errors.chosen[near & meets(optimum, errors.chosen)]
    low, high = (np.vstack([x, seen]) for x in (low, high))
    rows = zip(low.min(0).tolist(), optimum.h.tolist(), high.max(0).tolist(), strict=True)
    intervals = {d: Interval(*row) for d, row in zip(optimum.domains, rows, strict=True)}
    gains = tuple(errors.gain(name, h, level) for name, h in mixtures.items())
    return Uncertainty(
        optimum=optimum,
        ensemble=ensemble,
        refit_optima=errors.chosen,
        level=level,
        threshold=threshold,
        intervals=intervals,
        gains=gains,
        objective=errors.objective(level),
        losses=errors.losses(level),
        notes=(*ensemble.notes, *optimum.notes, *_notes(ensemble, gains, intervals, level)),
    )


def check_baselines(baselines: Baselines | None, domains: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Baselines as weights [k] by name; the uniform mixture if none is given.

    Raises:
        JaxmixError: an unknown domain, a negative weight, or a sum that is not 1 within .005.
    """
    if baselines is None:
        baselines = {"uniform": dict.fromkeys(domains, 1.0 / len(domains))}
    found = {}
    for name, weights in baselines.items():
        given = resolve(weights, domains, "domain")
        mixture = np.array([given.get(d, 0.0) for d in domains])
        if not np.all(mixture >= 0) or abs(mixture.sum() - 1) > 0.005:
            raise JaxmixError(
                f"baseline '{name}' is no mixture: its weights sum to {mixture.sum():.6g}, not 1"
            )
        found[name] = mixture / mixture.sum()
    return found


class _Errors:
    """Errors of B refits about the laws, at their own optima and (``fixed``) at the proposal."""

    def __init__(self, optimum: Optimum, ensemble: Ensemble) -> None:
        self.best, self.ensemble = optimum, ensemble
        with float64():
            self.chosen, self.lowest = solve_refits(optimum, ensemble.stacked)  # [B, k], [B]
        self.proposal = objective_of(optimum, ensemble.losses, optimum.h)  # [B]
        self.true = _predicted(optimum, self.chosen)  # [B]

    def threshold(self, level: float) -> float:
        """Quantile of how far the refits' objectives at the proposal lie above their lowest."""
        above = np.maximum(finite(self.proposal - self.lowest), 0.0)
        # Model error moves the true optimum farther than refits move theirs, by up to the length
        # over which it changes: their geometric mean held the optimum of benchmarks/calibration.py.
        apart = np.linalg.norm(self.best.h - self.chosen, axis=-1)
        apart = np.sqrt(apart * self.ensemble.model_error.correlation_length)
        return float(np.quantile(above + np.abs(self._model_difference(apart)), level))

    def gain(self, name: str, baseline: np.ndarray, level: float) -> Gain:
        """The gain over a baseline [k]."""
        there = objective_of(self.best, self.ensemble.losses, baseline)  # [B]
        at = float(_predicted(self.best, baseline))
        predicted = at - self.best.objective
        model = self._model_difference(np.linalg.norm(baseline - self.best.h))
        errors = finite((there - self.lowest) - (at - self.true))
        fixed = finite(there - self.proposal - predicted)
        low, _, high = interval(predicted, errors + model, level, fixed=fixed + model)
        better = np.mean(predicted - errors - model > 0) + np.mean(predicted + fixed + model > 0)
        return Gain(
            baseline=name,
            mixture=baseline,
            predicted=predicted,
            optimism=float(np.median(errors)),
            low=float(low),
            high=float(high),
            probability=0.5 * float(better),
        )

    def objective(self, level: float) -> Interval:
        """The objective at the proposal."""
        model = self._model.T @ self._shares  # [B]
        errors = finite(self.lowest - self.true) + model
        fixed = finite(self.proposal - self.best.objective) + model
        found = interval(self.best.objective, errors, level, fixed=fixed)
        return Interval(*(float(x) for x in found))

    def losses(self, level: float) -> dict[str, Interval]:
        """The loss of every target at the proposal."""
        best = self.best
        center = np.array([best.predicted[name] for name in best.targets])
        with float64():
            refits = self.ensemble.stacked
            said = np.asarray(_each_at_its_own(refits, best.inputs, jnp.asarray(self.chosen)))
        true = losses_at(best, {**best.inputs, "weights": self.chosen}).T  # [B, m]
        there = self.ensemble.losses({**best.inputs, "weights": best.h}).T  # [B, m]
        errors, fixed = finite(said - true) + self._model.T, finite(there - center) + self._model.T
        ends = np.stack(interval(center, errors, level, fixed=fixed), axis=1).tolist()
        return {name: Interval(*row) for name, row in zip(best.targets, ends, strict=True)}

    @cached_property
    def _model(self) -> np.ndarray:
        """Model errors [m, B] of the losses at the proposal."""
        return self.ensemble.model_errors({**self.best.inputs, "weights": self.best.h})

    @property
    def _shares(self) -> np.ndarray:
        """Target weights [m]; in a worst case, the target with the largest predicted loss."""
        if not self.best.worst_case:
            return self.best.w
        predicted = [self.best.predicted[name] for name in self.best.targets]
        return np.eye(len(predicted))[int(np.argmax(np.where(self.best.w > 0, predicted, -np.inf)))]

    def _model_difference(self, apart: Any) -> np.ndarray:
        """Model errors [B] of the difference of two mixtures at distances [] or [B]."""
        x = {**self.best.inputs, "weights": self.best.h}
        return self.ensemble.model_error_differences(x, self._shares, apart)


def _predicted(optimum: Optimum, h: Any) -> np.ndarray:
    """Objectives [...] that the laws of a proposal predict at mixtures [..., k]."""
    return objective_of(optimum, partial(losses_at, optimum), h)


@jax.jit
def _each_at_its_own(refits: Any, x: dict[str, Any], h: jax.Array) -> jax.Array:
    """Losses [B, m] of every refit at its own mixture [B, k]."""
    return jax.vmap(lambda p, h: refits.replace_params(p).losses({**x, "weights": h}))(
        refits.params, h
    )


def _notes(
    ensemble: Ensemble, gains: tuple[Gain, ...], intervals: dict[str, Interval], level: float
) -> list[str]:
    notes: list[str] = [
        Note(
            f"no gain over {g.baseline} is shown: the interval of the true gain, {g.low:.3g} to "
            f"{g.high:.3g} nats, has 0 in it",
            UNSAFE,
        )
        for g in gains
        if g.low <= 0 <= g.high
    ]
    loose = [d for d, i in intervals.items() if i.high - i.low > _LOOSE]
    if loose:
        notes.append(Note(f"the weight of {', '.join(loose)} is all but undetermined", GUESS))
    if ensemble.resamples * (1 - level) < _FEWEST_OUTSIDE:
        notes.append(
            f"{ensemble.resamples} refits are few for a level of {level:g}: raise --resamples"
        )
    return notes
