"""Answers: the optimal mixture at one budget or many, with what proves it and what limits it."""

from dataclasses import dataclass, field

import numpy as np

from jaxmix.fitting.fitted import DataRange
from jaxmix.fitting.hull import hull_distance
from jaxmix.mixtures.simplex import Bounds


@dataclass(frozen=True, eq=False)
class Optimum:
    """The optimal mixture at one budget.

    Attributes:
        domains: bare names, the order of ``weights``.
        weights: [k] optimal mixture h*; weights that a bound holds are exactly at it.
        n_params: N.
        tokens: D.
        target_weights: w of eq. (13) by target, with sum 1.
        predicted: predicted loss by target, nats.
        objective: ``sum_i w_i L^i(N, D, h*)``, nats.
        gap: duality gap, nats: where ``proven``, no mixture within the bounds has an objective
            lower by more than this.
        active: bounds that hold the optimum, such as ``"books>=0.05"``.
        multipliers: by entry of ``active``, what loosening that bound would gain, nats per unit
            of weight; never negative.
        converged: the gap is below 1e-9 of the objective.
        proven: the objective is convex in h, so that ``gap`` proves the optimum.
        reason: why it is or may not be.
        starts: starting points that were run.
        agreeing: how many ended within 1e-6 (relative) of the best objective.
        hull_distance: Euclidean distance of h* to the convex hull of the mixtures that the laws
            were fitted on; 0 inside; None where these are unknown.
        notes: what a reader should know before training with h*, one sentence each.
        worth_of: by entry of ``active``, its multiplier in words, such as "one more epoch of books
            is worth 0.003 nats"; those of ``h >= 0`` have none.
        residual: largest part of a weight's cost that the multipliers leave unexplained, nats.
    """

    domains: tuple[str, ...]
    weights: np.ndarray
    n_params: float
    tokens: float
    target_weights: dict[str, float]
    predicted: dict[str, float]
    objective: float
    gap: float
    active: tuple[str, ...]
    multipliers: dict[str, float]
    converged: bool
    proven: bool
    reason: str
    starts: int
    agreeing: int
    hull_distance: float | None
    notes: tuple[str, ...]
    worth_of: dict[str, str] = field(default_factory=dict)
    residual: float = 0.0

    @property
    def worth(self) -> tuple[str, ...]:
        """``worth_of`` as sentences."""
        return tuple(self.worth_of.values())

    @property
    def mixture(self) -> dict[str, float]:
        """The weights by domain."""
        return dict(zip(self.domains, self.weights.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class Optima:
    """Optimal mixtures at B budgets, k domains, m targets; ``optima[b]`` is one ``Optimum``.

    Attributes:
        domains: bare names of the domains.
        targets: bare names of the targets.
        n_params: [B] N.
        tokens: [B] D.
        target_weights: [B, m], each row with sum 1.
        weights: [B, k] optimal mixtures.
        predicted: [B, m] losses there, nats.
        objective: [B] weighted losses there, nats.
        gap: [B] duality gaps, nats.
        multipliers: [B, k] nats per unit of weight: positive where a minimum holds the weight,
            negative where a maximum does, 0 where it is free.
        converged: [B] the gap is below 1e-9 of the objective.
        agreeing: [B] starts that ended within 1e-6 (relative) of the best.
        starts: starts per budget.
        proven: the gaps prove the optima.
        reason: why they do or may not.
        bounds: bounds on the weights.
        data: what each target's law was fitted on.
        untied: the law knows repetition, and was not told of how much data there is.
    """

    domains: tuple[str, ...]
    targets: tuple[str, ...]
    n_params: np.ndarray
    tokens: np.ndarray
    target_weights: np.ndarray
    weights: np.ndarray
    predicted: np.ndarray
    objective: np.ndarray
    gap: np.ndarray
    multipliers: np.ndarray
    converged: np.ndarray
    agreeing: np.ndarray
    starts: int
    proven: bool
    reason: str
    bounds: Bounds
    data: tuple[DataRange, ...]
    untied: bool = False

    def __len__(self) -> int:
        return len(self.n_params)

    def __getitem__(self, b: int) -> Optimum:
        active = self._active(b)
        distance = self.hull_distance(b)
        return Optimum(
            self.domains,
            self.weights[b],
            float(self.n_params[b]),
            float(self.tokens[b]),
            dict(zip(self.targets, self.target_weights[b].tolist(), strict=True)),
            dict(zip(self.targets, self.predicted[b].tolist(), strict=True)),
            float(self.objective[b]),
            float(self.gap[b]),
            tuple(active),
            active,
            bool(self.converged[b]),
            self.proven,
            self.reason,
            self.starts,
            int(self.agreeing[b]),
            distance,
            self._notes(b, distance),
        )

    def hull_distance(self, b: int) -> float | None:
        """Largest distance of the mixture to the hull of any target's runs; None if unknown."""
        seen: list[np.ndarray] = []
        for data in self.data:
            if len(data.mixtures) and not any(np.array_equal(data.mixtures, s) for s in seen):
                seen.append(data.mixtures)
        return max((hull_distance(s, self.weights[b]) for s in seen), default=None)

    def _active(self, b: int) -> dict[str, float]:
        """Multipliers of the active bounds by label."""
        out = {}
        for i in np.flatnonzero(self.multipliers[b]):
            price = float(self.multipliers[b, i])
            bound = self.bounds.lower[i] if price > 0 else self.bounds.upper[i]
            out[f"{self.domains[i]}{'>=' if price > 0 else '<='}{bound:g}"] = abs(price)
        return out

    def _notes(self, b: int, distance: float | None) -> tuple[str, ...]:
        notes = [
            *_beyond("N", self.n_params[b], [d.n_params for d in self.data]),
            *_beyond("D", self.tokens[b], [d.tokens for d in self.data]),
        ]
        if distance is not None and distance > 1e-6:
            notes.append(
                f"the mixture lies {distance:.3g} outside the convex hull of the mixtures that "
                "were run: its loss is extrapolated"
            )
        if self.untied:
            notes.append("the law was given no unique tokens, so here nothing ever repeats")
        if not self.proven:
            notes.append(
                f"not proven to be the optimum: {self.reason}; {self.agreeing[b]} of "
                f"{self.starts} starts ended at this objective and none lower"
            )
        if not self.converged[b]:
            notes.append(f"not converged: the duality gap is {self.gap[b]:.3g} nats")
        return tuple(notes)


def _beyond(name: str, value: float, ranges: list[tuple[float, float]]) -> list[str]:
    """Notes on a budget outside every range it was fitted on (the narrowest one counts)."""
    low = max((r[0] for r in ranges), default=0.0)
    high = min((r[1] for r in ranges), default=np.inf)
    if np.isinf(value):
        return [f"{name} is infinite: the limit of the law, beyond every run"]
    if value > high * (1 + 1e-9):
        return [f"{name} = {value:.4g} is {value / high:.3g} times the largest that was run"]
    if value < low * (1 - 1e-9):
        return [f"{name} = {value:.4g} is {low / value:.3g} times below the smallest that was run"]
    return []
