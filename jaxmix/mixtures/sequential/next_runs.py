"""Which runs to train next: a batch chosen greedily by what each tells about h*, per FLOP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.mixtures.designs import Coverage, coverage
from jaxmix.mixtures.optimize import Weights, optimize_many
from jaxmix.mixtures.sequential.candidates import candidate_mixtures, given_mixtures
from jaxmix.mixtures.sequential.greedy import MOST_RUNS, Batch, Scene, choose, make_scene
from jaxmix.runs import RunTable

CRITERIA = ("regret", "variance", "space-filling", "random")
_CLOSEST = 0.02
_NOISY = 0.5  # noise, as a share of what mixtures do to the loss, from which repeats are allowed


@dataclass(frozen=True, eq=False)
class NextRuns:
    """A batch of c runs over k domains, in the order they were chosen.

    Attributes:
        domains: bare names, the order of ``weights``.
        criterion: what they were chosen by.
        n_params: [c] N.
        tokens: [c] D.
        weights: [c, k] mixtures.
        flops: [c] ``6 N D``.
        regret: [c + 1] expected loss of acting on a noisy h*, nats: before, and after each run.
            To second order at the present fit: a ranking of runs rather than a promise.
        spread: [c + 1] ``sqrt(tr Cov(h*))``, likewise.
        optimum: [k] the present h*.
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
    flops: np.ndarray
    regret: np.ndarray
    spread: np.ndarray
    optimum: np.ndarray
    noise: dict[str, float]
    before: Coverage
    after: Coverage
    refused: int
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.n_params)

    def rows(self) -> list[dict[str, float]]:
        """One row per run with columns ``n_params``, ``tokens`` and ``w_<domain>``."""
        return [
            {"n_params": float(n), "tokens": float(d)}
            | {f"w_{name}": float(x) for name, x in zip(self.domains, h, strict=True)}
            for n, d, h in zip(self.n_params, self.tokens, self.weights, strict=True)
        ]


def next_runs(
    laws: Sequence[FittedLaw],
    runs: RunTable,
    *,
    n_params: float,
    tokens: float,
    flops: float | None = None,
    count: int | None = None,
    sizes: Sequence[tuple[float, float]] | None = None,
    criterion: str = "regret",
    candidates: np.ndarray | None = None,
    checkpoints: int = 1,
    target_weights: Weights = None,
    minimum: Mapping[str, float] | None = None,
    maximum: Mapping[str, float] | None = None,
    noise: float | None = None,
    closest: float = _CLOSEST,
    repeats: bool | None = None,
    seed: int = 0,
) -> NextRuns:
    """The runs that tell most about the optimal mixture of a big run.

    Greedy: the candidate with the largest fall of the criterion per FLOP is chosen, beliefs are
    updated as if it had been run, and so on. What a run tells is known to the choice of the next,
    so a batch is diverse by construction. The model is in
    ``jaxmix.mixtures.sequential.posterior`` and ``jaxmix.mixtures.sequential.criterion``.

    Args:
        laws: one fitted law per target, fitted on ``runs``.
        runs: the run table.
        n_params: N of the big run.
        tokens: D of the big run.
        flops: what the batch may cost, 6 N D a run; None for no limit.
        count: most runs; None for as many as ``flops`` pays. With both, a run may cost its even
            share of what is left before its price counts.
        sizes: allowed (N, D) of the new runs; None for the sizes that were run, each with its
            largest D.
        criterion: ``"regret"``, the expected loss of acting on a noisy h*; ``"variance"``,
            tr Cov(h*); ``"space-filling"``, the mixture farthest from all others; ``"random"``.
            The last two take the sizes in turn.
        candidates: mixtures [q, k] to choose from; None for random ones within the bounds and
            around h*, and for the corners and edges of the simplex.
        checkpoints: evenly spaced token counts at which a new run records its losses; together
            they count as one observation.
        target_weights: as in ``optimize``.
        minimum: smallest weight by domain, of h* and of candidates.
        maximum: largest weight by domain, likewise.
        noise: standard deviation of one run's loss (relative for log residuals); None to estimate
            it from the residuals of the fit.
        closest: Euclidean distance under which two mixtures of one size are near-duplicates.
        repeats: allow near-duplicates; None to allow them only where noise is more than half of
            the standard deviation that the candidates' mixtures give to the loss.
        seed: of the random candidates.

    Raises:
        JaxmixError: no limit, an unknown criterion, laws and runs of different domains, candidates
            that are no mixtures, or nothing left to choose.

    Source: greedy L-optimal design (Pukelsheim 2006); the regret is that of decision-focused
    design, the second-order loss at the optimum of eq. (7), (8) or (13).
    """
    _check(criterion, flops, count, checkpoints, noise)
    optima = optimize_many(
        laws,
        [n_params],
        [tokens],
        target_weights=target_weights,
        minimum=minimum,
        maximum=maximum,
    )
    with jax.enable_x64(True):
        at = optima.weights[0], optima.bounds
        mixtures = (
            candidate_mixtures(at[1], at[0], seed)
            if candidates is None
            else given_mixtures(candidates, at[1])
        )
        scene = make_scene(laws, runs, optima, mixtures, sizes, flops, checkpoints, noise)
        again, why = _repeats(repeats, laws, scene)
        batch = choose(scene, criterion, flops, count, None if again else closest, seed)
    return _answer(scene, criterion, batch, (*scene.notes, *why, *_short(batch, count)))


def _check(
    criterion: str, flops: float | None, count: int | None, checkpoints: int, noise: float | None
) -> None:
    if criterion not in CRITERIA:
        raise JaxmixError(f"unknown criterion '{criterion}': choose one of {', '.join(CRITERIA)}")
    if flops is None and count is None:
        raise JaxmixError("name a limit of the batch: flops, count or both")
    if flops is not None and not flops > 0:
        raise JaxmixError(f"flops must be above 0, not {flops:g}")
    if count is not None and not 1 <= count <= MOST_RUNS:
        raise JaxmixError(f"count must be from 1 to {MOST_RUNS}, not {count}")
    if checkpoints < 1:
        raise JaxmixError(f"checkpoints must be at least 1, not {checkpoints}")
    if noise is not None and not noise > 0:
        raise JaxmixError(f"noise must be above 0, not {noise:g}")


def _repeats(
    asked: bool | None, laws: Sequence[FittedLaw], scene: Scene
) -> tuple[bool, tuple[str, ...]]:
    """Whether near-duplicates are allowed, and why where that was not asked."""
    if asked is not None:
        return asked, ()
    losses, log = scene.losses[:, scene.finite], laws[0].report.residual == "log"
    first = scene.pool.flops[scene.finite] == scene.pool.flops[scene.finite][:1]  # one size
    effect = np.std(np.log(losses) if log else losses, axis=1, where=first)
    ratio = float(np.median(np.asarray(scene.beliefs.noise) / np.maximum(effect, 1e-300)))
    if ratio <= _NOISY:
        return False, ()
    return True, (f"near-duplicates are allowed: noise is {ratio:.2g} of the effect of mixtures",)


def _short(batch: Batch, count: int | None) -> list[str]:
    """A note where fewer runs were chosen than asked for."""
    if count is None or len(batch.chosen) == count:
        return []
    return [f"{len(batch.chosen)} of {count} runs: the budget or the candidates are used up"]


def _answer(scene: Scene, criterion: str, batch: Batch, notes: Sequence[str]) -> NextRuns:
    new = scene.pool.take(batch.chosen)
    before = np.unique(scene.made.weights, axis=0)
    return NextRuns(
        scene.optima.domains,
        criterion,
        *new,
        new.flops,
        batch.curve[:, 0],
        batch.curve[:, 1],
        scene.optima.weights[0],
        dict(zip(scene.optima.targets, np.asarray(scene.beliefs.noise).tolist(), strict=True)),
        coverage(before),
        coverage(np.vstack([before, new.weights])),
        batch.refused,
        tuple(notes),
    )
