"""Rows laid out line by line of one mixture: what depends on the mixture is computed once a line.

Runs are logged at many checkpoints and trained at many sizes, so that a table of a thousand rows
has some forty mixtures. Powers of the weights are most of what a law costs.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.objective import Rows

_LINE = 4  # entries that one more line costs as much as


def on_grid(rows: Rows) -> Rows:
    """The same rows in lines [M, R] of equal inputs per domain; unchanged if that saves nothing.

    Inputs become [M, R], or [M, 1] and [M, 1, k] if they are equal along the lines. Entries without
    a row repeat another one with weight 0.
    """
    fixed = [x for x in rows.x.values() if x.ndim == 2] + list(rows.own.values())
    if not fixed or rows.losses.ndim != 2:
        return rows
    count = rows.losses.shape[1]
    shared = [np.asarray(x) if x.shape[0] == count else np.asarray(x).T for x in fixed]
    lines = np.unique(np.concatenate(shared, 1), axis=0, return_inverse=True)[1].ravel()
    width = _width(np.bincount(lines))
    if width == 1:
        return rows
    at, filled = _cells(lines, width)

    def take(x: jax.Array, axis: int, even: bool) -> jax.Array:
        cells = at[:, :1] if even else at
        return jnp.take(x, jnp.asarray(cells), axis=axis)

    return Rows(
        x={name: take(x, 0, x.ndim == 2) for name, x in rows.x.items()},
        own={name: take(x, 1, True) for name, x in rows.own.items()},
        losses=take(rows.losses, 1, False),
        row_weights=jnp.where(filled, take(rows.row_weights, 1, False), 0.0),
        prior=rows.prior,
    )


def _width(counts: np.ndarray) -> int:
    """The length of the lines with the least work; 1 if rows without lines are as good."""
    widths = np.unique(counts)
    cost = np.array([np.sum(-(-counts // w)) * (w + _LINE) for w in widths])
    best = int(widths[cost.argmin()])
    return best if cost.min() < 0.8 * counts.sum() * (1 + _LINE) else 1


def _cells(lines: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The row [M, R] of each entry, and whether it is one of its own."""
    order = np.argsort(lines, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(lines[order])) + 1)
    parts = [group[i : i + width] for group in groups for i in range(0, len(group), width)]
    at = np.stack([np.resize(part, width) for part in parts])
    return at, np.arange(width) < np.array([len(part) for part in parts])[:, None]
