"""Everything that a report says, computed once: the page and the figures only show it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting import (
    Comparison,
    Ensemble,
    FittedLaw,
    FittedLaws,
    Score,
    bootstrap,
    compare,
    read_inputs,
    score,
)
from jaxmix.fitting.scores import unscored
from jaxmix.fitting.uncertainty.clusters import FEWEST, default_cluster, run_labels
from jaxmix.mixtures import (
    DomainEffects,
    Optimum,
    Recommendation,
    domain_effects,
    recommend_mixture,
)
from jaxmix.mixtures.optimize import optimize_anew
from jaxmix.mixtures.optimum import unread_sizes
from jaxmix.mixtures.recommend import BEST_RUN, refit
from jaxmix.mixtures.uncertainty import Baselines, Uncertainty, check_baselines
from jaxmix.mixtures.what_if import BudgetSurface, LimitCurve, budget_surface, limit_curves
from jaxmix.quantities import count
from jaxmix.report.rows import BestRun, FittedRows, best_run, mark_rows
from jaxmix.runs import RunTable
from jaxmix.runs.reading import Table

Progress = Callable[[str, int, int], None]
_COMPARE_RESTARTS = 32


@dataclass(frozen=True, eq=False, kw_only=True)
class Report:
    """What a page is made of.

    Attributes:
        laws: fits of one law to m targets.
        rows: the run table, and which of its p rows were fitted.
        n_params: N of the big run.
        tokens: D.
        level: probability that an interval is to cover.
        optimum: the laws' own optimum; None if the law does not read the mixture.
        recommendation: the mixture that the runs support; None if there are no refits.
        supported: the optimum within the weights that were run and the limits that were given, from
            which the recommendation was made; None if the law does not read the mixture.
        uncertainty: of the optimum; None if there are no refits.
        ensemble: the refits.
        baselines: mixtures by name, each [k].
        best_run: the best mixture that was run, as measured.
        predicted: [m, p] losses of the rows.
        fitted_scores: by target, on the rows fitted.
        held_out_scores: by target, on the others.
        surface: ``supported`` over budgets; None if the law reads neither N nor D.
        curves: ``supported`` if one weight is limited, by domain.
        effects: of domains on targets.
        comparison: of other laws, with the size that they were scored on.
        provenance: where the laws and rows come from, shown as it is.
        notes: what a reader should know, one sentence each.
    """

    laws: FittedLaws
    rows: FittedRows
    n_params: float
    tokens: float
    level: float
    optimum: Optimum | None = None
    recommendation: Recommendation | None = None
    supported: Optimum | None = None
    uncertainty: Uncertainty | None = None
    ensemble: Ensemble | None = None
    baselines: dict[str, np.ndarray] = field(default_factory=dict)
    best_run: BestRun | None = None
    predicted: np.ndarray
    fitted_scores: dict[str, Score]
    held_out_scores: dict[str, Score]
    surface: BudgetSurface | None = None
    curves: tuple[LimitCurve, ...] = ()
    effects: DomainEffects | None = None
    comparison: tuple[Comparison, float] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def target_weights(self) -> dict[str, float]:
        """Of the weighted loss by target; equal if there is no optimum."""
        even = dict.fromkeys(self.laws.targets, 1 / len(self.laws))
        return self.optimum.target_weights if self.optimum else even

    @property
    def proposed(self) -> np.ndarray | None:
        """The mixture [k] that the page proposes; None if the law does not read the mixture."""
        if self.recommendation:
            return self.recommendation.h
        return self.supported.h if self.supported else None

    @property
    def compared(self) -> dict[str, np.ndarray]:
        """The mixtures that the proposal is compared with, each [k]."""
        return self.recommendation.baselines if self.recommendation else self.baselines

    @property
    def mixtures(self) -> np.ndarray:
        """Mixtures of the rows, [p, k]; zeros if the law does not read them."""
        x = read_inputs(self.rows.table, self.laws.law, self.laws.domains)
        return x.get("weights", np.zeros((len(self.rows.table), len(self.laws.domains))))

    @property
    def observed(self) -> np.ndarray:
        """Losses of the rows, [m, p]; NaN if missing."""
        table, missing = self.rows.table, np.full(len(self.rows.table), np.nan)
        held = [table.losses([t])[0] if table.measured(t) else missing for t in self.laws.targets]
        return np.stack(held)

    @property
    def all_notes(self) -> tuple[str, ...]:
        """Notes of the recommendation, or else of the optimum, and of the report."""
        of = self.recommendation or self.uncertainty or self.optimum
        return tuple(dict.fromkeys((*(of.notes if of else ()), *self.notes)))

    def to_dict(self) -> dict[str, Any]:
        """The numbers of the page for other programs, as ``jaxmix report --json`` prints them."""
        best, sure = self.optimum, self.uncertainty
        names = ("baseline", "predicted", "optimism", "corrected", "low", "high", "probability")
        gains = [{n: getattr(g, n) for n in names} for g in sure.gains] if sure else None
        return {
            "law": self.laws.law.name,
            "n_params": self.n_params,
            "tokens": self.tokens,
            "target_weights": self.target_weights,
            "recommendation": self.recommendation.to_dict() if self.recommendation else None,
            "weights": best.weights if best else None,
            "intervals": {d: i._asdict() for d, i in sure.intervals.items()} if sure else None,
            "gains": gains,
            "fitted_mre": {t: s.mre for t, s in self.fitted_scores.items()},
            "held_out_mre": {t: s.mre for t, s in self.held_out_scores.items()},
            "notes": list(self.all_notes),
            **dict.fromkeys(unread_sizes(self.laws)),
        }


def make_report(
    optimum: Optimum | Recommendation | Sequence[FittedLaw],
    runs: Table | RunTable | FittedRows,
    *,
    where: str | None = None,
    ensemble: Ensemble | None = None,
    uncertainty: Uncertainty | None = None,
    baselines: Baselines | None = None,
    level: float = 0.9,
    compare_laws: Sequence[str] = (),
    resamples: int | None = None,
    weighting: str = "equal",
    n_params: float | None = None,
    tokens: float | None = None,
    provenance: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Computes what a report says; arguments and errors as for ``write_report``."""
    recommended = optimum if isinstance(optimum, Recommendation) else None
    if recommended:
        optimum, ensemble, level = recommended.law_optimum, recommended.ensemble, recommended.level
        baselines = recommended.named_baselines
    best, rows = optimum if isinstance(optimum, Optimum) else None, mark_rows(runs, where)
    laws = best.laws if best else _without_mixture(optimum)  # type: ignore[arg-type]
    unscored(laws, rows.table)
    if uncertainty and uncertainty.optimum is not best:
        raise JaxmixError("the uncertainty is that of another optimum; give optimum.uncertainty()")
    if best:
        check_baselines(baselines, laws.domains)
    comparison = _compare(laws, rows.used, compare_laws, seed, progress)
    notes, ensemble = rows.notes, uncertainty.ensemble if uncertainty else ensemble
    if ensemble is None:
        options = {"weighting": weighting, "seed": seed, "progress": progress}
        best, ensemble, more = _refits(best, laws, rows.used, resamples, **options)
        laws, notes = best.laws if best else laws, (*notes, *more)
    budget = (best.n_params, best.tokens) if best else (n_params, tokens)
    largest = (min(getattr(f.data, name)[1] for f in laws) for name in ("n_params", "tokens"))
    n, d = (float(given or most) for given, most in zip(budget, largest, strict=True))
    report = Report(
        laws=laws,
        rows=rows,
        n_params=n,
        tokens=d,
        level=uncertainty.level if uncertainty else level,
        optimum=best,
        recommendation=recommended,
        uncertainty=uncertainty,
        ensemble=ensemble,
        predicted=laws.predict(rows.table).to_numpy().T,
        fitted_scores=_scores(laws, rows.used),
        held_out_scores=_scores(laws, rows.held_out),
        provenance=dict(provenance or {}),
        comparison=comparison,
        notes=notes,
    )
    return _with_mixtures(_with_baselines(report, baselines))


def _without_mixture(laws: Sequence[FittedLaw]) -> FittedLaws:
    """Fits of a law that does not read the mixture; raises JaxmixError for others."""
    laws = laws if isinstance(laws, FittedLaws) else FittedLaws(laws)
    if laws.law.reads("weights") and laws.domains:
        raise JaxmixError(
            f"law '{laws.law.name}' reads the mixture: give the report an optimum, such as "
            "laws.optimize(n_params, tokens)"
        )
    return laws


def _scores(laws: FittedLaws, table: RunTable | None) -> dict[str, Score]:
    return score([f for f in laws if table.measured(f.target)], table) if table else {}


def _with_baselines(report: Report, given: Baselines | None) -> Report:
    """The mixtures to compare the proposal with."""
    best, sure = report.optimum, report.uncertainty
    if best is None:
        return report
    run = best_run(report.rows.table, report.mixtures, best.target_weights)
    if sure:
        found = {g.baseline: g.mixture for g in sure.gains}
    else:
        found = check_baselines(given, report.laws.domains)
        if given is None and run and np.abs(run.weights - found["uniform"]).max() > 1e-6:
            found[BEST_RUN] = run.weights
    return replace(report, best_run=run, baselines=found)


def _refits(
    best: Optimum | None,
    laws: FittedLaws,
    rows: RunTable,
    resamples: int | None,
    *,
    weighting: str,
    seed: int,
    progress: Progress | None,
) -> tuple[Optimum | None, Ensemble | None, tuple[str, ...]]:
    """The refits, or a note that says why there are none, and the optimum of what was refitted."""
    if resamples == 0:
        return best, None, ("no refits were asked for: nothing here has an interval",)
    runs = int(run_labels(rows).max()) + 1
    if default_cluster(rows, laws.law.reads("weights")) == "run" and runs < FEWEST:
        few = count(runs, "run is", "runs are")
        note = f"no intervals: {few} too few to resample; at least {FEWEST} are needed"
        return best, None, (note,)
    options: dict[str, Any] = {
        "resamples": resamples,
        "weighting": weighting,
        "seed": seed,
        "progress": progress and (lambda done, total: progress("refitting", done, total)),
    }
    if best is None:
        return best, bootstrap(laws, rows, **options), ()
    found, ensemble = refit(best, rows, **options)
    return found, ensemble, () if found is best else found.notes[-1:]


def _with_mixtures(report: Report) -> Report:
    """What there is to say of the mixture: how sure it is, elsewhere, and what domains do."""
    best, ensemble, sure = report.optimum, report.ensemble, report.uncertainty
    if best is None:
        return report
    if sure is None and ensemble is not None:
        given = report.baselines.items()
        named = {name: dict(zip(best.domains, h.tolist(), strict=True)) for name, h in given}
        sure = best.uncertainty(ensemble, baselines=named, level=report.level)
    if report.recommendation is None and ensemble is not None:
        report = replace(report, recommendation=_recommended(report, best, ensemble))
    supported = report.recommendation.optimum if report.recommendation else _within_range(best)
    # At the middle of the mixtures that were run, where every domain has some weight.
    run = report.laws[0].data.mixtures
    middle = run.mean(0) if len(run) else np.full_like(best.h, 1 / len(best.h))
    x = best.inputs | {"weights": middle}
    return replace(
        report,
        uncertainty=sure,
        supported=supported,
        effects=domain_effects(report.laws, x, ensemble=ensemble, level=report.level),
        surface=budget_surface(supported),
        curves=limit_curves(supported),
    )


def _within_range(best: Optimum) -> Optimum:
    """The optimum within the range that was run, unless another region was asked for."""
    return best if best.constraints.within else optimize_anew(best, within="range")


def _recommended(report: Report, best: Optimum, ensemble: Ensemble) -> Recommendation:
    """The recommendation for the question of the page."""
    given = {n: h for n, h in report.baselines.items() if n not in ("uniform", BEST_RUN)}
    named = {n: dict(zip(best.domains, h.tolist(), strict=True)) for n, h in given.items()}
    return recommend_mixture(
        best, ensemble, report.rows.used, baselines=named or None, level=report.level
    )


def _compare(
    laws: FittedLaws, rows: RunTable, others: Sequence[str], seed: int, progress: Progress | None
) -> tuple[Comparison, float] | None:
    """Laws fitted on all sizes but the largest and scored on that one."""
    if not others:
        return None
    largest = float(rows.n_params.max())
    sizes = f"n_params < {largest!r}", f"n_params == {largest!r}"
    options = {"restarts": _COMPARE_RESTARTS, "seed": seed, "progress": progress}
    return compare(rows, others, *sizes, targets=laws.targets, **options), largest
