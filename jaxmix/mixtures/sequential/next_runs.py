"""Which runs to train next: a batch chosen greedily by what each tells about h*, per FLOP."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown, axes_or_new
from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaws
from jaxmix.fitting.precision import float64
from jaxmix.fitting.problem import Problem
from jaxmix.fitting.uncertainty.ensemble import Ensemble, finite
from jaxmix.fitting.uncertainty.influence import pose
from jaxmix.mixtures.designs import Coverage, coverage
from jaxmix.mixtures.optimum import Optimum
from jaxmix.mixtures.sequential.candidates import (
    Candidates,
    Pool,
    candidate_mixtures,
    corners,
    cross,
    distance,
    given_mixtures,
    make_pool,
    near,
)
from jaxmix.mixtures.sequential.posterior import believe, reductions, update
from jaxmix.mixtures.solve.problem import problem_of
from jaxmix.mixtures.solve.refits import losses_at, objective_of, solve_refits
from jaxmix.quantities import count as things
from jaxmix.runs import RunTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CRITERIA = ("regret", "variance", "space-filling", "random")
MOST_RUNS = 1000
_TINY = 1e-12
_NOISY = 0.5  # share of noise in the effect of mixtures from which repeats are allowed


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class NextRuns(Shown):
    """A batch of c runs over k domains, in the order in which they were chosen.

    Attributes:
        domains: bare names, the order of ``weights``.
        criterion: what they were chosen by.
        n_params: [c] N.
        tokens: [c] D.
        weights: [c, k] mixtures.
        regret: [c + 1] expected loss of acting on the noisy h*, nats: before, and after each run.
            A second-order approximation at the present fit: it ranks runs and promises nothing.
        spread: [c + 1] ``sqrt(tr Cov(h*))``, likewise.
        optimum: the present optimum of the big run.
        noise: standard deviation of one run's loss by target, on the scale that was fitted.
        before: how the mixtures that were run cover the simplex.
        after: the same with these.
        refused: candidates that were near-duplicates of runs made or chosen.
        notes: what a reader should know, one sentence each.
    """

    domains: tuple[str, ...]
    criterion: str
    n_params: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray
    regret: np.ndarray
    spread: np.ndarray
    optimum: Optimum
    noise: dict[str, float]
    before: Coverage
    after: Coverage
    refused: int
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.n_params)

    @property
    def _size(self) -> str:
        runs = things(len(self), "run")
        return f"{runs} by {self.criterion}, {self.flops.sum():.3g} FLOPs"

    def __repr__(self) -> str:
        return f"NextRuns({self._size})"

    @property
    def flops(self) -> np.ndarray:
        """[c] ``6 N D``."""
        return 6.0 * self.n_params * self.tokens

    def rows(self) -> list[dict[str, float]]:
        """One row per run with columns ``n_params``, ``tokens`` and ``w_<domain>``."""
        return [
            {"n_params": float(n), "tokens": float(d)}
            | {f"w_{name}": float(x) for name, x in zip(self.domains, h, strict=True)}
            for n, d, h in zip(self.n_params, self.tokens, self.weights, strict=True)
        ]

    def to_frame(self) -> pd.DataFrame:
        """The runs, and what is expected after each."""
        return pd.DataFrame(self.rows()).assign(regret=self.regret[1:], spread=self.spread[1:])

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` of ``jaxmix next``."""
        names = ("criterion", "regret", "spread", "noise", "refused", "notes")
        cover = {
            name: {key: getattr(found, key) for key in ("farthest", "typical", "closest")}
            for name, found in (("before", self.before), ("after", self.after))
        }
        return {
            "runs": self.rows(),
            "flops": float(self.flops.sum()),
            **{name: getattr(self, name) for name in names},
            "coverage": cover,
            "weights": self.optimum.weights,
        }

    @property
    def headline(self) -> str:
        """What to run and what it is expected to do, in one sentence."""
        return (
            f"{self._size}: the expected regret falls from {self.regret[0]:.2g} to "
            f"{self.regret[-1]:.2g} nats"
        )

    def _shown(self) -> Parts:
        return Parts(self.headline, {"": self.to_frame()}, self.notes)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Expected regret before and after each run."""
        ax = axes_or_new(ax)
        ax.plot(np.append(0.0, np.cumsum(self.flops)), self.regret, marker="o")
        ax.set(xlabel="FLOPs", ylabel="expected regret, nats", yscale="log")
        return ax


def next_runs(
    optimum: Optimum,
    runs: RunTable,
    *,
    flops: float | None = None,
    count: int | None = None,
    sizes: Sequence[tuple[float, float]] | None = None,
    criterion: str = "regret",
    candidates: np.ndarray | None = None,
    checkpoints: int = 1,
    noise: float | None = None,
    ensemble: Ensemble | None = None,
    closest: float = 0.02,
    repeats: bool | None = None,
    seed: int = 0,
) -> NextRuns:
    """The runs that tell most about the optimal mixture of a big run.

    The candidate with the largest reduction of the criterion per FLOP is chosen, beliefs are
    updated as if it had been run, and so on. The model is in
    ``jaxmix.mixtures.sequential.posterior`` and ``jaxmix.mixtures.sequential.criterion``.

    Args:
        optimum: of the big run, by laws fitted on ``runs``. Candidates meet its linear constraints
            and share its other inputs, such as available tokens.
        runs: the run table.
        flops: what the batch may cost, 6 N D per run; None for no limit.
        count: most runs; None for as many as ``flops`` pays. With both, a run may cost its even
            share of what is left before its price counts.
        sizes: allowed (N, D) of the new runs; None for the sizes that were run, each with its
            largest D.
        criterion: ``"regret"``, the expected loss of acting on the noisy h*; ``"variance"``,
            tr Cov(h*); ``"space-filling"``, the mixture farthest from all others; ``"random"``.
            The last two take the sizes in turn.
        candidates: mixtures [q, k] to choose from; None for random ones that meet the constraints,
            some near h*, and the corners and edges of the feasible set.
        checkpoints: evenly spaced token counts at which a new run records its losses; together
            they count as one observation.
        noise: standard deviation of one run's loss (relative for log residuals); None to estimate
            it from the residuals of the fit.
        ensemble: refits of the laws (``bootstrap``): the regret and the spread before are then
            those of their optima, as in ``Optimum.uncertainty``, and fall by the shares that the
            approximation gives. None for the approximation alone.
        closest: Euclidean distance below which two mixtures of one size are near-duplicates.
        repeats: whether near-duplicates are allowed; None to allow them if the noise exceeds half
            of the standard deviation of the loss over the candidates' mixtures.
        seed: of the random candidates.

    Raises:
        JaxmixError: no limit, an unknown criterion, laws and runs of different domains, candidates
            that are no mixtures, or nothing left to choose.

    Source: greedy L-optimal design (Pukelsheim 2006); the regret is that of decision-focused
    design, the second-order loss at the optimum of eq. (7), (8) or (13).
    """
    _check(criterion, flops, count, checkpoints, noise)
    optimum = optimum.counted
    laws, shape = optimum.laws, problem_of(optimum).shape
    odd = sorted(set(laws.domains) ^ set(runs.domains))
    if odd:
        raise JaxmixError(
            f"{runs.source}: domain '{odd[0]}' is not in both the runs and the laws; fit these runs"
        )
    with float64():
        ends, problem = corners(shape, seed), pose(laws, runs)
        mixtures = (
            candidate_mixtures(ends, optimum.h, seed)
            if candidates is None
            else given_mixtures(candidates, shape)
        )
        beliefs, found = believe(problem, laws, noise=noise)
        made = Candidates.made(problem)
        new = cross(mixtures, sizes or made.longest(), flops)
        pool = make_pool(problem, beliefs, optimum, made, new, checkpoints, ends.mean(0))
        notes = [*laws.mixture_notes, *found, *_other_rows(laws, problem)]
        if not pool.finite.all():
            lost = np.sum(~pool.finite)
            every = len(pool.finite)
            notes.append(f"{lost} of {every} candidates left out: the law is infinite there")
        noisy = pool.noise_share(laws[0].report.residual == "log")
        if repeats is None and noisy > _NOISY:
            notes.append(
                f"near-duplicates are allowed: noise is {noisy:.2g} of the effect of mixtures"
            )
        closest = 0.0 if (noisy > _NOISY if repeats is None else repeats) else closest
        chosen, curve, refused = _choose(pool, criterion, flops, count, closest, seed)
        if ensemble is not None:
            curve = curve * (
                _of_refits(optimum, ensemble.only(*laws.targets)) / np.maximum(curve[0], _TINY)
            )
    if count and len(chosen) < count:
        notes.append(f"{len(chosen)} of {count} runs: the budget or the candidates are used up")
    new, ran = pool.runs.take(chosen), np.unique(made.weights, axis=0)
    return NextRuns(
        domains=optimum.domains,
        criterion=criterion,
        **new._asdict(),
        regret=curve[:, 0],
        spread=curve[:, 1],
        optimum=optimum,
        noise=dict(zip(laws.targets, np.asarray(beliefs.noise).tolist(), strict=True)),
        before=coverage(ran),
        after=coverage(np.vstack([ran, new.weights])),
        refused=refused,
        notes=tuple(notes),
    )


def _of_refits(optimum: Optimum, ensemble: Ensemble) -> np.ndarray:
    """Mean regret of the refits' own optima under the laws, and their spread, [2]."""
    chosen, _ = solve_refits(optimum, ensemble.stacked)  # [B, k]
    cost = objective_of(optimum, partial(losses_at, optimum), chosen) - optimum.objective
    spread = np.sqrt(np.sum(np.var(chosen, axis=0)))
    return np.array([float(np.mean(np.maximum(finite(cost), 0.0))), float(spread)])


def _check(
    criterion: str, flops: float | None, count: int | None, checkpoints: int, noise: float | None
) -> None:
    if criterion not in CRITERIA:
        raise JaxmixError(f"unknown criterion '{criterion}': choose one of {', '.join(CRITERIA)}")
    if flops is None and count is None:
        raise JaxmixError("name a limit of the batch: flops, count or both")
    if count is not None and not 1 <= count <= MOST_RUNS:
        raise JaxmixError(f"count must be from 1 to {MOST_RUNS}, not {count}")
    if checkpoints < 1:
        raise JaxmixError(f"checkpoints must be at least 1, not {checkpoints}")
    for name, value in (("flops", flops), ("noise", noise)):
        if value is not None and not value > 0:
            raise JaxmixError(f"{name} must be above 0, not {value:g}")


def _other_rows(laws: FittedLaws, problem: Problem) -> list[str]:
    """A note if the laws were not fitted on these rows."""
    return [
        f"'{law.target}' was fitted on {things(law.report.rows, 'row')} and these are {used}: fit "
        "again"
        for law, used in zip(laws, problem.used.sum(1), strict=True)
        if law.report.rows not in (0, used)
    ][:1]


def _choose(
    pool: Pool,
    criterion: str,
    flops: float | None,
    count: int | None,
    closest: float,
    seed: int,
) -> tuple[list[int], np.ndarray, int]:
    """The greedy loop: positions in the pool, ``values`` [c + 1, 2], and candidates refused.

    Raises:
        JaxmixError: all candidates are near-duplicates.
    """
    beliefs, cost = pool.beliefs, pool.runs.flops
    rng, left = np.random.default_rng(seed), np.inf if flops is None else float(flops)
    repeated, taken = near(pool.runs, pool.made, closest), np.zeros(len(cost), bool)
    chosen: list[int] = []
    curve = [pool.values(beliefs)]
    while len(chosen) < (count or MOST_RUNS):
        allowed = pool.finite & ~repeated & ~taken & (cost <= left * (1 + 1e-9))
        if not allowed.any():
            break
        if criterion in pool.roots:
            score = np.asarray(reductions(beliefs, pool.roots[criterion], pool.gradients))
            share = left / (count - len(chosen)) if count else 0.0
            score = score / np.maximum(cost, share) if flops else score
        else:
            score = _blind_score(pool, criterion, chosen, allowed, rng)
        pick = int(np.argmax(np.where(allowed, score, -np.inf)))
        chosen.append(pick)
        left -= float(cost[pick])
        beliefs = update(beliefs, pool.gradients[pick])
        curve.append(pool.values(beliefs))
        taken[pick] = closest > 0
        repeated |= near(pool.runs, pool.runs.take([pick]), closest) & ~taken
    if not chosen:
        raise JaxmixError(
            f"no run is left to choose: {int(repeated.sum())} of {len(cost)} candidates are "
            "near-duplicates of runs that were made; allow them (--repeats), or give other --sizes"
        )
    return chosen, np.array(curve), int(repeated.sum())


def _blind_score(
    pool: Pool, criterion: str, chosen: list[int], allowed: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """[c] for the criteria that need no law; sizes in turn, among those that the budget pays."""
    runs = pool.runs
    if criterion == "random":
        score = rng.random(len(allowed))
    else:
        score = distance(runs.weights, np.vstack([pool.made.weights, runs.weights[chosen]]))
    costs = np.unique(runs.flops[allowed])
    return np.where(runs.flops == costs[len(chosen) % len(costs)], score, -1.0)
