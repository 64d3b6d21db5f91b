"""Programs that run seldom: their number, and what becomes of them inside others."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting.precision import float64
from jaxmix.fitting.programs import compile_quickly
from jaxmix.fitting.stacked import StackedLaws, losses, predict_losses
from jaxmix.laws import get_law

LAW = get_law("additive")


@compile_quickly()
def square(x):
    return x * x


def test_a_quick_program_is_a_part_of_the_program_that_calls_it() -> None:
    assert float(jax.jit(jax.grad(square))(3.0)) == 6.0
    assert np.asarray(jax.vmap(square)(jnp.arange(3.0))).tolist() == [0.0, 1.0, 4.0]


def stacked() -> StackedLaws:
    values = {"scalar": np.full(2, 0.5), "domain": np.full((2, 3), 0.7)}
    return StackedLaws({p.name: values[p.shape] for p in LAW.parameters}, None, LAW)


def inputs(points: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(points)
    return {
        "n_params": np.array(1e3),
        "tokens": rng.uniform(1e3, 1e4, (points, 1)),
        "weights": rng.dirichlet(np.ones(3), (points, 2)),
    }


@pytest.mark.parametrize("points", [1, 40, 700])
def test_padded_points_have_the_losses_of_the_law(points: int) -> None:
    with float64():
        expected = np.asarray(losses(stacked(), inputs(points)))
        found = predict_losses(stacked(), inputs(points))
    assert found.shape == expected.shape == (2, points, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_other_numbers_of_points_of_one_padded_size_compile_nothing() -> None:
    compiled = []

    def listen(event: str, duration_secs: float, **more: Any) -> None:
        if event.endswith("backend_compile_duration"):
            compiled.append(more)

    with float64():
        predict_losses(stacked(), inputs(33))
        jax.monitoring.register_event_duration_secs_listener(listen)
        predict_losses(stacked(), inputs(34))
        assert not compiled
        predict_losses(stacked(), inputs(400))  # a larger size: the listener hears
    assert len(compiled) == 1
