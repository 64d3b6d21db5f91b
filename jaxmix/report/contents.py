"""Everything that a report says, computed once: the page and the figures only draw it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.inputs import read_inputs
from jaxmix.fitting.scores import Score, score, unscored
from jaxmix.fitting.selection.compare import Comparison, compare
from jaxmix.fitting.uncertainty.bootstrap import bootstrap
from jaxmix.fitting.uncertainty.ensemble import Ensemble
from jaxmix.laws import get_law
from jaxmix.mixtures import Optima, Optimum, optimize, optimize_many
from jaxmix.mixtures.effects import DomainEffects, domain_effects
from jaxmix.mixtures.optimize import target_weight_rows
from jaxmix.mixtures.uncertainty import Trust, mixture_of, trust
from jaxmix.report.rows import Rows

Progress = Callable[[str, int, int], None]
_BUDGET = ("n_params", "tokens")
_PATH_POINTS = 31
_BEYOND = 100.0  # how far beyond the largest size the path over scale goes
_COMPARE_RESTARTS = 32
_BASINS = 4  # optima that refits start from where their number is given; else the fit alone
_REFITS = (40, 200)  # fewest and most where their number is not given
_WORK = 9e7  # rows times squared parameters, summed over refits, of about fifteen seconds


@dataclass(frozen=True, eq=False)
class Report:
    """What a report is made of.

    Attributes:
        laws: [m] fits of one law.
        rows: the run table, and which of its rows were fitted.
        n_params: N that the proposal is for.
        tokens: D.
        target_weights: by target, with sum 1.
        optimum: the proposal h*; None where the law does not look at the mixture.
        trust: its confidence set and gains; None where there were no refits.
        ensemble: the refits.
        baselines: mixtures by name, each [k].
        predicted: [m, p] losses of the rows.
        fitted_scores: by target, on the rows fitted.
        held_out_scores: by target, on the others.
        path: h* over sizes at the tokens per parameter of (N, D).
        effects: of domains on targets.
        comparison: of other laws, with the expression of the rows they were scored on.
        provenance: what the law file says of its origin, and the report's own settings.
        notes: what a reader should know, one sentence each.
    """

    laws: tuple[FittedLaw, ...]
    rows: Rows
    n_params: float
    tokens: float
    target_weights: dict[str, float]
    optimum: Optimum | None
    trust: Trust | None
    ensemble: Ensemble | None
    baselines: dict[str, np.ndarray]
    predicted: np.ndarray
    fitted_scores: dict[str, Score]
    held_out_scores: dict[str, Score]
    path: Optima | None
    effects: DomainEffects | None
    comparison: tuple[Comparison, str] | None
    provenance: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def domains(self) -> tuple[str, ...]:
        """Bare names of the training domains."""
        return self.laws[0].domains

    @property
    def targets(self) -> tuple[str, ...]:
        """Bare names of the targets."""
        return tuple(f.target for f in self.laws)

    @property
    def mixtures(self) -> np.ndarray:
        """Mixtures of the rows, [p, k]."""
        x = read_inputs(self.rows.table, self.laws[0].law, self.domains)
        return x.get("weights", np.zeros((len(self.rows.table), len(self.domains))))

    @property
    def observed(self) -> np.ndarray:
        """Losses of the rows, [m, p]; NaN where missing."""
        table = self.rows.table
        missing = np.full(len(table), np.nan)
        return np.stack(
            [table.losses([t])[0] if t in table.targets else missing for t in self.targets]
        )


def make_report(
    laws: Sequence[FittedLaw],
    rows: Rows,
    *,
    n_params: float | None = None,
    tokens: float | None = None,
    target_weights: Mapping[str, float] | None = None,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
    compare_laws: Sequence[str] = (),
    resamples: int | None = None,
    level: float = 0.9,
    weighting: str = "equal",
    seed: int = 0,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Computes what a report says.

    Args:
        laws: fits of one law over the same domains, one per target.
        rows: the run table and which rows were fitted (``read_rows``).
        n_params: N of the big run; None for the largest that was run.
        tokens: D of the big run; None for the largest that was run.
        target_weights: of the weighted loss by target; None for all alike.
        baselines: mixtures to compare with, by name; None for the uniform one and for that mixture
            of the table which the law likes best.
        compare_laws: laws to fit beside, on all but the largest size, and to score on that one.
        resamples: refits for the intervals, each from the best four optima of the fit; 0 for none,
            None for a quick look: 40 to 200, from the fit alone.
        level: probability that an interval is to cover.
        weighting: of rows, as in the fit.
        seed: of the resampling.
        provenance: of the law, shown as it is.
        progress: called with a stage, what is done and its total.

    Raises:
        JaxmixError: an unknown target or domain, a baseline that is no mixture, or a table that
            lacks all of the laws' targets.
    """
    laws = tuple(laws)
    unscored(laws, rows.table)
    _check_comparison(rows, compare_laws)
    largest = [min(r[1] for r in (getattr(f.data, x) for f in laws)) for x in _BUDGET]
    budget = float(n_params or largest[0]), float(tokens or largest[1])
    w = target_weight_rows(target_weights, [f.target for f in laws])[0]
    named = dict(zip((f.target for f in laws), w.tolist(), strict=True))
    mixes = laws[0].law.reads("weights") and bool(laws[0].domains)
    given = _baselines(laws, budget, w, baselines) if mixes else {}
    ensemble, notes = _refits(laws, rows, resamples, weighting, seed, progress)
    found = _sure(ensemble, budget, named, given, level) if mixes and ensemble else None
    best = found.optimum if found else None
    if mixes and best is None:
        best = optimize(laws, *budget, target_weights=named)
    return Report(
        laws,
        rows,
        *budget,
        named,
        best,
        found,
        ensemble,
        given,
        _predicted(laws, rows),
        _scores(laws, rows, True),
        _scores(laws, rows, False),
        _path(laws, budget, rows, named) if mixes else None,
        _effects(laws, budget, ensemble, level) if mixes else None,
        _compare(laws, rows, compare_laws, seed, progress),
        dict(provenance or {}),
        (*rows.notes, *notes),
    )


def _baselines(
    laws: tuple[FittedLaw, ...],
    budget: tuple[float, float],
    w: np.ndarray,
    given: Mapping[str, Mapping[str, float]] | None,
) -> dict[str, np.ndarray]:
    domains = laws[0].domains
    if given is not None:
        return {name: mixture_of(mixture, domains, name) for name, mixture in given.items()}
    found = {"uniform": np.full(len(domains), 1.0 / len(domains))}
    run = laws[0].data.mixtures
    if len(run):
        losses = np.stack(
            [f.predict({"n_params": budget[0], "tokens": budget[1], "weights": run}) for f in laws]
        )
        losses = np.where(w[:, None] > 0, w[:, None] * losses, 0.0).sum(0)
        best = run[int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))]
        if np.abs(best - found["uniform"]).max() > 1e-6:
            found["best mixture that was run"] = best
    return found


def _refits(
    laws: tuple[FittedLaw, ...],
    rows: Rows,
    resamples: int | None,
    weighting: str,
    seed: int,
    progress: Progress | None,
) -> tuple[Ensemble | None, tuple[str, ...]]:
    """The refits, or why there are none."""
    basins = 1 if resamples is None else _BASINS
    resamples = default_resamples(laws) if resamples is None else resamples
    if not resamples:
        return None, ("no refits were asked for: nothing here has an interval",)
    told = None if progress is None else lambda done, total: progress("refitting", done, total)
    try:
        ensemble = bootstrap(
            laws,
            rows.used,
            resamples=resamples,
            weighting=weighting,
            basins=basins,
            seed=seed,
            progress=told,
        )
        return ensemble, ()
    except JaxmixError as error:
        return None, (f"no intervals: {error}",)


def default_resamples(laws: Sequence[FittedLaw]) -> int:
    """How many refits a report can afford: fewer for many targets, rows and parameters."""
    laws = tuple(laws)
    k = len(laws[0].domains)
    one = sum(f.report.rows for f in laws) * laws[0].law.count(k) ** 2
    low, high = _REFITS
    return int(np.clip(_WORK / max(one, 1), low, high))


def _sure(
    ensemble: Ensemble,
    budget: tuple[float, float],
    named: dict[str, float],
    given: dict[str, np.ndarray],
    level: float,
) -> Trust:
    domains = ensemble.laws[0].domains
    mixtures = {name: dict(zip(domains, h.tolist(), strict=True)) for name, h in given.items()}
    return trust(ensemble, *budget, target_weights=named, baselines=mixtures, level=level)


def _predicted(laws: tuple[FittedLaw, ...], rows: Rows) -> np.ndarray:
    table = rows.table
    x = read_inputs(table, laws[0].law, laws[0].domains)
    return np.stack([f.predict(x) for f in laws])


def _scores(laws: tuple[FittedLaw, ...], rows: Rows, fitted: bool) -> dict[str, Score]:
    table = rows.used if fitted else rows.held_out
    if table is None:
        return {}
    return score([f for f in laws if f.target in table.targets], table)


def _path(
    laws: tuple[FittedLaw, ...], budget: tuple[float, float], rows: Rows, named: dict[str, float]
) -> Optima:
    low = rows.table.n_params.min()
    high = max(_BEYOND * rows.table.n_params.max(), budget[0] if np.isfinite(budget[0]) else 0.0)
    seen = min(f.data.n_params[1] for f in laws)
    sizes = np.unique([*np.geomspace(low, high, _PATH_POINTS), seen])
    ratio = budget[1] / budget[0]
    longer = sizes * ratio if np.isfinite(ratio) and ratio > 0 else np.full(len(sizes), budget[1])
    return optimize_many(laws, sizes, longer, target_weights=named)


def _effects(
    laws: tuple[FittedLaw, ...],
    budget: tuple[float, float],
    ensemble: Ensemble | None,
    level: float,
) -> DomainEffects:
    """At the middle of the mixtures that were run, where every domain has some weight."""
    run = laws[0].data.mixtures
    k = len(laws[0].domains)
    middle = run.mean(0) if len(run) else np.full(k, 1.0 / k)
    return domain_effects(laws, *budget, middle, ensemble=ensemble, level=level)


def _check_comparison(rows: Rows, others: Sequence[str]) -> None:
    """Raises ValueError for laws that cannot be compared, before anything is refitted."""
    for name in others:
        get_law(name)
    if others and np.ptp(rows.used.n_params) == 0:
        raise JaxmixError(
            f"{rows.used.source}: laws are compared by how they predict the largest size from the "
            "others, and the rows fitted have one size; leave --laws out"
        )


def _compare(
    laws: tuple[FittedLaw, ...],
    rows: Rows,
    others: Sequence[str],
    seed: int,
    progress: Progress | None,
) -> tuple[Comparison, str] | None:
    """Laws fitted on all sizes but the largest and scored on that one."""
    if not others:
        return None
    table, largest = rows.used, float(rows.used.n_params.max())
    found = compare(
        table,
        others,
        f"n_params < {largest!r}",
        f"n_params == {largest!r}",
        targets=[f.target for f in laws],
        restarts=_COMPARE_RESTARTS,
        seed=seed,
        progress=progress,
    )
    return found, f"N = {largest:.4g}"
