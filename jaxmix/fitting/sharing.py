"""Parameters that targets and domains share: how strongly, and what a fit is to know of it.

Shared parameters are drawn to their mean over the targets, and those with one value per domain to
the mean over the domains as well, in working space (logarithms of positive parameters, N and D
measured in the scales of the rows). Names such as ``web:news`` and ``web:blogs`` make a group of
domains with a mean of its own. A strength of 1 means: a parameter that departs from the mean by a
factor of e costs half of what misses of 1% in every row cost. 0 leaves the fits apart, infinity
makes the parameter one number.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np

from jaxmix.errors import JaxmixError, hint
from jaxmix.fitting.problem import Problem
from jaxmix.fitting.solvers.multistart import Pool, Progress, Search, perturbed, run_search
from jaxmix.fitting.solvers.together import Ties, Together, fit_together, with_prior
from jaxmix.laws import Law
from jaxmix.quantities import count

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaw

Share = float | Literal["auto"] | Mapping[str, float]
STRENGTHS = (0.01, 0.1, 1.0)  # to try
_MISS = 0.01  # relative error of every row that strengths are measured by
_STARTS = 2  # optima of the separate fits from which a shared fit starts, each also perturbed


def read_share(share: float | Mapping[str, float], law: Law) -> dict[str, float]:
    """Strengths by parameter, without those of 0.

    Args:
        share: one strength for every parameter, or strengths by name.
        law: whose parameters they are.

    Raises:
        JaxmixError: an unknown parameter, or a strength that is negative or no number.

    >>> from jaxmix.laws import CHINCHILLA
    >>> read_share({"alpha": 1, "beta": 0}, CHINCHILLA)
    {'alpha': 1.0}
    """
    known = [p.name for p in law.parameters]
    named = share if isinstance(share, Mapping) else dict.fromkeys(known, share)
    for name, strength in named.items():
        if name not in known:
            raise JaxmixError(f"share: no parameter '{name}' in {law.name}; {hint(name, known)}")
        if isinstance(strength, str) or not strength >= 0:
            raise JaxmixError(
                f"share: the strength of '{name}' is {strength}; give 0 (separate fits), a "
                "positive number or inf (one value for all)"
            )
    return {name: float(strength) for name, strength in named.items() if strength > 0}


def shares_to_try(law: Law) -> tuple[dict[str, float], ...]:
    """Nothing, the parameters of domains and all parameters; the weakest sharing first.

    Few mixtures leave the parameters of domains open, few sizes the others: what draws these
    together can spoil a trend in N, so that both sets are tried.
    """
    names = [p.name for p in law.parameters]
    domain = [p.name for p in law.parameters if p.shape == "domain"]
    sets = [names] if domain in ([], names) else [domain, names]
    return ({}, *(dict.fromkeys(some, s) for s in STRENGTHS for some in sets))


def share_text(share: Mapping[str, float], law: Law) -> str:
    """Strengths for people, and as options read them.

    >>> from jaxmix.laws import CHINCHILLA
    >>> share_text({"alpha": 1.0, "beta": float("inf")}, CHINCHILLA)
    'alpha=1,beta=inf'
    >>> share_text(read_share(0.1, CHINCHILLA), CHINCHILLA)
    '0.1'
    """
    values = set(share.values())
    if not share:
        return "0"
    if len(share) == len(law.parameters) and len(values) == 1:
        return f"{values.pop():g}"
    return ",".join(f"{name}={strength:g}" for name, strength in share.items())


def ties(problem: Problem, strengths: Sequence[Mapping[str, float]]) -> Ties:
    """What fits have in common, with the strengths of each group of them.

    Args:
        problem: fits of the same targets for each group in turn.
        strengths: [G] from ``read_share``.
    """
    law, k = problem.objective.law, problem.objective.k
    domains = problem.runs.domains[:k]
    topics = [name.partition(":")[0] if ":" in name else "" for name in domains]
    cells = [(p.name, t) for p in law.parameters for t in (topics if p.shape == "domain" else "-")]
    known = {cell: i for i, cell in enumerate(dict.fromkeys(cells))}
    sizes = [p.size(k) for p in law.parameters]
    of_group = [[s.get(p.name, 0.0) for p in law.parameters] for s in strengths]
    unit = _units(problem)
    spread = np.repeat(np.array(of_group, float).reshape(len(strengths), -1), sizes, 1)
    precision = np.repeat(spread, len(unit) // len(strengths), 0) * unit[:, None]
    return Ties(precision, unit, np.array([known[cell] for cell in cells]), len(strengths))


def _units(problem: Problem) -> np.ndarray:
    """[F] eq. (6) if every row is missed by 1%."""
    objective, scales = problem.objective, problem.scales
    size = 0.5 * np.asarray(scales.loss_min + scales.loss_max)
    miss = _MISS * (np.ones_like(size) if objective.residual == "log" else size)
    small = np.minimum(miss, objective.delta)
    return small * (miss - 0.5 * small)


def starts_of(problem: Problem, pool: Pool) -> np.ndarray:
    """[n, F, P] the best optima of every fit, and perturbations of them."""
    best = pool.elites(_STARTS)
    keys = jax.random.split(jax.random.key(1), best.shape[:2])
    return np.concatenate([best, perturbed(problem, best, keys)])


def search_shared(
    search: Search,
    problem: Problem,
    strengths: Mapping[str, float],
    pool: Pool,
    restarts: int,
    seed: int,
    progress: Progress | None = None,
) -> tuple[Problem, Pool]:
    """The problem with the prior that its fits give one another, and optima under it.

    The separate fits find the means; a search at these finds basins that no separate fit prefers.

    Args:
        search: how to search.
        problem: one fit per target.
        strengths: from ``read_share``.
        pool: optima of the separate fits.
        restarts: local solves per target of the second search.
        seed: of that search.
        progress: as for ``run_search``.
    """
    tied = ties(problem, [strengths])
    first = fit_together(problem, tied, starts_of(problem, pool))
    held = with_prior(problem, first.center, tied.precision)
    found = run_search(search, held, restarts, seed, progress)
    own = Pool(first.z[None], first.value[None], np.isinf(first.value)[None])
    parts = zip((own.z, own.value, own.failed), (found.z, found.value, found.failed), strict=True)
    return held, Pool(*(np.concatenate(both) for both in parts))


def settle(problem: Problem, strengths: Mapping[str, float], best: Pool) -> tuple[Problem, Pool]:
    """The stationary point of the joint objective beside the best optima of a pool."""
    z = best.z[best.value.argmin(0), np.arange(best.value.shape[1])]
    tied = ties(problem, [strengths])
    assert problem.rows.prior is not None
    center = np.asarray(problem.rows.prior.center)
    end: Together = fit_together(problem, tied, z[None], center, exact=True, steps=50)
    pool = Pool(end.z[None], end.value[None], np.isinf(end.value)[None])
    return with_prior(problem, end.center, tied.precision), pool


def prior_of(problem: Problem, laws: "Sequence[FittedLaw]") -> Problem:
    """The problem of fitted laws with the prior that they were fitted with."""
    report = laws[0].report
    if not report.share:
        return problem
    center = np.stack([problem.working(f.report.center) for f in laws])
    return with_prior(problem, center, ties(problem, [report.share]).precision)


def shared_apart(problem: Problem, laws: "Sequence[FittedLaw]") -> list[str]:
    """A note if the means of shared parameters are those of more targets than are here."""
    share, prior = laws[0].report.share, problem.rows.prior
    if not share or prior is None:
        return []
    tied, center = ties(problem, [share]), np.asarray(prior.center)
    z = np.stack([np.asarray(problem.working(f.params)) for f in laws])
    for cell in np.unique(tied.cell[(tied.precision > 0).any(0)]):
        at = tied.cell == cell
        if abs(z[:, at].mean() - center[:, at].mean()) > 1e-5:
            return [
                "refits hold the means of shared parameters, which come from targets that are not "
                "among these: intervals are too narrow by what those leave open; give all targets"
            ]
    return []


def share_note(law: Law, strengths: Mapping[str, float], targets: int) -> str:
    """What a reader of a fit should know of it."""
    whole = len(strengths) == len(law.parameters)
    what = "parameters" if whole else ", ".join(strengths)
    by_domain = any(p.shape == "domain" and p.name in strengths for p in law.parameters)
    over = [count(targets, "target")] * (targets > 1) + ["domains"] * by_domain
    text = share_text(strengths, law)
    return f"{what} drawn to the means over {' and '.join(over) or 'one target'}, strength {text}"


def center_of(problem: Problem, fit: int) -> dict[str, Any]:
    """The center of a fit's prior as natural parameters, in values that files can hold."""
    prior = problem.rows.prior
    assert prior is not None
    natural = problem.natural(prior.center[fit])
    return {n: tuple(v.tolist()) if v.ndim else float(v) for n, v in natural.items()}
