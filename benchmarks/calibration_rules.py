"""Which rule makes intervals from refits: coverage, width and score of seven rules.

Last result: shares of 90% intervals that hold the truth, on 20 studies of each of five kinds (those
of ``calibration.py`` but the first and the fourth), 200 refits. Standard errors are .02 for
parameters (60 studies), .015 for losses, .035 within and .025 beyond the data for the others.

                           parameters    losses         gain           loss at h*
    rule                                 within beyond  within beyond  within beyond
    basic                  .74           .92    .98     .81    .92     .82    .92
    percentile             .85           .92    .98     .85    .96     .86    .95
    midway                 .83           .93    .98     .87    .94     .86    .94
    symmetric              .86           .93    .98     .87    .93     .88    .93
    BCa                    .78           .92    .97     .78    .80     .72    .80
    bootstrap-t            .75           .90    .98     .84    .93     .82    .93
    symmetric bootstrap-t  .82           .92    .98     .85    .93     .85    .93

Median widths are mostly within 5% of midway's; for gains and the loss at h* within the data BCa
and bootstrap-t are 4% to 11% narrower. Neither BCa nor bootstrap-t is better than the rule that was
in use, so ``jaxmix.fitting.uncertainty.ensemble.interval`` is midway between basic and percentile
intervals. The percentile and the symmetric rule are as good within the errors; the former leaves
the optimism of a chosen mixture out, and the latter misses true gains on the low side.

Studies, budgets and quantities are those of ``calibration.py``. A rule sees the same refits as all
others: their errors about the fitted law (at the mixture that each refit would choose and, as
``fixed``, at the proposal), random model errors, fits without one cluster (for the acceleration of
BCa) and standard errors of the fit and of every refit (cluster-robust, by the delta method) for the
studentized rules. The score is the interval score at 90% (Gneiting and Raftery 2007), width plus
20 times the distance of a missed truth, capped at half a nat (10 for parameters, on the scale on
which they are fitted); its mean is lowest for the best rule.

Run ``python benchmarks/calibration_rules.py [--studies 8] [--resamples 100] [--only NAME]``; three
kinds of studies take about seven minutes of CPU, most of it compilation.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from calibration import BUDGETS, KINDS, LEVEL, Kind, draw
from scipy.stats import norm

from jaxmix.fitting import Ensemble, FittedLaw, FittedLaws, bootstrap, fit
from jaxmix.fitting.uncertainty.bootstrap import Resampling
from jaxmix.fitting.uncertainty.clusters import cluster_labels
from jaxmix.fitting.uncertainty.ensemble import finite
from jaxmix.fitting.uncertainty.refit import Refitter, make_refitters
from jaxmix.laws import Inputs
from jaxmix.mixtures import dirichlet_design, optimize, uncertainty
from jaxmix.runs import RunTable

COMPARED = (KINDS[1], KINDS[4], KINDS[5])
PRIOR = 3.0  # standard deviation of a working parameter, which keeps the sandwich finite
CAP = {"parameters": 10.0}  # of a score; half a nat for the others


@dataclass(frozen=True)
class Case:
    """One study's quantities q of a kind, as the rules see them; B refits, G clusters.

    Attributes:
        truth: [q].
        center: [q] estimates.
        errors: [B, q] of refits about the fitted law, each at its own mixture.
        fixed: [B, q] the same at the proposal.
        model: [B, q] random model errors.
        left_out: [G, q] estimates without one cluster.
        ratio: [B, q] standard error of the fit over that of the refit.
    """

    truth: np.ndarray
    center: np.ndarray
    errors: np.ndarray
    fixed: np.ndarray
    model: np.ndarray
    left_out: np.ndarray
    ratio: np.ndarray


Ends = tuple[np.ndarray, np.ndarray]
TAIL = (1 - LEVEL) / 2


def _ends(errors: np.ndarray) -> Ends:
    low, high = np.quantile(errors, [TAIL, 1 - TAIL], axis=0)
    return low, high


def basic(case: Case) -> Ends:
    """The estimate less the quantiles of the errors."""
    low, high = _ends(case.errors + case.model)
    return case.center - high, case.center - low


def percentile(case: Case) -> Ends:
    """The estimate plus the quantiles of the errors."""
    low, high = _ends(case.fixed + case.model)
    return case.center + low, case.center + high


def midway(case: Case) -> Ends:
    """Midway between the two."""
    (a, b), (c, d) = basic(case), percentile(case)
    return 0.5 * (a + c), 0.5 * (b + d)


def symmetric(case: Case) -> Ends:
    """The estimate plus and minus a quantile of the absolute errors (Hall 1988)."""
    both = np.concatenate([case.errors, case.fixed]) + np.tile(case.model, (2, 1))
    half = np.quantile(np.abs(both), LEVEL, axis=0)
    return case.center - half, case.center + half


def bca(case: Case) -> Ends:
    """Bias-corrected and accelerated percentiles (Efron 1987)."""
    below = np.sum(case.errors < 0, 0) + 0.5 * np.sum(case.errors == 0, 0)
    z0 = norm.ppf((below + 0.5) / (len(case.errors) + 1))
    away = case.left_out.mean(0) - case.left_out
    skew = (away**3).sum(0) / (6 * np.maximum((away**2).sum(0), 1e-300) ** 1.5)

    def end(tail: float) -> np.ndarray:
        z = z0 + norm.ppf(tail)
        at = norm.cdf(z0 + z / np.maximum(1 - skew * z, 0.1))
        sample = case.fixed + case.model
        return np.array([np.quantile(s, a) for s, a in zip(sample.T, at, strict=True)])

    return case.center + end(TAIL), case.center + end(1 - TAIL)


def studentized(case: Case) -> Ends:
    """The bootstrap-t interval."""
    low, high = _ends(case.errors * case.ratio + case.model)
    return case.center - high, case.center - low


def symmetric_t(case: Case) -> Ends:
    """The symmetric bootstrap-t interval (Hall 1988)."""
    half = np.quantile(np.abs(case.errors * case.ratio + case.model), LEVEL, axis=0)
    return case.center - half, case.center + half


RULES: dict[str, Callable[[Case], Ends]] = {
    "basic": basic,
    "percentile": percentile,
    "midway": midway,
    "symmetric": symmetric,
    "BCa": bca,
    "bootstrap-t": studentized,
    "symmetric bootstrap-t": symmetric_t,
}


@dataclass(frozen=True)
class Refitted:
    """One study's target with its refits, and what the local rules need.

    Attributes:
        refitter: of the target.
        ensemble: the wild refits, of this target alone.
        z: [1 + B, P] working vectors: the fit's and the refits'.
        left_out: [G, P] working vectors of fits without one cluster.
        moves: [1 + B, P, G] first-order change of each by each cluster's residuals.
    """

    refitter: Refitter
    ensemble: Ensemble
    z: np.ndarray
    left_out: np.ndarray
    moves: np.ndarray

    def case(self, quantity, truth, errors, fixed, model) -> Case:
        """A case of a function of natural parameters; the others as in ``Case``."""
        objective, units = self.refitter.problem.objective, self.refitter.problem.units
        law = objective.law

        def of(z):
            params = law.from_working(z, objective.k)
            return quantity(law.rescale(params, 1 / units[0], 1 / units[1]))

        with jax.enable_x64(True):
            slopes = np.asarray(jax.jit(jax.vmap(jax.jacrev(of)))(self.z))  # [1 + B, q, P]
            center = np.asarray(of(jnp.asarray(self.z[0])))
            left_out = np.asarray(jax.jit(jax.vmap(of))(self.left_out))
        size = np.linalg.norm(slopes @ self.moves, axis=-1)
        ratio = np.clip(size[0] / np.maximum(size[1:], 1e-300), 0.02, 50.0)
        parts = (finite(x) for x in (errors, fixed, model, left_out))
        return Case(np.asarray(truth), center, *parts, ratio)


def refit_all(laws: FittedLaws, table: RunTable, resamples: int) -> list[Refitted]:
    """Every study of a table with its refits."""
    ensemble = bootstrap(laws, table, resamples=resamples, cluster="mixture")
    labels, found = cluster_labels(table, "mixture"), []
    draws = Resampling.draw("wild", resamples, labels, 0)  # those of the bootstrap
    member = np.arange(labels.max() + 1)[:, None] == labels  # [G, p]
    with jax.enable_x64(True):
        for i, refitter in enumerate(make_refitters(laws, table)):
            one, left = ensemble.only(laws.targets[i]), refitter.leave_out(labels)
            params = {n: jnp.asarray(v[0]) for n, v in one.params.items()}
            z = laws.law.to_working(_rescaled(laws.law, params, refitter.problem.units))
            z = np.concatenate([refitter.starts[:1], np.asarray(z)])
            losses = draws.data(refitter, left, slice(None))[0]
            moves = _moves(refitter, z, np.vstack([refitter.losses, losses]), member)
            found.append(Refitted(refitter, one, z, left.z, moves))
    return found


def _rescaled(law, params, units):
    return jax.vmap(lambda p: law.rescale(p, *units))(params)


def _moves(refitter: Refitter, z: np.ndarray, losses: np.ndarray, member) -> np.ndarray:
    """Least-squares change of vectors [n, P] by the residuals of each cluster, [n, P, G].

    The square root of a cluster-robust sandwich, each with its own losses [n, p].
    """
    objective, rows = refitter.problem.objective, refitter.rows.of_fit(jnp.asarray(0))

    def one(given):
        vector, own = given
        residuals, jacobian = objective.linearize(vector, rows._replace(losses=own))
        variance = jnp.mean(residuals**2)
        gram = jacobian @ jacobian.T / variance + jnp.eye(len(vector)) / PRIOR**2
        return jnp.linalg.solve(gram, (jacobian * residuals / variance) @ member.T)

    return np.asarray(jax.lax.map(one, (jnp.asarray(z), jnp.asarray(losses))))


def cases(kind: Kind, studies: int, resamples: int, seed: int) -> Iterator[tuple[str, Case]]:
    """All cases of a kind of study, by the name of their quantities."""
    truths, table = draw(kind, studies, seed)
    laws = fit(table, kind.law, restarts=64)
    unseen = dirichlet_design(kind.k, 20, seed=seed + 2, minimum=0.02)
    for one, truth in zip(refit_all(laws, table, resamples), truths, strict=True):
        if kind.law == kind.truth:
            yield "parameters", _parameters(one, truth)
        for place, x in BUDGETS.items():
            yield f"loss, {place}", _losses(one, truth, x | {"weights": unseen})
            for name, case in _proposal(one, truth, x):
                yield f"{name}, {place}", case


def _parameters(one: Refitted, truth: FittedLaw) -> Case:
    law, params = truth.law, {n: v[0] for n, v in one.ensemble.params.items()}
    with jax.enable_x64(True):
        own = law.to_working(one.ensemble.laws[0].params)
        errors = np.asarray(law.to_working(params) - own)
        true = np.asarray(law.to_working(truth.params))
    return one.case(law.to_working, true, errors, errors, np.zeros_like(errors))


def _losses(one: Refitted, truth: FittedLaw, x: Inputs) -> Case:
    law = one.ensemble.laws[0]
    errors = one.ensemble.losses(x)[0] - law.predict(x)
    model = one.ensemble.model_errors(x)[0]
    return one.case(partial(law.law.loss, x=x), truth.predict(x), errors, errors, model)


def _proposal(one: Refitted, truth: FittedLaw, x: Inputs) -> Iterator[tuple[str, Case]]:
    """The gain of the optimum over the uniform mixture, and the loss there."""
    ensemble, law = one.ensemble, one.ensemble.laws[0]
    best = optimize(ensemble.laws, **x)
    found = uncertainty(best, ensemble, level=LEVEL)
    uniform, chosen = np.full_like(best.h, 1 / len(best.h)), found.refit_optima
    at = {name: x | {"weights": h} for name, h in (("best", best.h), ("uniform", uniform))}
    own = x | {"weights": chosen}
    said = np.diagonal(ensemble.losses(own)[0])  # [B] each refit at its own optimum
    errors = said - law.predict(own)
    fixed = ensemble.losses(at["best"])[0] - law.predict(at["best"])
    away = ensemble.losses(at["uniform"])[0] - law.predict(at["uniform"])
    distance = np.linalg.norm(best.h - uniform)
    models = (
        ensemble.model_errors(at["best"])[0],
        ensemble.model_error_differences(at["best"], np.ones(1), distance),
    )

    def loss(params):
        return law.law.loss(params, at["best"])[None]

    def gain(params):
        return law.law.loss(params, at["uniform"])[None] - loss(params)

    true, plain = (truth.predict(at[name]) for name in ("best", "uniform"))
    columns = [e[:, None] for e in (errors, fixed, models[0])]
    yield "loss at h*", one.case(loss, [true], *columns)
    columns = [e[:, None] for e in (away - errors, away - fixed, models[1])]
    yield "gain", one.case(gain, [plain - true], *columns)


def judged(name: str, case: Case) -> dict[str, tuple[float, float, float]]:
    """Coverage, width and score of every rule."""
    found = {}
    for rule, make in RULES.items():
        low, high = make(case)
        missed = np.maximum(low - case.truth, 0) + np.maximum(case.truth - high, 0)
        score = np.minimum(high - low + 2 * missed / (1 - LEVEL), CAP.get(name, 0.5))
        found[rule] = float(np.mean(missed <= 1e-12)), float(np.median(high - low)), score.mean()
    return found


def main() -> None:
    """Judges all rules on some kinds of studies and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="part of the name of a kind of study")
    parser.add_argument("--studies", type=int, default=8)
    parser.add_argument("--resamples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = []
    for kind in COMPARED:
        if options.only is None or options.only in kind.name:
            for name, case in cases(kind, options.studies, options.resamples, options.seed):
                found = judged(name, case)
                unit = max(found["midway"][1], 1e-12)
                rows += [(name, r, c, w / unit, s) for r, (c, w, s) in found.items()]
    frame = pd.DataFrame(rows, columns=["quantity", "rule", "coverage", "width", "score"])
    groups = frame.groupby(["quantity", "rule"], sort=False)
    table = groups.agg(
        studies=("coverage", "size"),
        coverage=("coverage", "mean"),
        error=("coverage", "sem"),
        width=("width", "median"),
        score=("score", "mean"),
    )
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
