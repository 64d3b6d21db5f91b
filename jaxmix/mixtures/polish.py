"""From the end of an interior path to the optimum itself: Newton's method on the active set."""

import jax
import jax.numpy as jnp

from jaxmix.fitting.fitted import StackedLaws
from jaxmix.mixtures.program import Program, slopes, values
from jaxmix.mixtures.simplex import FLOOR

Array = jax.Array
_STEPS = 4


def polish(
    laws: StackedLaws, p: Program, x: Array, low: Array, high: Array, general: Array, equal: Array
) -> Array:
    """The end x with its active constraints met exactly, or as it is where that makes it no better.

    A constraint is taken as active where its multiplier exceeds its slack.

    Args:
        laws: the fitted parameters.
        p: the program.
        x: [k + 1] end of the interior path.
        low: [k] multipliers of the minima.
        high: [k] of the maxima.
        general: [g] of the other inequalities.
        equal: [e] of the equations.
    """
    h = x[:-1]
    at_low = ~p.fixed & (low > h - p.lower) & ~_grows(laws, p, x, general, equal)
    at_high = ~p.fixed & (high > p.upper - h)
    held = p.fixed | at_low | at_high
    edge = jnp.where(at_low, p.lower, jnp.where(at_high, p.upper, h))
    active = general > -values(laws, p, x).general
    tight = p._replace(fixed=held)
    first = (jnp.append(edge, x[-1]), jnp.where(active, general, 0.0))
    x_new, z = jax.lax.fori_loop(0, _STEPS, lambda _, s: _newton(laws, tight, s, active), first)
    before, after = values(laws, p, x), values(laws, p, x_new)
    new = x_new[:-1]
    inside = jnp.all((new >= p.lower) & (new <= p.upper) & (held | (new > p.lower)))
    met = jnp.max(after.general) <= 1e-11
    summed = jnp.max(jnp.abs(p.equations @ new - p.equal)) <= 1e-12
    no_worse = after.objective <= before.objective + 1e-10 * (1 + jnp.abs(before.objective))
    near = jnp.max(jnp.abs(new - h)) < 1e-3
    return jnp.where(inside & met & summed & no_worse & near & jnp.all(z >= -1e-6), x_new, x)


def _grows(laws: StackedLaws, p: Program, x: Array, general: Array, equal: Array) -> Array:
    """Weights whose cost at 0 is below the level: however small, they are not held; [k]."""
    floored = x.at[:-1].set(jnp.where(x[:-1] < 1e-6, jnp.minimum(FLOOR, x[:-1]), x[:-1]))
    at = slopes(laws, p, floored, general)
    cost = at.gradient + general @ at.jacobian
    return (cost[:-1] + equal @ p.equations < 0) & (p.lower == 0)


def _newton(
    laws: StackedLaws, p: Program, point: tuple[Array, Array], active: Array
) -> tuple[Array, Array]:
    """One step on the KKT system of the active set; inactive rows have multiplier 0."""
    x, z = point
    at = slopes(laws, p, x, z)
    size, rows, ties = len(x), len(z), p.equations.shape[0]
    unused = (p.slope == 0).astype(x.dtype)
    pin = jnp.append(p.fixed.astype(x.dtype), unused)
    rows_on = jnp.where(active[:, None], at.jacobian, 0.0)
    equations = jnp.where(p.fixed, 0.0, p.equations)
    idle = jnp.all(equations == 0, 1)
    system = jnp.zeros((size + rows + ties,) * 2, x.dtype)
    system = system.at[:size, :size].set(at.hessian + jnp.diag(pin))
    system = system.at[:size, size : size + rows].set(rows_on.T)
    system = system.at[size : size + rows, :size].set(rows_on)
    # A trace of damping decides between constraints that say the same.
    loose = jnp.where(active & jnp.any(rows_on != 0, 1), 1e-13, 1.0)
    system = system.at[size : size + rows, size : size + rows].set(-jnp.diag(loose))
    system = system.at[: size - 1, size + rows :].set(equations.T)
    system = system.at[size + rows :, : size - 1].set(equations)
    idle_rows = jnp.where(idle, 1.0, 1e-13)
    system = system.at[size + rows :, size + rows :].set(-jnp.diag(idle_rows))
    missed = jnp.where(idle, 0.0, p.equal - p.equations @ x[:-1])
    gaps = jnp.where(active & jnp.any(rows_on != 0, 1), -at.values.general - loose * z, 0.0)
    answer = jnp.linalg.solve(system, jnp.concatenate([-at.gradient, gaps, missed]))
    dx, z, _ = jnp.split(answer, [size, size + rows])
    return x + dx, z
