"""A feasible primal-dual interior point for constrained mixtures: one lane, pure JAX.

Fiacco-McCormick barrier with the primal-dual Hessian (Nocedal and Wright 2006, chapter 19): every
iterate meets the inequalities strictly, so that laws are never asked outside the simplex. The step
solves the KKT system with a damping diag(1 / h), the metric of exponentiated gradient, which
grows where the step is no descent (Chiang and Zavala 2016: curvature along the step, no inertia).
``vmap`` turns the loop into one flat ``while_loop``; the trial lengths of a step are one batch.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmix.fitting.fitted import StackedLaws
from jaxmix.mixtures.polish import polish
from jaxmix.mixtures.program import Program, Slopes, slopes, values

Array = jax.Array
_FIRST, _LAST = 1e-2, 1e-12  # barrier parameters, nats
_CLOSE = 10.0  # multiples of the barrier parameter within which its problem counts as solved
_STAY = 0.005  # share of a slack that one step leaves
_TRIALS = 0.5 ** jnp.arange(12)
_GIVE_UP = 15  # steps refused in a row


class Path(NamedTuple):
    """Where one lane stands."""

    x: Array  # [k + 1] weights and t
    low: Array  # [k] multipliers of the minima
    high: Array  # [k] of the maxima
    general: Array  # [g] of the other inequalities
    equal: Array  # [e] of the equations
    barrier: Array
    damping: Array
    refused: Array
    iterations: Array
    done: Array
    solved: Array


class Found(NamedTuple):
    """Where one lane ended; JAX arrays, or numpy arrays with a leading axis of many lanes.

    Attributes:
        weights: [k] mixture; weights at a bound are exactly at it.
        level: t.
        value: objective.
        losses: [m] losses there.
        excess: largest violation of a general constraint; at most rounding.
        iterations: KKT systems solved.
        converged: the barrier problems were solved to the last one.
        solved: likewise, or t fell below ``enough``.
    """

    weights: Any
    level: Any
    value: Any
    losses: Any
    excess: Any
    iterations: Any
    converged: Any


def slack(p: Program, x: Array, general: Array) -> tuple[Array, Array, Array]:
    """Room at every inequality: minima [k], maxima [k], general [g]; 1 for fixed weights."""
    h = x[:-1]
    low, high = jnp.where(p.fixed, 1.0, h - p.lower), jnp.where(p.fixed, 1.0, p.upper - h)
    return low, high, -general


def interior_point(
    laws: StackedLaws, p: Program, start: Array, *, max_iterations: int = 300
) -> Found:
    """Solves one program from a mixture that meets its rows strictly.

    Args:
        laws: the fitted parameters.
        p: the program.
        start: [k] mixture strictly inside box, rows, and those loss and KL rows whose share is 0.
        max_iterations: KKT systems at most.

    Returns:
        the solution; a local minimum where the program is not convex, and not converged where it
        is not finite at the start.
    """
    path = jax.lax.while_loop(
        lambda s: ~s.done & (s.iterations < max_iterations),
        lambda s: _advance(laws, p, s),
        _begin(laws, p, start),
    )
    x = polish(laws, p, path.x, path.low, path.high, path.general, path.equal)
    x = jnp.where(path.solved & (path.barrier <= _LAST), x, path.x)
    at = values(laws, p, x)
    excess = jnp.max(at.general)
    return Found(x[:-1], x[-1], at.objective, at.losses, excess, path.iterations, path.solved)


def _begin(laws: StackedLaws, p: Program, start: Array) -> Path:
    """A t above what every row with a share asks for, and multipliers on the central path."""
    zero, count = jnp.zeros((), start.dtype), jnp.zeros((), jnp.int32)
    at = values(laws, p._replace(slope=zero), jnp.append(start, 0.0))
    share = jnp.append(p.share, p.kl_share)
    over = at.general[p.right.shape[0] :] / jnp.where(share > 0, share, 1.0)
    t = jnp.max(jnp.where(share > 0, over, -jnp.inf))
    t = jnp.where(jnp.isfinite(t), t, -0.1) + 0.1
    x = jnp.append(start, t)
    rooms = slack(p, x, values(laws, p, x).general)
    low, high, general = (_FIRST / room for room in rooms)
    finite = jnp.isfinite(at.objective) & jnp.all(jnp.concatenate(rooms) > 0)
    equal = jnp.zeros(p.equal.shape[0], start.dtype)
    first = zero + _FIRST
    return Path(x, low, high, general, equal, first, zero, count, count, ~finite, ~finite & False)


def _advance(laws: StackedLaws, p: Program, s: Path) -> Path:
    """One KKT system and the longest acceptable part of its step."""
    at = slopes(laws, p, s.x, s.general)
    rooms = slack(p, s.x, at.values.general)
    error = _error(p, s, at, rooms, s.barrier)
    ready = error <= _CLOSE * s.barrier
    solved = (ready & (s.barrier <= _LAST)) | ((s.x[-1] < p.enough) & (s.iterations > 0))
    barrier = jnp.where(
        ready, jnp.maximum(jnp.minimum(0.2 * s.barrier, s.barrier**1.5), _LAST), s.barrier
    )
    dx, general, equal, fine = _direction(p, s, at, rooms, barrier)
    x, fits = _search(laws, p, s, at, rooms, dx, barrier)
    take = fine & fits & ~solved
    low = (barrier - s.low * dx[:-1]) / rooms[0]
    high = (barrier + s.high * dx[:-1]) / rooms[1]
    duals = _duals(s, (low, high, general))
    new_rooms = slack(p, x, values(laws, p, x).general)
    low, high, general = (
        jnp.where(take, jnp.clip(z, 1e-10 * barrier / room, 1e10 * barrier / room), old)
        for z, room, old in zip(duals, new_rooms, (s.low, s.high, s.general), strict=True)
    )
    refused = jnp.where(take, 0, s.refused + 1)
    less = jnp.where(s.damping < 1e-10, 0.0, 0.1 * s.damping)
    damping = jnp.where(take, less, jnp.maximum(10.0 * s.damping, 1e-6))
    done = solved | (refused >= _GIVE_UP)
    # At the last barrier rounding may refuse every step: that is as near as one gets.
    solved = solved | ((refused >= _GIVE_UP) & (error <= 1e4 * _LAST))
    return Path(
        jnp.where(take, x, s.x),
        low,
        high,
        general,
        jnp.where(take, equal, s.equal),
        barrier,
        damping,
        refused,
        s.iterations + 1,
        done,
        solved,
    )


def _error(p: Program, s: Path, at: Slopes, rooms: Any, barrier: Array) -> Array:
    """How far x and the multipliers are from the barrier problem's optimum, nats.

    Costs count by the weight they move: sum h_i |cost_i| bounds what is left to gain.
    """
    cost = at.gradient + s.general @ at.jacobian
    box = jnp.where(p.fixed, 0.0, s.high - s.low) + s.equal @ p.equations
    cost = cost + jnp.append(jnp.where(p.fixed, 0.0, box), 0.0)
    scale = jnp.append(jnp.minimum(s.x[:-1], 1.0), 1.0)
    products = [
        jnp.where(mask, jnp.abs(z * room - barrier), 0.0)
        for z, room, mask in zip(
            (s.low, s.high, s.general), rooms, (~p.fixed, ~p.fixed, True), strict=True
        )
    ]
    return jnp.maximum(jnp.max(jnp.abs(scale * cost)), jnp.max(jnp.concatenate(products)))


def _direction(p: Program, s: Path, at: Slopes, rooms: Any, barrier: Array) -> tuple[Any, ...]:
    """The step [k + 1], multipliers of general rows and equations, and whether it descends."""
    h, (low, high, room) = s.x[:-1], rooms
    size, rows, ties = len(s.x), len(room), p.equations.shape[0]
    box = jnp.where(p.fixed, 0.0, s.low / low + s.high / high)
    push = jnp.where(p.fixed, 0.0, barrier / high - barrier / low)
    unused = (p.slope == 0).astype(h.dtype)  # t has no part in the program
    metric = jnp.append(jnp.where(p.fixed, 1.0, box + s.damping / h), unused + s.damping)
    curved = at.hessian + jnp.diag(metric)
    equations = jnp.where(p.fixed, 0.0, p.equations)
    idle = jnp.all(equations == 0, 1)
    system = jnp.zeros((size + rows + ties,) * 2, h.dtype)
    system = system.at[:size, :size].set(curved)
    system = system.at[:size, size : size + rows].set(at.jacobian.T)
    system = system.at[size : size + rows, :size].set(at.jacobian)
    system = system.at[size : size + rows, size : size + rows].set(jnp.diag(-room / s.general))
    system = system.at[: size - 1, size + rows :].set(equations.T)
    system = system.at[size + rows :, : size - 1].set(equations)
    system = system.at[size + rows :, size + rows :].set(jnp.diag(-idle.astype(h.dtype)))
    residual = jnp.where(idle, 0.0, p.equal - p.equations @ h)
    right = jnp.concatenate(
        [-(at.gradient + jnp.append(push, 0.0)), -barrier / s.general, residual]
    )
    answer = jnp.linalg.solve(system, right)
    dx, general, equal = jnp.split(answer, [size, size + rows])
    bend = dx @ curved @ dx + jnp.sum(s.general / room * (at.jacobian @ dx) ** 2)
    fine = jnp.all(jnp.isfinite(answer)) & (bend >= 0)
    return jnp.where(fine, dx, 0.0), general, equal, fine


def _merit(value: Array, rooms: Any, barrier: Array) -> Array:
    room = jnp.concatenate(rooms)
    return value - barrier * jnp.sum(jnp.log(jnp.where(room > 0, room, jnp.nan)))


def _search(
    laws: StackedLaws, p: Program, s: Path, at: Slopes, rooms: Any, dx: Array, barrier: Array
) -> tuple[Array, Array]:
    """The longest of the trial points that stays inside and lowers the barrier function."""
    move = dx[:-1]
    falls = jnp.concatenate([move, -move])  # change of the rooms at the bounds
    room = jnp.concatenate(rooms[:2])
    ratio = jnp.where(falls < 0, -(1 - _STAY) * room / jnp.where(falls < 0, falls, -1.0), 1.0)
    most = jnp.minimum(jnp.min(ratio), 1.0)
    here = _merit(at.values.objective, rooms, barrier)
    push = jnp.where(p.fixed, 0.0, barrier / rooms[1] - barrier / rooms[0])
    tilt = at.gradient @ dx + push @ move + barrier * jnp.sum(at.jacobian @ dx / rooms[2])
    noise = 64 * jnp.finfo(dx.dtype).eps * (1.0 + jnp.abs(here))

    def trial(length: Array) -> tuple[Array, Array]:
        x = s.x + length * dx
        new = values(laws, p, x)
        after = slack(p, x, new.general)
        inside = jnp.all(jnp.concatenate(after) >= 0.5 * _STAY * jnp.concatenate(rooms))
        lower = _merit(new.objective, after, barrier) <= here + 1e-4 * length * tilt + noise
        return x, inside & lower

    xs, fits = jax.vmap(trial)(most * _TRIALS.astype(dx.dtype))
    first = jnp.argmax(fits)
    return jnp.where(fits[first], xs[first], s.x), fits[first]


def _duals(s: Path, new: Any) -> list[Array]:
    """Multipliers moved towards the new ones as far as they stay positive."""
    old = (s.low, s.high, s.general)
    z, step = jnp.concatenate(old), jnp.concatenate(new) - jnp.concatenate(old)
    ratio = jnp.where(step < 0, -(1 - _STAY) * z / jnp.where(step < 0, step, -1.0), 1.0)
    length = jnp.minimum(jnp.min(ratio), 1.0)
    k = len(s.low)
    return jnp.split(z + length * step, [k, 2 * k])
