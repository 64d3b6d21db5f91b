"""What is minimized within what, by name: from a question to its program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, FittedLaws, StackedLaws
from jaxmix.fitting.inputs import budget_inputs
from jaxmix.fitting.precision import float64
from jaxmix.fitting.stacked import predict_losses
from jaxmix.mixtures.constraints import Constraints
from jaxmix.mixtures.polytope import Polytope, Row
from jaxmix.mixtures.solve.program import Program, Terms

if TYPE_CHECKING:
    from jaxmix.mixtures.optimum import Optimum


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """One mixture problem at one budget.

    Attributes:
        laws: m fits.
        x: their inputs but the weights.
        constraints: with bare names.
        target_weights: [m] w.
        worst_case: ``"loss"``, ``"gap"`` or None.
        pull: weight of KL(h‖prior) in the objective.
    """

    laws: FittedLaws
    x: dict[str, np.ndarray]
    constraints: Constraints
    target_weights: np.ndarray
    worst_case: str | None
    pull: float

    @property
    def shape(self) -> Polytope:
        """The linear constraints."""
        return self.constraints.polytope(
            self.laws.domains,
            float(self.x["tokens"]),
            reads_unique=self.laws.law.reads("unique"),
            use_prior=bool(self.pull) or self.constraints.kl_max is not None,
        )

    @property
    def bounds_only(self) -> bool:
        """Whether the weighted loss is minimized within bounds alone."""
        plain = not (self.pull or self.worst_case)
        return plain and self.constraints.bounds_only(self.laws.domains)

    @property
    def counted(self) -> np.ndarray:
        """Which targets have a weight or a guardrail, bool [m]."""
        guarded = np.isin(self.laws.targets, list(self.constraints.guards))
        return (self.target_weights > 0) | guarded

    def terms(self, laws: StackedLaws) -> Terms:
        """The functions of the problem at some parameters of its laws."""
        prior = self.constraints.mixture("prior", self.laws.domains)
        return Terms(laws, self.x, self.counted, prior)

    def program(self, laws: StackedLaws) -> Program:
        """The program at some parameters of its laws: guardrails compare with their reference.

        Raises:
            JaxmixError: a loss that is infinite at the reference mixture.
        """
        shape, m, k = self.shape, len(self.laws), len(self.laws.domains)
        rows = (*shape.mixed, *self._rows(laws))
        worst = bool(self.worst_case)
        mix = [np.zeros(m + 1) if row.losses is None else row.losses for row in rows]
        matrix = [np.append(row.slope, -float(row.kind == "worst")) for row in rows]
        t_end = np.inf if worst else 0.0
        return Program(
            rows=rows,
            shape=shape,
            objective=np.append(np.zeros(m) if worst else self.target_weights, self.pull),
            cost=np.append(np.zeros(k), float(worst)),
            mix=np.array(mix).reshape(-1, m + 1),
            matrix=np.array(matrix).reshape(-1, k + 1),
            right=np.array([row.bound for row in rows]),
            lower=np.append(shape.lower, -t_end),
            upper=np.append(np.maximum(shape.lower, shape.upper), t_end),
        )

    def _rows(self, laws: StackedLaws) -> list[Row]:
        """Guardrails, the rows of a worst case, and the limit on KL."""
        targets, given, m = self.laws.targets, self.constraints, len(self.laws)
        nothing, unit, base = np.zeros(len(self.laws.domains)), np.eye(m + 1), np.zeros(m)
        if given.reference is not None:
            reference = given.mixture("reference", self.laws.domains)
            with float64():
                base = predict_losses(laws, {**self.x, "weights": reference})
        found = []
        for name, more in given.guards.items():
            i, label = targets.index(name), f"{name}<=reference+{more:g}"
            limit = float(base[i] + more)
            found.append(Row(label, nothing, limit, "guard", name, losses=unit[i]))
        for i in np.flatnonzero(self.target_weights > 0) if self.worst_case else ():
            limit = float(base[i]) if self.worst_case == "gap" else 0.0
            found.append(Row(targets[i], nothing, limit, "worst", targets[i], losses=unit[i]))
        for row in found:
            if not np.isfinite(row.bound):
                raise JaxmixError(
                    f"target '{row.name}' has an infinite loss at the reference mixture"
                )
        if given.kl_max is not None:
            label = f"KL<={given.kl_max:g}"
            found.append(Row(label, nothing, given.kl_max, "kl", losses=unit[m]))
        return found

    def check_finite(self, h: np.ndarray) -> None:
        """Raises if a loss that counts is infinite at a mixture inside the linear constraints."""
        with float64():
            found = predict_losses(self.laws.stacked, {**self.x, "weights": h})
        lost = ~np.isfinite(found) & self.counted
        if lost.any():
            raise not_finite(self.laws, lost)


def not_finite(laws: FittedLaws, lost: np.ndarray) -> JaxmixError:
    """The error of targets, bool [m], whose law has no finite loss where a mixture may lie."""
    names = [f"'{name}'" for name, one in zip(laws.targets, lost, strict=True) if one]
    return JaxmixError(
        f"the law '{laws.law.name}' is not finite at any mixture within the limits for target"
        f"{'s' * (len(names) > 1)} {', '.join(names)}: allow the domains that they need a weight "
        "above 0, or leave them out of --target-weights and --guard"
    )


def counted_laws(laws: FittedLaws, w: np.ndarray, constraints: Constraints) -> FittedLaws:
    """The laws of targets that have a weight, in any of several problems, or a guardrail.

    Args:
        laws: m fits.
        w: [m] or [B, m] target weights.
        constraints: with bare names.
    """
    counts = np.any(np.atleast_2d(w) > 0, axis=0) | np.isin(laws.targets, [*constraints.guards])
    if counts.all():
        return laws
    return laws[[name for name, one in zip(laws.targets, counts, strict=True) if one]]


def make_problem(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    constraints: Constraints | None,
    target_weights: np.ndarray,
    *,
    worst_case: str | None = None,
    pull: float = 0.0,
    at: Mapping[str, Any] | None = None,
) -> Problem:
    """The problem of ``optimize``, checked; the same arguments and errors, target weights [m]."""
    laws = laws if isinstance(laws, FittedLaws) else FittedLaws(laws)
    given = (constraints or Constraints()).over(laws.domains, laws.targets)
    x = budget_inputs(laws.law, laws.domains, n_params, tokens, available=given.available, at=at)
    if not (pull >= 0 and np.isfinite(pull)):
        raise JaxmixError(f"pull is {pull:g}: it must be a number of at least 0")
    if worst_case not in (None, "loss", "gap"):
        raise JaxmixError(f"worst_case is '{worst_case}': it must be 'loss', 'gap' or None")
    if worst_case == "gap" and given.reference is None:
        raise JaxmixError("worst_case 'gap' compares with a reference mixture; give one")
    reads = laws.law.reads("unique")
    problem = Problem(
        laws=laws,
        x=x,
        constraints=given,
        target_weights=target_weights,
        worst_case=worst_case,
        pull=float(pull),
    )
    support = counted_laws(laws, target_weights, given).support
    given = given.supported(support, tokens, reads_unique=reads)
    given.check(laws.domains, tokens, reads_unique=reads)
    return replace(problem, constraints=given)


def problem_of(optimum: "Optimum") -> Problem:
    """The question that an optimum answers."""
    return Problem(
        laws=optimum.laws,
        x=optimum.inputs,
        constraints=optimum.constraints,
        target_weights=optimum.w,
        worst_case=optimum.worst_case,
        pull=optimum.pull,
    )
