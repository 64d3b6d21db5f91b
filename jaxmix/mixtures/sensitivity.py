"""How an optimal mixture responds to everything it depends on, by name.

At an optimum x = (h, t) with free variables F, active rows A with multipliers z, and sum h = 1,
every quantity q that the problem depends on moves it by::

    [ H_FF  J_AF^T  1 ] [ dx_F ]     [ d(gradient of the Lagrangian)_F / dq ]
    [ J_AF  0       0 ] [ dz   ] = - [ d(rows)_A / dq                       ] dq
    [ 1^T   0       0 ] [ dl   ]     [ 0                                    ]

exact where the set of active constraints does not change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown, axes_or_new, plain
from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, StackedLaws
from jaxmix.fitting.precision import float64
from jaxmix.fitting.uncertainty.influence import Influence
from jaxmix.laws import Inputs
from jaxmix.mixtures.optimum import Optimum
from jaxmix.mixtures.simplex import FLOOR
from jaxmix.mixtures.solve.certificate import Proof, prove
from jaxmix.mixtures.solve.lanes import map_targets, weighted_loss
from jaxmix.mixtures.solve.problem import problem_of
from jaxmix.mixtures.solve.program import Program, Terms

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = jax.Array
ByDomain = dict[str, float]
_MOST_ROWS = 12  # rows of a run table that are shown


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity(Shown):
    """Derivatives of the optimal mixture h*, each a change of weight by domain (with sum 0).

    Attributes:
        optimum: the mixture, its question and its certificate.
        n_params: dh*/dN, per parameter; 0 at the limit N = inf.
        tokens: dh*/dD, per token, caps on epochs held where they are; 0 at the limit D = inf.
        log_n_params: dh*/dlog N: the change as N grows e-fold, to first order.
        log_tokens: dh*/dlog D.
        inputs: dh*/d(input) by column, such as ``"learning_rate"`` or ``"unique_books"``, for the
            law's other inputs.
        target_weights: dh*/dw by target, at target weights with sum 1. Scaling all of w changes
            nothing, so the sum over targets of w times this is 0. All 0 for a worst case.
        params: dh*/d(parameter) by target and by label, such as ``["web"]["C[books]"]``, in the
            parameter's natural units.
        bounds: dh*/d(bound) by entry of ``optimum.active``: where the weight goes that the bound
            takes.
    """

    optimum: Optimum
    n_params: ByDomain
    tokens: ByDomain
    log_n_params: ByDomain
    log_tokens: ByDomain
    inputs: dict[str, ByDomain]
    target_weights: dict[str, ByDomain]
    params: dict[str, dict[str, ByDomain]]
    bounds: dict[str, ByDomain]

    def _shown(self) -> Parts:
        twice = {"the parameters": self.log_n_params, "the tokens": self.log_tokens}
        said = [f"doubling {what} moves {_largest(by)}" for what, by in twice.items()]
        return Parts("; ".join(said), {"change of the weights": self.to_frame()})

    def to_frame(self) -> pd.DataFrame:
        """One row per thing that moves the mixture, one column per domain: changes of weight.

        N and D doubled (to first order), each other input and target weight by 1 unit, and each
        bound that binds by 1 unit of weight. Derivatives by parameters are in ``params``.
        """
        doubled = {"N doubled": self.log_n_params, "D doubled": self.log_tokens}
        rows = {name: {d: np.log(2) * x for d, x in by.items()} for name, by in doubled.items()}
        rows |= self.inputs
        rows |= {f"target weight of {t}": by for t, by in self.target_weights.items()}
        rows |= {f"bound {label}": by for label, by in self.bounds.items()}
        return pd.DataFrame(rows).T.rename_axis("change")

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """By how much each weight moves as N or D doubles, to first order."""
        ax, frame = axes_or_new(ax), self.to_frame().iloc[:2]
        place = np.arange(frame.shape[1])[::-1]
        for shift, (name, row) in zip((0.2, -0.2), frame.iterrows(), strict=True):
            ax.barh(place + shift, row, height=0.4, label=str(name))
        ax.set_yticks(place, map(plain, frame.columns))
        ax.set(xlabel="change of the optimal weight")
        ax.legend(frameon=False)
        return ax


def _largest(by: ByDomain) -> str:
    """The weight that moves most, and by how much as what it depends on doubles."""
    domain = max(by, key=lambda d: abs(by[d]))
    return f"{domain} by {np.log(2) * by[domain]:+.2g}"


def sensitivity(optimum: Optimum) -> Sensitivity:
    """The derivatives of an optimal mixture, within constraints of every kind.

    ``optimal_weights`` is the same as a function to differentiate, within bounds.

    Args:
        optimum: the proposal.

    Raises:
        JaxmixError: the law does not read the weights, or the optimum is not isolated: it has no
            derivative.
    """
    moved = _Moved(optimum)
    by_params, by_x, by_w = moved.by_laws()
    law, domains = optimum.laws.law, optimum.domains

    def named(column: np.ndarray) -> ByDomain:
        return dict(zip(domains, column.tolist(), strict=True))

    n, d = by_x["n_params"], by_x["tokens"]
    others: dict[str, ByDomain] = {}
    for one in law.inputs:
        if one.name in by_x and one.name not in ("n_params", "tokens"):
            columns = by_x[one.name].reshape(len(domains), -1).T
            names = [one.column(x) for x in (domains if one.per != "row" else ("",))]
            others |= {name: named(c) for name, c in zip(names, columns, strict=True)}
    return Sensitivity(
        optimum,
        named(n),
        named(d),
        named(_per_log(n, optimum.n_params)),
        named(_per_log(d, optimum.tokens)),
        others,
        {target: named(by_w[:, i]) for i, target in enumerate(optimum.targets)},
        {
            fit.target: {
                label: named(column)
                for label, column in zip(
                    law.names(domains), _columns(fit, by_params, i), strict=True
                )
            }
            for i, fit in enumerate(optimum.laws)
        },
        {label: named(column) for label, column in moved.by_bounds().items()},
    )


def _columns(fit: FittedLaw, params: dict[str, np.ndarray], target: int) -> np.ndarray:
    """Derivatives by one target's parameters in the order of its labels, [P, k]."""
    parts = [params[p.name][:, target].reshape(len(fit.domains), -1) for p in fit.law.parameters]
    return np.concatenate(parts, 1).T


def _per_log(derivative: np.ndarray, value: float) -> np.ndarray:
    """The derivative by the logarithm; 0 at the limit."""
    return derivative * (value if np.isfinite(value) else 0.0)


class _Moved:
    """The linear system of one optimum, solved for whatever moves it."""

    def __init__(self, optimum: Optimum) -> None:
        law = optimum.laws.law
        if not law.reads("weights"):
            raise JaxmixError(
                f"the law '{law.name}' does not depend on the mixture: h* has no derivative"
            )
        self.optimum, self.problem = optimum, problem_of(optimum)
        self.laws = optimum.laws.stacked
        self.terms, self.program = self.problem.terms(self.laws), self.problem.program(self.laws)
        self.x = self.program.lifted(self.terms, optimum.h)
        self.proof = prove(self.terms, self.program, self.x)
        self.free = self.program.free & (self.proof.low == 0) & (self.proof.high == 0)
        self.active = (self.proof.rows > 0) & ~self.program.equal
        self._build(self.terms, self.program, self.proof)

    def _build(self, terms: Terms, p: Program, proof: Proof) -> None:
        """The system and its pseudo-inverse, weights in units of their square roots."""
        h = np.maximum(self.x[:-1], FLOOR)
        self.hessian = np.pad(terms.curvature(p.objective + proof.rows @ p.mix, h), (0, 1))
        self.ties = np.vstack([p.slopes(terms, self.x)[1][self.active], p.equations[0]])
        root = np.append(np.sqrt(h), 1.0)[self.free]
        inner = self.hessian[np.ix_(self.free, self.free)] * root * root[:, None]
        scale = max(float(np.abs(inner).max(initial=0.0)), 1e-300)
        ties = self.ties[:, self.free] * root
        size = np.maximum(np.linalg.norm(ties, axis=1), 1e-300)
        ties = ties / size[:, None]
        _, sizes, basis = np.linalg.svd(ties)
        moves = basis[int((sizes > 1e-11).sum()) :]  # directions that no constraint stops
        curves = np.abs(np.linalg.eigvalsh(moves @ inner @ moves.T / scale))
        costs = np.abs(h * (p.objective @ terms(h)[1]))
        if curves.min(initial=1.0) < 64 * np.finfo(float).eps * (1.0 + costs.max() / scale):
            raise JaxmixError(
                f"the optimum is not isolated: the law '{self.laws.law.name}' is flat around it, "
                "so it has no derivative"
            )
        zeros = np.zeros((len(ties), len(ties)))
        self._inverse = np.linalg.pinv(np.block([[inner / scale, ties.T], [ties, zeros]]), 1e-14)
        self._root, self._scale, self._size = root, scale, size

    def solve(self, cost: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Moves dh [k, q] for changes of costs [n, q] and of active rows and equations [r, q]."""
        right = np.vstack([
            cost[self.free] * self._root[:, None] / self._scale, rows / self._size[:, None],
        ])  # fmt: skip
        found = -self._inverse @ right
        moved = np.zeros((len(self.x), cost.shape[1]))
        moved[self.free] = self._root[:, None] * found[: self.free.sum()]
        return moved[:-1]

    def by_laws(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
        """dh*/dx for the parameters (dict of [k, m, ...]), the inputs [k, ...] and w [k, m]."""
        p, m = self.program, len(self.optimum.laws)
        reference = self.problem.constraints.mixture("reference", self.optimum.domains)
        kinds = [row.kind for row in p.rows]
        gap = self.optimum.worst_case == "gap"
        related = np.array([kind == "guard" or (gap and kind == "worst") for kind in kinds], bool)
        z = self.proof.rows @ p.mix[:, :m]
        arrays = (
            np.maximum(self.x[:-1], FLOOR), z, p.mix[self.active, :m], related[self.active],
            reference,
        )  # fmt: skip
        weighted = 0.0 if self.optimum.worst_case else 1.0
        with float64():
            x = {name: jnp.asarray(v, float) for name, v in self.problem.x.items()}
            w = jnp.asarray(self.optimum.w)
            found = _residuals(self.laws.params, x, w, self.laws, weighted, *arrays)
        slopes = jax.tree.map(np.asarray, found)
        return jax.tree.map(self._moved_by, slopes)

    def _moved_by(self, slope: np.ndarray) -> np.ndarray:
        """dh* [k, ...] for the derivative [k + a, ...] of costs and active rows."""
        k, flat = len(self.x) - 1, slope.reshape(len(slope), -1)
        cost = np.vstack([flat[:k], np.zeros((1, flat.shape[1]))])
        rows = np.vstack([flat[k:], np.zeros((len(self.program.equations[1]), flat.shape[1]))])
        return self.solve(cost, rows).reshape(k, *slope.shape[1:])

    def by_bounds(self) -> dict[str, np.ndarray]:
        """dh*/d(bound) [k] by entry of ``optimum.active``."""
        shape, p, found = self.program.shape, self.program, {}
        where = np.flatnonzero(self.active)
        for i in np.flatnonzero((self.proof.low > 0) | (self.proof.high > 0)):
            at_low = self.proof.low[i] > 0
            row = (shape.lower_row if at_low else shape.upper_row)[i]
            label = f"{shape.domains[i]}>=0" if row is None else row.label
            size = 1.0 if row is None else abs(float(row.slope[i]))
            unit = np.eye(len(self.x))[i] / size
            moved = self.solve((self.hessian @ unit)[:, None], (self.ties @ unit)[:, None])
            found[label] = moved[:, 0] + unit[:-1]
        for j in np.flatnonzero(self.proof.rows > 0):
            if p.equal[j]:  # one half of an equation
                size = np.abs(p.matrix[j]).max()
                same = [np.abs(p.equations[0] - s * p.matrix[j] / size).max(1) for s in (1, -1)]
                tie = (np.less(same[0], 1e-12) * 1.0 - np.less(same[1], 1e-12)) / size
                moves = np.append(np.zeros(len(where)), tie)
            else:
                moves = np.append(np.equal(where, j) * 1.0, 0.0 * p.equations[1])
            moved = self.solve(np.zeros((len(self.x), 1)), -moves[:, None])
            found[p.rows[j].label] = moved[:, 0]
        return {label: found[label] for label in self.optimum.active if label in found}


@jax.jit
def _residuals(
    params: dict[str, Array], x: Inputs, w: Array, laws: StackedLaws, weighted: float, *arrays: Any
) -> Any:
    """Derivatives of the Lagrangian's gradient [k] and of the active rows [a], in one array."""
    h, z, mix, related, reference = arrays
    counted = jnp.any(mix > 0, 0)

    def both(params: dict[str, Array], x: Inputs, w: Array) -> Array:
        moved = laws.replace_params(params)

        def losses(law: StackedLaws, counts: Array) -> Array:
            points = jnp.where(counts, jnp.stack([h, reference]), 1.0 / len(h))
            return law.losses({**x, "weights": points})[0]

        cost = jax.grad(weighted_loss, argnums=3)(moved, x, weighted * w + z, h)
        at, base = (mix @ map_targets(losses, moved, counted)).T
        return jnp.concatenate([cost, at - jnp.where(related, base, 0.0)])

    return jax.jacrev(both, argnums=(0, 1, 2))(params, x, w)


@dataclass(frozen=True, eq=False, repr=False)
class MixtureInfluence(Shown):
    """Derivatives of h* [k] by the p rows that each of m targets was fitted on.

    Attributes:
        optimum: h* and its certificate.
        by_loss: by target, [k, p]: dh* per nat of a row's loss.
        by_weight: by target, [k, p]: dh* by the logarithm of a row's weight; minus this is to
            first order what leaving the row out would do.
    """

    optimum: Optimum
    by_loss: dict[str, np.ndarray]
    by_weight: dict[str, np.ndarray]

    def _shown(self) -> Parts:
        frame = self.to_frame()
        moved = frame.abs().max(axis=1).sort_values(ascending=False)
        said = (
            f"row {moved.index[0]} of {len(frame)} does most: without it a weight moves by "
            f"{moved.iloc[0]:.2g}"
        )
        first = frame.loc[moved.index[:_MOST_ROWS]]
        return Parts(said, {"change of the weights without a row, to first order": first})

    def to_frame(self) -> pd.DataFrame:
        """One row per row of the run table: how each weight moves if it is left out.

        To first order, all targets together.
        """
        moved = -np.sum(list(self.by_weight.values()), axis=0).T  # [p, k]
        return pd.DataFrame(moved, columns=pd.Index(self.optimum.domains)).rename_axis("row")


def mixture_influence(influences: Sequence[Influence], optimum: Optimum) -> MixtureInfluence:
    """What every run does to an optimal mixture: the derivatives of the fit and of h*, chained.

    Args:
        influences: of each target's fit (``jaxmix.fitting.uncertainty.influence``).
        optimum: of the same fits.

    Raises:
        JaxmixError: a target of the optimum without influences, or as ``sensitivity``.
    """
    by_target = {one.fitted.target: one for one in influences}
    missing = [t for t in optimum.targets if t not in by_target]
    if missing:
        raise JaxmixError(f"target '{missing[0]}' has no influences; give those of every target")
    by_params, _, _ = _Moved(optimum).by_laws()  # name -> [k, m, ...]
    loss, weight = {}, {}
    for i, target in enumerate(optimum.targets):
        at = {name: slope[:, i] for name, slope in by_params.items()}
        loss[target] = _chain(at, by_target[target].by_loss)
        weight[target] = _chain(at, by_target[target].by_weight)
    return MixtureInfluence(optimum, loss, weight)


def _chain(slopes: Mapping[str, Any], inner: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sum over parameters of dh*/dparam [k, ...] times dparam/drow [..., p]."""
    parts = [
        np.tensordot(slope, inner[name], axes=np.ndim(slope) - 1) for name, slope in slopes.items()
    ]
    return np.sum(parts, axis=0)
