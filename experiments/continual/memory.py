"""Losses after a change of the mixture, from laws that were fitted on constant mixtures.

By the first rule, a run whose weights changed has the loss of a run of constant weights h' after as
many tokens. h' is the mean of its weights over all tokens so far, in which a token at share x of
the run counts x^(m - 1)::

    h'(D) = sum_s h_s ((D_s / D)^m - (D_{s-1} / D)^m),    D_s the tokens at the end of stage s

Each target has its own recency m. With m = 1 only the mean weights matter, with large m only the
last ones, and a change from h to the same h changes nothing. Stages gain over a constant mixture
only if targets differ in m: a domain whose target forgets slowly goes first.

The second rule, `equal_loss`, has nothing to fit: at a change, every target continues along the
curve of the new mixture from the point where that curve has the target's present loss. If the curve
never has that loss, it continues from the end of the curve that is nearer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix import JaxmixError
from jaxmix.fitting import FittedLaw, StackedLaws, stack

Array = jax.Array
_NEAR, _FAR = 1e-4, 1e4  # ends of a curve, as shares of a run's tokens
_RECENCIES = np.geomspace(0.1, 100.0, 301)


@dataclass(frozen=True, eq=False)
class Histories:
    """Measured losses of runs whose mixture changed, p rows of at most S stages.

    Attributes:
        n_params: [p] N.
        tokens: [p] D so far.
        ends: [p, S] shares of D at which stages ended, ascending to 1; 1 from the present one on.
        weights: [p, S, k] of the stages, in the order of the laws' domains.
        losses: [m, p] nats, in the order of the laws; NaN where missing.
    """

    n_params: np.ndarray
    tokens: np.ndarray
    ends: np.ndarray
    weights: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True)
class Recency:
    """How much of earlier stages a target's loss forgets.

    Attributes:
        target: bare name.
        value: m; at the edge of what was tried (0.1 or 100) it is no more than that.
        mre: mean relative error of the staged rows with it, percent.
        average_mre: the same with m = 1, where only the mean weights count.
        last_mre: the same where only the last weights count.
    """

    target: str
    value: float
    mre: float
    average_mre: float
    last_mre: float


def effective_weights(ends: Any, weights: Any, recency: Any) -> Array:
    """Constant weights that stand for stages.

    Args:
        ends: [..., S] shares of the tokens so far at which stages end, the last being 1.
        weights: [..., S, k].
        recency: m, of any shape that broadcasts with [...].

    Returns:
        [..., k], with sum 1.
    """
    powers = jnp.asarray(ends) ** jnp.asarray(recency)[..., None]
    shares = jnp.diff(powers, axis=-1, prepend=0.0)  # [..., S]
    return jnp.sum(shares[..., None] * jnp.asarray(weights), -2)


def staged_losses(
    laws: StackedLaws, n_params: Any, tokens: Any, ends: Array, weights: Array, recency: Array
) -> Array:
    """Losses [m] at the end of a run of stages, differentiable.

    Args:
        laws: m targets.
        n_params: N, a scalar.
        tokens: D of the whole run, a scalar.
        ends: [S] shares of the tokens at which stages end, the last being 1.
        weights: [S, k].
        recency: [m].
    """
    effective = effective_weights(ends, weights, recency)  # [m, k]
    return jnp.diagonal(laws.losses({"n_params": n_params, "tokens": tokens, "weights": effective}))


def equal_loss(laws: StackedLaws, n_params: Any, tokens: Any, ends: Array, weights: Array) -> Array:
    """Losses [m] at the end of a run of stages by equal loss; arguments as of `staged_losses`.

    Differentiable, twice where the curves reach the losses.
    """

    def at(d: Array, h: Array) -> Array:
        """Losses [m], each target at tokens of its own [m]."""
        weights = jnp.broadcast_to(h, (d.size, h.size))
        return jnp.diagonal(laws.losses({"n_params": n_params, "tokens": d, "weights": weights}))

    lengths = jnp.diff(jnp.asarray(ends), prepend=0.0) * tokens
    count = len(jax.tree.leaves(laws.params)[0])
    losses = at(jnp.full(count, lengths[0]), weights[0])
    for length, h in zip(lengths[1:], weights[1:], strict=True):
        begun = _reached(lambda d, h=h: at(d, h), losses, tokens)
        moved = at(begun + length, h)
        losses = jnp.where(length > 0, moved, losses)
    return losses


def _reached(curve: Callable[[Array], Array], losses: Array, tokens: Any) -> Array:
    """Tokens [m] at which curves have given losses [m]: bisection, then Newton for derivatives."""
    low, high = (jnp.full(losses.shape, jnp.log(x * tokens)) for x in (_NEAR, _FAR))
    first, last = curve(jnp.exp(low)), curve(jnp.exp(high))
    sign = jnp.where(first > last, 1.0, -1.0)  # a curve may fall or rise

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = 0.5 * (ends[0] + ends[1])
        before = sign * (curve(jnp.exp(middle)) - losses) > 0
        return jnp.where(before, middle, ends[0]), jnp.where(before, ends[1], middle)

    x = jax.lax.stop_gradient(0.5 * sum(jax.lax.fori_loop(0, 60, halve, (low, high))))
    inside = (sign * (first - losses) > 0) & (sign * (losses - last) > 0)
    for _ in range(2):
        value, slope = jax.jvp(lambda y: curve(jnp.exp(y)), (x,), (jnp.ones_like(x),))
        x = x - jnp.where(inside, (value - losses) / jnp.where(inside, slope, 1.0), 0.0)
    return jnp.exp(x)


def fit_recency(laws: Sequence[FittedLaw], rows: Histories) -> tuple[Recency, ...]:
    """The recency of every target that explains measured stages best (mean relative error).

    Args:
        laws: fitted on constant mixtures, one per target.
        rows: measured after a change of mixture; others do not tell anything.

    Raises:
        JaxmixError: a target has no loss in the rows.
    """
    values = np.append(_RECENCIES, [1.0, np.inf])
    with jax.enable_x64(True):
        powers = jnp.asarray(rows.ends) ** jnp.asarray(values[:, None, None])  # [G, p, S]
        shares = jnp.diff(powers, axis=-1, prepend=0.0)
        effective = jnp.einsum("gps,psk->gpk", shares, jnp.asarray(rows.weights))
        n, d = (jnp.asarray(x, jnp.float64) for x in (rows.n_params, rows.tokens))
        x = {"n_params": n, "tokens": d, "weights": effective}
        predicted = np.asarray(stack(laws).losses(x))  # [m, G, p]
    return tuple(
        _recency(law.target, found, seen, values)
        for law, found, seen in zip(laws, predicted, rows.losses, strict=True)
    )


def _recency(target: str, found: np.ndarray, seen: np.ndarray, values: np.ndarray) -> Recency:
    known = np.isfinite(seen)
    if not known.any():
        raise JaxmixError(f"target '{target}' has no loss in the staged rows; leave its law out")
    errors = 100 * np.abs(found[:, known] / seen[known] - 1).mean(1)  # [G]
    best = int(errors[:-2].argmin())
    return Recency(target, float(values[best]), *(float(errors[i]) for i in (best, -2, -1)))


def as_array(laws: Sequence[FittedLaw], recency: Mapping[str, float]) -> np.ndarray:
    """Recencies in the order of the laws.

    Raises:
        JaxmixError: a target has none, or one that is not above 0.
    """
    missing = [law.target for law in laws if not recency.get(law.target, 0) > 0]
    if missing:
        raise JaxmixError(f"target '{missing[0]}' needs a recency above 0; see fit_recency")
    return np.array([recency[law.target] for law in laws])
