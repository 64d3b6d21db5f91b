"""What the tests of the laws share: float64, and plausible parameters for every law."""

import jax
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def _draw(rng, law, parameter, k):
    """Values as a fit would give them, for N near 1e8 and D near 1e10."""
    shape = () if parameter.shape == "scalar" else (k,)
    if parameter.support == "real":  # either sign, away from 0
        return rng.uniform(0.4, 1.6, shape) * rng.choice([-1.0, 1.0], shape)
    low, high = {
        "E": (1.0, 2.0),
        "A": (20.0, 400.0),
        "B": (50.0, 900.0),
        "gamma": (0.1, 1.5),
        "C": (0.2, 2.0),
    }.get(parameter.name.removeprefix("C_"), (0.2, 0.5))  # alpha, beta
    return rng.uniform(low, high, shape)


def _as_blends(p):
    """With each vertex of a blend ``(sum_i C_x_i h_i)^gamma_x`` at the value drawn for it."""
    blends = [name for name in p if name.startswith("C_")]
    return {**p, **{b: p[b] ** (1.0 / p[b.replace("C_", "gamma_")]) for b in blends}}


@pytest.fixture
def draw_params():
    """draw_params(law, k, seed) -> natural parameters as NumPy arrays."""

    def draw(law, k, seed=0):
        rng = np.random.default_rng([seed, k])
        return _as_blends({p.name: _draw(rng, law, p, k) for p in law.parameters})

    return draw


@pytest.fixture
def seen():
    """seen(law, h): the weights [..., k] as the law reads them: those of its own domain, or all."""
    return lambda law, h: h[..., 0] if law.reads_own else h
