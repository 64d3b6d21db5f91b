"""The bootstrap: thousands of refits on rows resampled by whole runs or whole mixtures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, FittedLaws
from jaxmix.fitting.solvers.multistart import Progress
from jaxmix.fitting.uncertainty.clusters import Unit, default_unit, labels
from jaxmix.fitting.uncertainty.discrepancy import Discrepancy
from jaxmix.fitting.uncertainty.ensemble import Elsewhere, Ensemble
from jaxmix.fitting.uncertainty.leave_out import LeftOut, leave_out
from jaxmix.fitting.uncertainty.model_error import measure_discrepancy
from jaxmix.fitting.uncertainty.noise import measure_noise
from jaxmix.fitting.uncertainty.refit import Refits, Refitter, fresh_search, make_refitters
from jaxmix.runs import RunTable

Method = Literal["wild", "bayesian", "resample", "noise"]
METHODS: tuple[Method, ...] = ("wild", "bayesian", "resample", "noise")
_CHUNK = 2048  # refits in one call: bounds the memory of their rows


@dataclass(frozen=True)
class _Draws:
    """Random numbers [B, units] of one resampling, shared by all targets."""

    method: Method
    units: np.ndarray

    @staticmethod
    def make(method: Method, resamples: int, keys: np.ndarray, seed: int) -> "_Draws":
        rng, count = np.random.default_rng(seed), int(keys.max()) + 1
        if method == "wild":
            drawn = rng.integers(0, 2, (resamples, count)) * 2.0 - 1.0
        elif method == "bayesian":
            drawn = rng.exponential(size=(resamples, count))
        elif method == "noise":
            drawn = rng.standard_normal((resamples, count))
        else:
            drawn = rng.multinomial(count, np.full(count, 1.0 / count), resamples).astype(float)
        return _Draws(method, drawn[:, keys])


def bootstrap(
    laws: Sequence[FittedLaw],
    runs: RunTable,
    *,
    resamples: int = 1000,
    unit: Unit | None = None,
    method: Method = "wild",
    weighting: str = "equal",
    basins: int = 4,
    probes: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Ensemble:
    """Refits laws on resampled rows, warm-started from the best optima of the full fit.

    Args:
        laws: fits of one law, in float64.
        runs: the very rows they were fitted on.
        resamples: B, refits per target.
        unit: rows that are drawn together: ``"mixture"`` (all runs of a mixture) or ``"run"``
            (all checkpoints of a run); None for mixtures where there are at least twelve and the
            law looks at them.
        method: ``"wild"`` keeps every row and turns the signs of whole units' residuals, those of
            fits that did not see the unit, so that leverage is accounted for (the jackknife form
            of Bell and McCaffrey 2002); ``"bayesian"`` weighs
            units by exponential draws (Rubin 1981); ``"resample"`` draws them with replacement,
            which can lose a domain; ``"noise"`` takes the laws for true and draws what
            ``measure_noise`` found: normal errors of whole runs from repeats (of a size that
            depends on the mixture where the repeats show it), and evaluation errors from ``sem_``
            columns, shared by the checkpoints of a run, which are evaluated on the same windows.
        weighting: as in the fit.
        basins: distinct optima of the full fit that every refit starts from.
        probes: resamples to fit afresh as well, to see whether refits end elsewhere.
        seed: of the draws.
        progress: called with the targets done and their total.

    Returns:
        The refits of all targets. Targets share their draws, so that their errors at one resample
        belong together.

    Raises:
        JaxmixError: other rows than those fitted, or fewer than six units.
    """
    if not laws:
        raise JaxmixError("bootstrap needs at least one fitted law")
    if method not in METHODS:
        raise JaxmixError(f"unknown method '{method}': choose one of {', '.join(METHODS)}")
    if method == "noise":
        unit = "run"
    unit = unit or default_unit(runs, laws[0].law.reads("weights"))
    keys = labels(runs, unit)
    sizes = _noise_sizes(laws, runs) if method == "noise" else None
    draws = _Draws.make(method, resamples, keys, seed)
    with jax.enable_x64(True):
        refitters = make_refitters(laws, runs, weighting=weighting, basins=basins, seed=seed)
        refits, left = [], []
        for i, refitter in enumerate(refitters):
            left.append(
                leave_out(refitter, keys, seed) if sizes is None else _drawn(refitter, sizes[i])
            )
            refits.append(_refit(refitter, left[-1], draws))
            if progress:
                progress(i + 1, len(refitters))
        missed = measure_discrepancy(refitters, left, refits, runs, unit)
        elsewhere = _probe(refitters, left, refits, draws, probes, seed)
        params = [r.natural(f.z) for r, f in zip(refitters, refits, strict=True)]
    return Ensemble(
        FittedLaws(laws),
        {name: np.stack([p[name] for p in params]) for name in params[0]},
        method,
        unit,
        int(keys.max()) + 1,
        missed,
        elsewhere,
        seed,
        _notes(missed, elsewhere, unit, int(keys.max()) + 1),
    )


def _noise_sizes(laws: Sequence[FittedLaw], runs: RunTable) -> list[np.ndarray]:
    """Standard deviation of every row's loss by target, nats [p].

    Raises:
        JaxmixError: the table shows no noise of a target.
    """
    sems, found = runs.sems([f.target for f in laws]), []
    for i, noise in enumerate(measure_noise(laws, runs)):
        evaluation = np.zeros(len(runs)) if sems is None else np.nan_to_num(sems[i])
        found.append(np.hypot(noise.rows(runs), evaluation))
        if not found[-1].any():
            raise JaxmixError(
                f"{runs.source}: method noise needs repeats of runs with other seeds or a column "
                f"'sem_{noise.target}'; there are none: choose another method"
            )
    return found


def _drawn(refitter: Refitter, size: np.ndarray) -> LeftOut:
    """Rows whose errors are normal with standard deviations [p] about the fit."""
    fitted = refitter.predict(refitter.starts[:1])[0]
    log = refitter.problem.objective.residual == "log"
    return LeftOut(fitted, fitted, size / fitted if log else size)


def _data(
    refitter: Refitter, left: LeftOut, draws: _Draws, which: slice
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Losses and row weights [b, p] of some resamples."""
    if draws.method in ("bayesian", "resample"):
        return None, draws.units[which]
    # Residuals and standard deviations are on the scale that is fitted.
    moved = draws.units[which] * left.residuals
    log = refitter.problem.objective.residual == "log"
    return left.fitted * np.exp(moved) if log else left.fitted + moved, None


def _refit(refitter: Refitter, left: LeftOut, draws: _Draws) -> Refits:
    parts = []
    for first in range(0, len(draws.units), _CHUNK):
        data = _data(refitter, left, draws, slice(first, first + _CHUNK))
        parts.append(refitter.run(*data))
    return Refits(*(np.concatenate(x) for x in zip(*parts, strict=True)))


def _probe(
    refitters: Sequence[Refitter],
    left: Sequence[LeftOut],
    refits: Sequence[Refits],
    draws: _Draws,
    probes: int,
    seed: int,
    restarts: int = 64,
) -> Elsewhere | None:
    """Fresh searches of the first target's first resamples beside its refits."""
    if not probes:
        return None
    probes = min(probes, len(draws.units))
    data = _data(refitters[0], left[0], draws, slice(probes))
    fresh = fresh_search(refitters[0], *data, restarts=restarts, seed=seed + 1)
    gap = refits[0].value[:probes] / fresh - 1.0
    lower, higher = float(np.mean(gap > 0.01)), float(np.mean(gap < -0.01))
    return Elsewhere(probes, restarts, lower, higher, float(np.mean(gap)))


def _notes(
    missed: Discrepancy, elsewhere: Elsewhere | None, unit: str, units: int
) -> tuple[str, ...]:
    notes = []
    if units < 15:
        notes.append(f"{units} {unit}s are few: intervals from them are rough")
    if elsewhere and elsewhere.lower > 0.1:
        notes.append(
            f"a fresh search of {elsewhere.restarts} starts ended lower in "
            f"{100 * elsewhere.lower:.0f}% of {elsewhere.probed} resamples: raise basins"
        )
    return tuple(notes)
