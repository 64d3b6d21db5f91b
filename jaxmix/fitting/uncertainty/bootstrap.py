"""The bootstrap: thousands of refits on rows that are resampled by whole runs or mixtures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, FittedLaws
from jaxmix.fitting.precision import float64
from jaxmix.fitting.sharing import shared_apart
from jaxmix.fitting.solvers.multistart import Progress
from jaxmix.fitting.uncertainty.clusters import Cluster, cluster_labels, default_cluster
from jaxmix.fitting.uncertainty.ensemble import Ensemble, SearchCheck, monte_carlo_error
from jaxmix.fitting.uncertainty.model_error import ModelError, measure_model_error
from jaxmix.fitting.uncertainty.noise import Noise, measure_noise
from jaxmix.fitting.uncertainty.refit import (
    LeftOut,
    Refits,
    Refitter,
    fresh_search,
    make_refitters,
    refit_together,
)
from jaxmix.runs import RunTable

Method = Literal["wild", "bayesian", "resample", "noise"]
METHODS: tuple[Method, ...] = get_args(Method)
_CHUNK = 128  # refits of each target between two looks at whether they are enough
_MOST = 1024  # refits of each target if their number is not given
_ENOUGH = 0.06  # Monte-Carlo error of an interval, as a share of its half-width
_LOOKED_AT = 64  # rows of each target at which that is measured
_MANY = 15  # clusters from which intervals are reliable
_OTHER_BASIN = 0.01  # relative difference of objectives


@dataclass(frozen=True)
class Resampling:
    """What is drawn for B resamples, the same for all targets: random numbers [B, p] by row."""

    method: Method
    numbers: np.ndarray

    @staticmethod
    def draw(method: Method, resamples: int, labels: np.ndarray, seed: int) -> "Resampling":
        """Draws by cluster; ``labels`` [p] are those of the rows."""
        rng, count = np.random.default_rng(seed), int(labels.max()) + 1
        if method == "wild":
            drawn = rng.integers(0, 2, (resamples, count)) * 2.0 - 1.0
        elif method == "bayesian":
            drawn = rng.exponential(size=(resamples, count))
        elif method == "noise":
            drawn = rng.standard_normal((resamples, count))
        else:
            drawn = rng.multinomial(count, np.full(count, 1.0 / count), resamples).astype(float)
        return Resampling(method, drawn[:, labels])

    def data(
        self, refitter: Refitter, left: LeftOut, which: slice
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Losses or row weights [b, p] of some resamples; None for those of the table."""
        numbers = self.numbers[which]
        if self.method in ("bayesian", "resample"):
            return None, numbers
        return refitter.shifted(left.fitted, numbers * left.residuals), None

    def refits(self, refitter: Refitter, left: LeftOut, first: int = 0) -> Refits:
        """One target refitted on a chunk of the resamples."""
        return refitter.run(*self.data(refitter, left, slice(first, first + _CHUNK)), left, first)


def bootstrap(
    laws: Sequence[FittedLaw],
    runs: RunTable,
    *,
    resamples: int | None = None,
    cluster: Cluster | None = None,
    method: Method = "wild",
    weighting: str = "equal",
    basins: int = 4,
    restarts: int = 32,
    folds: int = 64,
    probes: int = 0,
    probe_restarts: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Ensemble:
    """Refits laws on resampled rows.

    Args:
        laws: fits of one law, in float64.
        runs: the very rows they were fitted on.
        resamples: B, refits per target; None for 128, 256, ... to 1,024, until another set of
            refits would move the half-widths of 90% intervals of the table's losses by 6% (the
            median standard error). Some 256 are enough if refits scatter normally.
        cluster: rows that are drawn together: ``"mixture"`` (all runs of a mixture) or ``"run"``
            (all checkpoints of a run). None means mixtures if the law reads them and there are at
            least twelve, else runs.
        method: ``"wild"``, the wild cluster bootstrap: all rows stay, and the signs of the
            residuals of whole clusters are flipped at random. Residuals are those of fits without
            the cluster, which corrects for leverage (the jackknife form of Bell and McCaffrey
            2002). ``"bayesian"`` weighs clusters by exponential draws (Rubin 1981).
            ``"resample"`` draws clusters with replacement, which can lose a domain. ``"noise"``
            takes the laws to be true and draws normal errors with the standard deviations of
            ``measure_noise``: one error per run, shared by its checkpoints.
        weighting: as in the fit.
        basins: most distinct optima of the full fit from which every refit starts.
        restarts: local solves per target of the search for them.
        folds: most fits of the residuals without a cluster.
        probes: resamples of the first target that are also fitted by a fresh search, to check the
            refits.
        probe_restarts: local solves of each of them.
        seed: of the draws and searches.
        progress: called with the targets done and their total.

    Returns:
        The refits of all targets. Targets share their draws, so that their errors in one resample
        are correlated as in the data.

    Raises:
        JaxmixError: other rows than those fitted, fewer than six clusters, or an unknown method.
    """
    laws = FittedLaws(laws)
    if method not in METHODS:
        raise JaxmixError(f"unknown method '{method}': choose one of {', '.join(METHODS)}")
    cluster = cluster or default_cluster(runs, laws.law.reads("weights"))
    cluster = "run" if method == "noise" else cluster
    labels, noise = cluster_labels(runs, cluster), measure_noise(laws, runs)
    sizes = _noise_sizes(noise, runs) if method == "noise" else None
    draws = Resampling.draw(method, resamples or _MOST, labels, seed)
    with float64():
        refitters = make_refitters(
            laws, runs, weighting=weighting, basins=basins, restarts=restarts, seed=seed
        )
        if sizes is None:
            left = [r.leave_out(labels, folds=folds, seed=seed) for r in refitters]
        else:
            left = [_normal_errors(r, size) for r, size in zip(refitters, sizes, strict=True)]
        refits, scatter = _all_refits(draws, refitters, left, resamples is None, progress)
        share, apart = laws[0].report.share, shared_apart(refitters[0].problem, laws)
        if share and not apart:
            refits = refit_together(
                refitters, share, refits, lambda i, some: draws.data(refitters[i], left[i], some)
            )
        error = ModelError.none(len(laws))  # if the laws are taken to be true
        if method != "noise":
            error = measure_model_error(refitters, left, refits, runs)
        check = None
        if probes:
            first = refitters[0], left[0], refits[0]
            check = _check_search(*first, draws, probes, probe_restarts, seed + 1)
        params = [r.natural(f.z) for r, f in zip(refitters, refits, strict=True)]
    clusters = int(labels.max()) + 1
    return Ensemble(
        laws=laws,
        params={name: np.stack([p[name] for p in params]) for name in params[0]},
        method=method,
        cluster=cluster,
        clusters=clusters,
        model_error=error,
        noise=noise,
        monte_carlo_error=scatter,
        search_check=check,
        seed=seed,
        notes=(*_notes(check, cluster, clusters), *apart),
    )


def _all_refits(
    draws: Resampling,
    refitters: Sequence[Refitter],
    left: Sequence[LeftOut],
    until_enough: bool,
    progress: Progress | None,
) -> tuple[list[Refits], float]:
    """Refits of every target on all resamples, or on enough of them; their Monte-Carlo error."""
    count, found = len(refitters), [Refits.none(r) for r in refitters]
    error = np.inf
    for first in range(0, len(draws.numbers), _CHUNK):
        total = first + _CHUNK if until_enough else len(draws.numbers)
        for i, refitter in enumerate(refitters):
            found[i] = found[i].add(draws.refits(refitter, left[i], first))
            if progress:
                progress(sum(len(f.z) for f in found), count * min(total, len(draws.numbers)))
        if until_enough or len(found[0].z) == len(draws.numbers):
            losses = [r.predict(f.z, _LOOKED_AT) for r, f in zip(refitters, found, strict=True)]
            error = monte_carlo_error(np.stack(losses))
        if until_enough and error <= _ENOUGH:
            break
    return found, error


def _noise_sizes(noise: Sequence[Noise], runs: RunTable) -> list[np.ndarray]:
    """Standard deviation of every row's loss by target, nats [p].

    Raises:
        JaxmixError: the table shows no noise of a target.
    """
    sems, found = runs.sems([n.target for n in noise]), []
    for i, one in enumerate(noise):
        evaluation = np.zeros(len(runs)) if sems is None else np.nan_to_num(sems[i])
        found.append(np.hypot(one.rows(runs), evaluation))
        if not found[-1].any():
            raise JaxmixError(
                f"{runs.source}: method noise needs repeats of runs with other seeds or a column "
                f"'sem_{one.target}'; there are none: choose another method"
            )
    return found


def _normal_errors(refitter: Refitter, size: np.ndarray) -> LeftOut:
    """Rows whose errors have standard deviations [p], nats, about the fit."""
    fitted = refitter.predict(refitter.starts[:1])[0]
    return LeftOut(
        refitter.starts[:1], fitted, fitted, size / fitted if refitter.logarithmic else size
    )


def _check_search(
    refitter: Refitter,
    left: LeftOut,
    refits: Refits,
    draws: Resampling,
    probes: int,
    restarts: int,
    seed: int,
) -> SearchCheck:
    """Fresh searches of one target's first resamples, compared with its refits."""
    data = draws.data(refitter, left, slice(probes))
    fresh = fresh_search(refitter, *data, restarts=restarts, seed=seed).value
    gap = refits.value[: len(fresh)] / fresh - 1.0
    return SearchCheck(
        probed=len(fresh),
        restarts=restarts,
        lower=float(np.mean(gap > _OTHER_BASIN)),
        higher=float(np.mean(gap < -_OTHER_BASIN)),
        gap=float(np.mean(gap)),
    )


def _notes(check: SearchCheck | None, cluster: str, clusters: int) -> tuple[str, ...]:
    notes = []
    if clusters < _MANY:
        notes.append(f"{clusters} {cluster}s are few: intervals from them are rough")
    if check and check.lower > 0.1:
        notes.append(
            f"a fresh search of {check.restarts} starts ended lower in {100 * check.lower:.0f}% of "
            f"{check.probed} resamples: raise basins"
        )
    return tuple(notes)
