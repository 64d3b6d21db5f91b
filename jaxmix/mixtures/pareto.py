"""The Pareto front of several targets: mixtures that cannot lower one loss without raising another.

Every point solves ``min t, L^i(h) <= ideal_i + share_i t`` for one direction (Pascoletti and
Serafini 1984): an epsilon-constraint for all targets at once, which reaches the parts of a front
that no weighted sum does. Its multipliers are the weights of the sum that the point is
stationary for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown, axes_or_new, plain
from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.solvers.multistart import Progress
from jaxmix.mixtures.constraints import Constraints
from jaxmix.mixtures.designs import grid_design
from jaxmix.mixtures.optimize import as_laws, target_weight_rows
from jaxmix.mixtures.solve.certificate import convexity, find_prices, prove
from jaxmix.mixtures.solve.constrained import MET, best_end, meet_limits
from jaxmix.mixtures.solve.problem import Problem, make_problem
from jaxmix.mixtures.solve.program import Program, Terms
from jaxmix.quantities import count
from jaxmix.runs.names import resolve_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRACE = 1e-6  # weight of the mean loss beside t: no point may leave a loss it could lower
_FAR = 1e6  # nats: a limit that no loss meets
_SAME = 1e-8  # nats within which two points are one


@dataclass(frozen=True, eq=False, repr=False)
class Front(Shown):
    """A Pareto front, F points in order of the first target's loss.

    Attributes:
        domains: bare names, the order of ``h``.
        targets: bare names, the order of ``losses``.
        n_params: N.
        tokens: D.
        h: [F, k] mixtures.
        losses: [F, m] losses there, nats; no row is as high as another in every target.
        target_weights: [F, m] w with sum 1 for which the point is stationary: at the margin,
            target i may be lowered by w_j nats for every w_i that target j rises.
        prices: for each point, by constraint that binds there, what loosening it gains in
            ``sum_i w_i L^i``, nats per unit.
        proven: the losses are convex in h, so that every point is optimal for its weights.
        reason: why they are or may not be.
    """

    domains: tuple[str, ...]
    targets: tuple[str, ...]
    n_params: float
    tokens: float
    h: np.ndarray
    losses: np.ndarray
    target_weights: np.ndarray
    prices: tuple[dict[str, float], ...]
    proven: bool
    reason: str

    def __len__(self) -> int:
        return len(self.h)

    @property
    def headline(self) -> str:
        """How far the losses of the targets can be traded, in one sentence."""
        ends = zip(self.targets, self.losses.min(0), self.losses.max(0), strict=True)
        traded = ", ".join(f"{t} {low:.4g} to {high:.4g}" for t, low, high in ends)
        return f"{count(len(self), 'mixture')} that trade losses, nats: {traded}"

    def _shown(self) -> Parts:
        frame = self.to_frame().drop(columns=["n_params", "tokens"])
        doubt = [] if self.proven else [f"not proven to be the whole front: {self.reason}"]
        return Parts(self.headline, {"": frame}, doubt)

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` of ``jaxmix pareto``."""
        points = [
            {
                "weights": dict(zip(self.domains, self.h[i], strict=True)),
                "losses": dict(zip(self.targets, self.losses[i], strict=True)),
                "target_weights": dict(zip(self.targets, self.target_weights[i], strict=True)),
                "prices": self.prices[i],
            }
            for i in range(len(self))
        ]
        return {"points": points, "proven": self.proven, "reason": self.reason}

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The losses of the other targets against that of the first."""
        ax = axes_or_new(ax)
        for target, losses in zip(self.targets[1:], self.losses.T[1:], strict=True):
            style = "o-" if len(self.targets) == 2 else "o"
            ax.plot(self.losses[:, 0], losses, style, ms=4, label=plain(target))
        ax.set(xlabel=f"loss of {plain(self.targets[0])}, nats", ylabel="loss, nats")
        ax.legend(frameon=False)
        return ax

    def to_frame(self) -> pd.DataFrame:
        """One row per point in the columns of a run table, and the target weights that find it."""
        columns: dict[str, Any] = {"n_params": self.n_params, "tokens": self.tokens}
        columns |= {f"w_{d}": self.h[:, i] for i, d in enumerate(self.domains)}
        columns |= {f"loss_{t}": self.losses[:, i] for i, t in enumerate(self.targets)}
        columns |= {f"weight_{t}": self.target_weights[:, i] for i, t in enumerate(self.targets)}
        return pd.DataFrame(columns)


def pareto(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    constraints: Constraints | None = None,
    *,
    targets: Sequence[str] | None = None,
    points: int = 21,
    at: Mapping[str, Any] | None = None,
    starts: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Front:
    """The Pareto front of two or more targets within constraints at one budget.

    Args:
        laws: one fitted law per target; the same law over the same domains.
        n_params: N; ``inf`` for the limit.
        tokens: D.
        constraints: what every mixture must meet; None for nothing. Guards may be on other targets.
        targets: those that are traded; None for all.
        points: about how many directions are tried: each target's own optimum, and an even
            lattice between. Directions that lead to the same or a dominated point are left out.
        at: other inputs of the law by name.
        starts: starting points of each; as for ``optimize``.
        seed: of the random starts.
        progress: called with the directions done and their total.

    Raises:
        JaxmixError: fewer than two targets or as many points, or as ``optimize``.
    """
    laws = as_laws(laws)
    names = laws.targets if targets is None else resolve_names([*targets], laws.targets, "target")
    if len(names) < max(2, len(targets or ())):
        asked = list(targets or names)
        raise JaxmixError(f"a Pareto front needs two or more different targets, not {asked}")
    if points < len(names):
        raise JaxmixError(f"points is {points}: {len(names)} targets need as many; raise --points")
    (w,) = target_weight_rows(dict.fromkeys(names, 1.0), laws.targets)
    problem = make_problem(laws, n_params, tokens, constraints, w, worst_case="loss", at=at)
    proven, reason = convexity(problem.laws, problem.x, problem.counted)
    begins = starts or (1 if proven else max(8, len(problem.laws.domains) + 4))
    begin = problem.shape.starts(begins, seed)
    problem.check_finite(begin[0])
    terms = problem.terms(problem.laws.stacked)
    program, begin = meet_limits(terms, problem.program(problem.laws.stacked), begin)
    traded = _Traded(problem, terms, program, begin, names)
    found: list[tuple[Program, np.ndarray]] = []

    def solve_all(programs: list[Program], total: int) -> None:
        for one in programs:
            found.append((one, best_end(terms, one, begin)[0]))
            if progress:
                progress(len(found), total)

    solve_all(_anchors(traded), points)
    ends = np.array([traded.losses(x) for _, x in found])
    between = _between(traded, ends.min(0), ends.max(0), points)
    solve_all(between, len(found) + len(between))
    return _front(traded, found, proven, reason)


@dataclass(frozen=True, eq=False)
class _Traded:
    """A problem with a row of kind ``"worst"`` for every traded target."""

    problem: Problem
    terms: Terms
    program: Program
    starts: np.ndarray  # [S, k]
    names: tuple[str, ...]

    @cached_property
    def columns(self) -> np.ndarray:
        """[m] where the traded targets are among the losses."""
        return np.array([self.problem.laws.targets.index(name) for name in self.names])

    @cached_property
    def rows(self) -> np.ndarray:
        """[m] where their rows are."""
        worst = {row.name: i for i, row in enumerate(self.program.rows) if row.kind == "worst"}
        return np.array([worst[name] for name in self.names])

    @property
    def trace(self) -> np.ndarray:
        """Coefficients [m + 1] of the mean loss."""
        mean = np.zeros_like(self.program.objective)
        mean[self.columns] = _TRACE / len(self.names)
        return mean

    def losses(self, x: np.ndarray) -> np.ndarray:
        """Losses of the traded targets."""
        return self.terms(x[:-1])[0][self.columns]


def _anchors(traded: _Traded) -> list[Program]:
    """Every traded target's own optimum; among equals, the one that is best for the others."""
    p = traded.program
    matrix, right = p.matrix.copy(), p.right.copy()
    matrix[:, -1], right[traded.rows] = 0.0, _FAR
    alone = replace(
        p,
        cost=0.0 * p.cost,
        matrix=matrix,
        right=right,
        lower=np.append(p.lower[:-1], 0.0),
        upper=np.append(p.upper[:-1], 0.0),
    )
    units = np.eye(len(p.objective))[traded.columns]
    return [replace(alone, objective=traded.trace + unit) for unit in units]


def _between(traded: _Traded, low: np.ndarray, high: np.ndarray, points: int) -> list[Program]:
    """Programs of points between the anchors, one for each direction."""
    wide, m, found = high - low, len(traded.names), []
    if points <= m or not wide.max() > _SAME:
        return []
    for direction in _lattice(m, points - m) * np.maximum(wide, 1e-6 * wide.max()):
        right, matrix = traded.program.right.copy(), traded.program.matrix.copy()
        right[traded.rows], matrix[traded.rows, -1] = low, -direction
        found.append(replace(traded.program, objective=traded.trace, right=right, matrix=matrix))
    return found


def _lattice(m: int, least: int) -> np.ndarray:
    """At least so many directions with positive entries and sum 1, evenly spread; [B, m]."""
    steps = m
    while math.comb(steps - 1, m - 1) < least:
        steps += 1
    grid = grid_design(m, steps)
    return grid[np.all(grid > 0, 1)]


def _front(
    traded: _Traded, found: list[tuple[Program, np.ndarray]], proven: bool, reason: str
) -> Front:
    fits = [p.excess(traded.terms, x) <= 100 * MET for p, x in found]
    losses = np.array([traded.losses(x) for _, x in found])
    keep = best_rows(np.where(np.array(fits)[:, None], losses, np.inf))
    keep = keep[np.argsort(losses[keep, 0], kind="stable")]
    shares = [_shares(traded, *found[i]) for i in keep]
    return Front(
        traded.problem.laws.domains,
        traded.names,
        float(traded.problem.x["n_params"]),
        float(traded.problem.x["tokens"]),
        np.array([found[i][1][:-1] for i in keep]),
        losses[keep],
        np.array([share for share, _ in shares]),
        tuple(prices for _, prices in shares),
        proven,
        reason,
    )


def _shares(
    traded: _Traded, program: Program, x: np.ndarray
) -> tuple[np.ndarray, dict[str, float]]:
    """Target weights of one point, and the prices in their weighted loss."""
    proof = prove(traded.terms, program, x)
    share = program.objective[traded.columns] + proof.rows[traded.rows]
    total = share.sum()
    prices = find_prices(program, proof)
    return share / total, {price.label: float(price.price / total) for price in prices}


def best_rows(losses: np.ndarray) -> np.ndarray:
    """Indices of the rows [F, m] that no other row dominates; of equal rows the first.

    >>> best_rows(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0], [2.0, 2.0]]))
    array([0, 1])
    """
    kept: list[int] = []
    for i, row in enumerate(losses):
        others = np.delete(losses, i, 0)
        dominated = np.any(np.all(others <= row, 1) & np.any(others < row, 1))
        same = any(np.all(np.abs(losses[j] - row) <= _SAME) for j in kept)
        if np.all(np.isfinite(row)) and not dominated and not same:
            kept.append(i)
    return np.array(kept, int)
