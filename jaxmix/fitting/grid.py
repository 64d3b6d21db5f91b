"""Groups rows by mixture, so that terms of the mixture are computed once per group.

A table holds many rows of each mixture: runs of several sizes, each at many checkpoints. Powers of
the weights are most of what a law costs.
"""

import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.objective import Rows

_GROUP = 4  # a further group costs as much as this many further entries


def on_grid(rows: Rows) -> Rows:
    """The same rows as a grid of R entries of M groups; unchanged if that saves no work.

    Inputs per domain are equal within a group. They become [1, M, k], those of a fit's own domain
    [m, 1, M], inputs per row [R, M], losses and row weights [m, R, M]. Entries that stand for no
    row repeat another row with weight 0.
    """
    fixed = [x for x in rows.x.values() if x.ndim == 2] + [x.T for x in rows.own.values()]
    if not fixed or rows.losses.ndim != 2:
        return rows
    keys = np.concatenate([np.asarray(x) for x in fixed], 1)
    groups = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    width = _width(np.bincount(groups))
    if width == 1:
        return rows
    at, filled = _cells(groups, width)
    return Rows(
        x={name: x[at[:1] if x.ndim == 2 else at] for name, x in rows.x.items()},
        own={name: x[:, at[:1]] for name, x in rows.own.items()},
        losses=rows.losses[:, at],
        row_weights=jnp.where(filled, rows.row_weights[:, at], 0.0),
        prior=rows.prior,
    )


def _width(counts: np.ndarray) -> int:
    """The number R of entries with the least work; 1 if single rows are as good."""
    widths = np.unique(counts)
    cost = np.array([np.sum(-(-counts // w)) * (w + _GROUP) for w in widths])
    best = int(widths[cost.argmin()])
    return best if cost.min() < 0.8 * counts.sum() * (1 + _GROUP) else 1


def _cells(groups: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The row of each entry [R, M], and whether the entry stands for that row."""
    order = np.argsort(groups, kind="stable")
    whole = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    parts = [rows[i : i + width] for rows in whole for i in range(0, len(rows), width)]
    at = np.stack([np.resize(part, width) for part in parts])
    return at.T, np.arange(width)[:, None] < np.array([len(part) for part in parts])
