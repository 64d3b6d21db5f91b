import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting.fitted import FittedLaw, StackedLaws, stack
from jaxmix.laws import ADDITIVE, CHINCHILLA, GE
from jaxmix.mixtures import optimal_weights, optimize, sensitivity

N, D = 2e9, 5e10
RTOL = 1e-4
BOX = {"minimum": {"a": 0.2}, "maximum": {"d": 0.05, "e": 0.04, "f": 0.0}}


def values(by_domain: dict[str, float]) -> np.ndarray:
    return np.array([*by_domain.values()])


def agrees(exact: np.ndarray, above: np.ndarray, below: np.ndarray, step: float) -> bool:
    """Exact derivatives against central differences, relative to the largest of them."""
    differences = (above - below) / (2 * step)
    return bool(np.abs(exact - differences).max() <= RTOL * np.abs(differences).max() + 1e-9)


def with_param(laws: list[FittedLaw], target: int, name: str, value: np.ndarray) -> list[FittedLaw]:
    changed = dataclasses.replace(laws[target], params={**laws[target].params, name: value})
    return [*laws[:target], changed, *laws[target + 1 :]]


@pytest.mark.parametrize("box", [{}, BOX], ids=["free", "bounded"])
def test_budget_derivatives(joint8, box: dict) -> None:
    found = sensitivity(joint8, N, D, **box)
    step = 1e-3
    for moved, exact in (((1, 0), found.log_n_params), ((0, 1), found.log_tokens)):
        above, below = (
            optimize(joint8, N * np.exp(s * moved[0]), D * np.exp(s * moved[1]), **box).weights
            for s in (step, -step)
        )
        assert agrees(values(exact), above, below, step)
    assert values(found.n_params) * N == pytest.approx(values(found.log_n_params))
    assert values(found.tokens) * D == pytest.approx(values(found.log_tokens))


@pytest.mark.parametrize("box", [{}, BOX], ids=["free", "bounded"])
def test_target_weight_derivatives(joint8, box: dict) -> None:
    w = np.arange(1.0, 9.0) / 36
    found = sensitivity(joint8, N, D, target_weights=w, **box)
    for i, target in enumerate("abc"):
        above, below = (
            optimize(joint8, N, D, target_weights=w + s * np.eye(8)[i], **box).weights
            for s in (1e-5, -1e-5)
        )
        assert agrees(values(found.target_weights[target]), above, below, 1e-5)
    whole = sum(w[i] * values(found.target_weights[t]) for i, t in enumerate("abcdefgh"))
    assert np.abs(whole).max() < 1e-10


@pytest.mark.parametrize("box", [{}, BOX], ids=["free", "bounded"])
def test_parameter_derivatives(joint8, box: dict) -> None:
    """Every scalar and two entries of every per-domain parameter, for one target."""
    found = sensitivity(joint8, N, D, **box)
    target = 1
    for p in joint8[0].law.parameters:
        value = joint8[target].params[p.name]
        for index in [()] if p.shape == "scalar" else [(1,), (2,)]:
            label = f"{p.name}[{'abcdefgh'[index[0]]}]" if index else p.name
            step = 1e-4 * abs(float(value[index]))
            shift = np.zeros_like(value)
            shift[index] = step
            above, below = (
                optimize(with_param(joint8, target, p.name, value + s * shift), N, D, **box).weights
                for s in (1, -1)
            )
            assert agrees(values(found.params["b"][label]), above, below, step), label
    assert list(found.params["b"]) == list(joint8[0].law.names(joint8[0].domains))
    assert np.all(values(found.params["b"]["E"]) == 0)


def test_bound_derivatives(joint8) -> None:
    found = sensitivity(joint8, N, D, **BOX)
    assert {"a>=0.2", "d<=0.05", "e<=0.04"} <= set(found.bounds)
    above, below = (
        optimize(joint8, N, D, minimum={"a": 0.2 + s}, maximum=BOX["maximum"]).weights
        for s in (1e-4, -1e-4)
    )
    assert agrees(values(found.bounds["a>=0.2"]), above, below, 1e-4)
    above, below = (
        optimize(joint8, N, D, minimum=BOX["minimum"], maximum={**BOX["maximum"], "d": 0.05 + s})
        for s in (1e-4, -1e-4)
    )
    assert agrees(values(found.bounds["d<=0.05"]), above.weights, below.weights, 1e-4)


def test_derivatives_have_sum_zero_and_leave_held_weights(joint8) -> None:
    found = sensitivity(joint8, N, D, **BOX)
    for column in (found.log_n_params, found.target_weights["c"], found.params["c"]["C[a]"]):
        assert abs(values(column).sum()) < 1e-12
        assert column["a"] == column["d"] == column["f"] == 0


def test_limits_have_no_slope(joint3) -> None:
    found = sensitivity(joint3, np.inf, D)
    assert np.all(values(found.log_n_params) == 0) and np.all(values(found.n_params) == 0)
    assert np.any(values(found.log_tokens) != 0)


def test_vmap_over_budgets_forward_and_reverse(joint3) -> None:
    budgets = np.geomspace(1e8, 1e11, 7)
    with jax.enable_x64(True):
        laws, w = stack(joint3), jnp.ones(3) / 3

        def path(log_n: jax.Array) -> jax.Array:
            return optimal_weights(laws, jnp.exp(log_n), D, w)

        logs = jnp.log(jnp.asarray(budgets))
        h, forward = jax.jit(jax.vmap(lambda x: jax.jvp(path, (x,), (1.0,))))(logs)
        reverse = jax.jit(jax.vmap(jax.jacrev(path)))(logs)
    assert np.allclose(forward, reverse, rtol=1e-9, atol=1e-14)
    for b in (0, 6):
        one = sensitivity(joint3, budgets[b], D)
        assert h[b] == pytest.approx(one.optimum.weights, abs=1e-10)
        assert forward[b] == pytest.approx(values(one.log_n_params), rel=1e-6)


def test_gradients_chain_through_the_parameters(joint3) -> None:
    """A scalar of h* differentiated by everything at once, as through a fit."""
    with jax.enable_x64(True):
        laws, w = stack(joint3), jnp.ones(3) / 3

        def share(params: dict, lower: jax.Array) -> jax.Array:
            return optimal_weights(StackedLaws(params, None, laws.law), N, D, w, lower)[0]

        run = jax.jit(jax.grad(share, argnums=(0, 1)))
        by_params, by_lower = run(laws.params, jnp.array([0.0, 0.6, 0.0]))
        named = sensitivity(joint3, N, D, minimum={"b": 0.6})
    assert float(by_params["C"][2, 0]) == pytest.approx(named.params["c"]["C[a]"]["a"], rel=1e-9)
    assert float(by_lower[1]) == pytest.approx(named.bounds["b>=0.6"]["a"], rel=1e-9)


def test_ge_has_its_own_domains_weight(fit_of) -> None:
    params = {"E": [1.0, 2.0], "B": [100.0, 50.0], "beta": [0.3, 0.2], "gamma": [0.1, 0.3]}
    laws = fit_of(GE, params, "abc", "ab")
    found = sensitivity(laws, N, D)
    above, below = (optimize(laws, N, D * np.exp(s)).weights for s in (1e-3, -1e-3))
    assert agrees(values(found.log_tokens), above, below, 1e-3)
    assert found.optimum.weights[2] == 0 and found.log_tokens["c"] == 0


def test_at_a_vertex_nothing_moves(fit_of) -> None:
    ones = {name: [1, 1] for name in ("E", "A", "alpha", "B", "beta")}
    params = {**ones, "C": [[1, 2, 9.0]] * 2, "gamma": [[1, 1, 1.0]] * 2}
    found = sensitivity(fit_of(ADDITIVE, params, "abc", "xy"), 2.0, 2.0)
    assert found.optimum.weights.tolist() == [0, 0, 1]
    assert all(v == 0 for v in found.params["x"]["C[a]"].values())
    assert found.bounds["a>=0"] == pytest.approx({"a": 1, "b": 0, "c": -1})


def test_a_flat_law_has_no_derivative(fit_of) -> None:
    ones = {name: [1, 1] for name in ("E", "A", "alpha", "B", "beta")}
    with pytest.raises(ValueError, match="does not depend on the mixture"):
        sensitivity(fit_of(CHINCHILLA, ones, "abc", "xy"), 2.0, 2.0)
    flat = {**ones, "C": [[2, 2, 2.0]] * 2, "gamma": [[1, 1, 1.0]] * 2}
    with pytest.raises(ValueError, match="not isolated"):
        sensitivity(fit_of(ADDITIVE, flat, "abc", "xy"), 2.0, 2.0)
