"""Small batches of the image families, and a loop that learns one by heart."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

VOCABULARY = 61
PIXELS = 3 * 8 * 8
PICTURE = None  # stands for a picture in a document; numbers are its tokens


def rng(seed=0):
    return np.random.default_rng(seed)


def textured(*shape, seed=0):
    """Patches of uniform noise."""
    return rng(seed).integers(0, 256, (*shape, PIXELS), np.uint8)


def document(parts, pictures, seed=0):
    """One document as the arrays of a row of just its length.

    Args:
        parts: numbers of text tokens, or PICTURE.
        pictures: patches [n, K, P] for the parts that are pictures.
        seed: of the tokens.
    """
    pictures, draw = list(pictures), rng(seed)
    ids, patches, is_patch, ends = [], [], [], []
    for part in parts:
        size = len(pictures[0]) if part is PICTURE else part
        stop = len(ids) + size
        ends += [stop] * size if part is PICTURE else range(len(ids) + 1, stop + 1)
        ids += [0] * size if part is PICTURE else draw.integers(1, VOCABULARY, size).tolist()
        patches.append(pictures.pop(0) if part is PICTURE else np.zeros((size, PIXELS), np.uint8))
        is_patch += [part is PICTURE] * size
    return {
        "tokens": np.array(ids[:-1]),
        "targets": np.array(ids[1:]),
        "counted": ~np.array(is_patch[1:]),
        "patches": np.concatenate(patches)[:-1],
        "is_patch": np.array(is_patch[:-1]),
        "key_start": np.zeros(len(ids) - 1, int),
        "key_end": np.array(ends[:-1]),
    }


def packed(documents, length):
    """Documents in one row of `length` positions, [1, length, ...]; padding sees itself."""
    row, at = {}, 0
    for made in documents:
        size = len(made["tokens"])
        for name, values in made.items():
            if name not in row:
                row[name] = np.zeros((length, *values.shape[1:]), values.dtype)
            row[name][at : at + size] = values + at if name.startswith("key") else values
        at += size
    row["key_start"][at:] = np.arange(at, length)
    row["key_end"][at:] = np.arange(at, length) + 1
    return {name: values[None] for name, values in row.items()}


def stacked(rows):
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def learn(loss, params, steps, rate=5e-3):
    """Adam on one loss; returns the last parameters and the losses of all steps."""
    adam = optax.adam(rate, b2=0.95)

    def step(carry, _):
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params)
        moves, state = adam.update(gradient, state)
        return (optax.apply_updates(params, moves), state), value

    @jax.jit
    def run(params):
        (params, _), values = jax.lax.scan(step, (params, adam.init(params)), length=steps)
        return params, values

    return run(params)


def program(function, *args):
    """Compiles for these arguments, in half the time of code that is to run often."""
    return jax.jit(function).lower(*args).compile({"xla_backend_optimization_level": 0})


def traced_flops(function, *args):
    return jax.jit(function).lower(*args).cost_analysis()["flops"]


def mean(losses):
    return losses.sums.sum() / losses.counts.sum()


def same(a, b, rtol=2e-4, atol=1e-6):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


def finite(tree):
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))
