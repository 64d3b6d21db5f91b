"""Derivatives of optima against finite differences, within constraints of every kind."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting.fitted import FittedLaws
from jaxmix.laws import ADDITIVE, CHINCHILLA, GE, TOKENS, WEIGHTS, Input, Law, Parameter
from jaxmix.mixtures import Constraints, optimal_weights, optimize, sensitivity

N, D = 2e9, 5e10
RTOL = 1e-4
BOX = Constraints(minimum={"a": 0.2}, maximum={"d": 0.05, "e": 0.04, "f": 0.0})
REFERENCE = {"a": 0.6, "b": 0.2, "c": 0.2}


def values(by_domain: dict[str, float]) -> np.ndarray:
    return np.array([*by_domain.values()])


def agrees(exact: np.ndarray, above: np.ndarray, below: np.ndarray, step: float) -> bool:
    """Exact derivatives against central differences, relative to the largest of them."""
    differences = (above - below) / (2 * step)
    return bool(np.abs(exact - differences).max() <= RTOL * np.abs(differences).max() + 1e-9)


def with_param(laws: FittedLaws, target: int, name: str, value: np.ndarray) -> FittedLaws:
    changed = dataclasses.replace(laws[target], params={**laws[target].params, name: value})
    return FittedLaws(changed if i == target else law for i, law in enumerate(laws))


@pytest.fixture(scope="module", params=[None, BOX], ids=["free", "bounded"])
def found8(request, joint8):
    return sensitivity(optimize(joint8, N, D, request.param))


def test_budget_derivatives(joint8, found8) -> None:
    limits, step = found8.optimum.constraints, 1e-3
    for moved, exact in (((1, 0), found8.log_n_params), ((0, 1), found8.log_tokens)):
        above, below = (
            optimize(joint8, N * np.exp(s * moved[0]), D * np.exp(s * moved[1]), limits).h
            for s in (step, -step)
        )
        assert agrees(values(exact), above, below, step)
    assert values(found8.n_params) * N == pytest.approx(values(found8.log_n_params))
    assert values(found8.tokens) * D == pytest.approx(values(found8.log_tokens))


@pytest.mark.parametrize("limits", [None, BOX], ids=["free", "bounded"])
def test_target_weight_derivatives(joint8, limits: Constraints | None) -> None:
    w = np.arange(1.0, 9.0) / 36
    found = sensitivity(optimize(joint8, N, D, limits, target_weights=w))
    for i, target in enumerate("abc"):
        above, below = (
            optimize(joint8, N, D, limits, target_weights=w + s * np.eye(8)[i]).h
            for s in (1e-5, -1e-5)
        )
        # The weights are normalized: what w gains as a whole changes nothing.
        assert agrees(values(found.target_weights[target]), above, below, 1e-5)
    whole = sum(w[i] * values(found.target_weights[t]) for i, t in enumerate("abcdefgh"))
    assert np.abs(whole).max() < 1e-7


def test_parameter_derivatives(joint8, found8) -> None:
    """Every scalar and two entries of every per-domain parameter, for one target."""
    target, limits = 1, found8.optimum.constraints
    for p in joint8.law.parameters:
        value = joint8[target].params[p.name]
        for index in [()] if p.shape == "scalar" else [(1,), (2,)]:
            label = f"{p.name}[{'abcdefgh'[index[0]]}]" if index else p.name
            step = 1e-4 * abs(float(value[index]))
            shift = np.zeros_like(value)
            shift[index] = step
            above, below = (
                optimize(with_param(joint8, target, p.name, value + s * shift), N, D, limits).h
                for s in (1, -1)
            )
            assert agrees(values(found8.params["b"][label]), above, below, step), label
    assert list(found8.params["b"]) == list(joint8.law.names(joint8.domains))
    assert np.abs(values(found8.params["b"]["E"])).max() < 1e-12


GENERAL = {
    "group": (Constraints(groups={"a+b": 0.4}), {}),
    "equation": (Constraints(linear=["a - b = 0.05"], maximum={"c": 0.3}), {}),
    "guard": (Constraints(guards={"a": 0.001}, reference=REFERENCE), {}),
    "kl": (Constraints(kl_max=0.01, prior={"a": 0.2, "b": 0.3, "c": 0.5}), {}),
    "worst": (Constraints(groups={"a+b": 0.5}), {"worst_case": "loss"}),
    "gap": (Constraints(reference={"a": 0.4, "b": 0.1, "c": 0.5}), {"worst_case": "gap"}),
    "pull": (Constraints(prior=REFERENCE), {"pull": 0.1}),
}


@pytest.mark.parametrize("case", GENERAL)
def test_general_constraints(joint3, case: str) -> None:
    limits, options = GENERAL[case]
    best = optimize(joint3, N, D, limits, **options)
    found = sensitivity(best)
    above, below = (optimize(joint3, N, D * np.exp(s), limits, **options).h for s in (1e-4, -1e-4))
    assert agrees(values(found.log_tokens), above, below, 1e-4)
    value = joint3[0].params["C"]
    step = 1e-4 * value * np.eye(3)[0]
    above, below = (
        optimize(with_param(joint3, 0, "C", value + s * step), N, D, limits, **options).h
        for s in (1, -1)
    )
    assert agrees(values(found.params["a"]["C[a]"]), above, below, step[0])
    assert set(found.bounds) == set(best.active)


@pytest.mark.parametrize(
    ("limits", "label"),
    [
        (lambda x: Constraints(groups={"a+b": 0.4 + x}), "a+b<=0.4"),
        (lambda x: Constraints(linear=[f"2*c <= {0.3 + x!r}"], groups={"a+b": 0.9}), "2*c <= 0.3"),
        (
            lambda x: Constraints(guards={"a": 0.001 + x}, reference=REFERENCE),
            "a<=reference+0.001",
        ),
        (lambda x: Constraints(kl_max=0.01 + x), "KL<=0.01"),
        (lambda x: Constraints(linear=[f"2*a - 2*b = {0.1 + x!r}"]), "2*a - 2*b = 0.1"),
    ],
)
def test_what_loosening_a_constraint_moves(joint3, limits, label: str) -> None:
    found = sensitivity(optimize(joint3, N, D, limits(0)))
    above, below = (optimize(joint3, N, D, limits(s)).h for s in (1e-6, -1e-6))
    assert agrees(values(found.bounds[label]), above, below, 1e-6)


# A law with an input of its own: at a large learning rate the second domain suffers.
TUNED = Law(
    "tuned",
    (Parameter("C", "domain"), Parameter("gamma")),
    lambda p, x: 1 / jnp.sum(p["C"] * (x["weights"] + 1e-9) ** p["gamma"], -1)
    + x["weights"][..., 1] * x["learning_rate"] ** 2 + 1 / x["tokens"],
    inputs=(TOKENS, WEIGHTS, Input("learning_rate")),
)  # fmt: skip


def test_inputs_of_ones_own(fit_of) -> None:
    laws = fit_of(TUNED, {"C": [[1, 2, 3.0]], "gamma": [0.5]}, "abc", "x")
    best, above, below = (
        optimize(laws, N, 2.0, at={"learning_rate": 0.3 + s}) for s in (0, 1e-4, -1e-4)
    )
    found = sensitivity(best)
    assert list(found.inputs) == ["learning_rate"] and best.inputs["learning_rate"] == 0.3
    assert agrees(values(found.inputs["learning_rate"]), above.h, below.h, 1e-4)


def test_bound_derivatives(joint8) -> None:
    found = sensitivity(optimize(joint8, N, D, BOX))
    assert {"a>=0.2", "d<=0.05", "e<=0.04"} <= set(found.bounds)
    above, below = (
        optimize(joint8, N, D, dataclasses.replace(BOX, minimum={"a": 0.2 + s})).h
        for s in (1e-4, -1e-4)
    )
    assert agrees(values(found.bounds["a>=0.2"]), above, below, 1e-4)
    above, below = (
        optimize(joint8, N, D, dataclasses.replace(BOX, maximum={**BOX.maximum, "d": 0.05 + s})).h
        for s in (1e-4, -1e-4)
    )
    assert agrees(values(found.bounds["d<=0.05"]), above, below, 1e-4)


def test_derivatives_have_sum_zero_and_leave_held_weights(joint8) -> None:
    found = sensitivity(optimize(joint8, N, D, BOX))
    for column in (found.log_n_params, found.target_weights["c"], found.params["c"]["C[a]"]):
        assert abs(values(column).sum()) < 1e-12
        assert column["a"] == column["d"] == column["f"] == 0


def test_limits_have_no_slope(joint3) -> None:
    found = sensitivity(optimize(joint3, np.inf, D))
    assert np.all(values(found.log_n_params) == 0) and np.all(values(found.n_params) == 0)
    assert np.any(values(found.log_tokens) != 0)


def test_vmap_over_budgets_forward_and_reverse(joint3) -> None:
    budgets = np.geomspace(1e8, 1e11, 7)
    with jax.enable_x64(True):
        laws, w = joint3.stacked, jnp.ones(3) / 3

        def path(log_n: jax.Array) -> jax.Array:
            return optimal_weights(laws, {"n_params": jnp.exp(log_n), "tokens": D}, w)

        logs = jnp.log(jnp.asarray(budgets))
        h, forward = jax.jit(jax.vmap(lambda x: jax.jvp(path, (x,), (1.0,))))(logs)
        reverse = jax.jit(jax.vmap(jax.jacrev(path)))(logs)
    assert np.allclose(forward, reverse, rtol=1e-9, atol=1e-14)
    for b in (0, 6):
        one = sensitivity(optimize(joint3, budgets[b], D))
        assert h[b] == pytest.approx(one.optimum.h, abs=1e-10)
        assert forward[b] == pytest.approx(values(one.log_n_params), rel=1e-6)


def test_gradients_chain_through_the_parameters(joint3) -> None:
    """A scalar of h* differentiated by everything at once, as through a fit."""
    with jax.enable_x64(True):
        laws, w = joint3.stacked, jnp.ones(3) / 3

        def share(params: dict, lower: jax.Array) -> jax.Array:
            moved, x = laws.replace_params(params), {"n_params": N, "tokens": D}
            return optimal_weights(moved, x, w, lower)[0]

        run = jax.jit(jax.grad(share, argnums=(0, 1)))
        by_params, by_lower = run(laws.params, jnp.array([0.0, 0.6, 0.0]))
        named = sensitivity(optimize(joint3, N, D, Constraints(minimum={"b": 0.6})))
    assert float(by_params["C"][2, 0]) == pytest.approx(named.params["c"]["C[a]"]["a"], rel=1e-9)
    assert float(by_lower[1]) == pytest.approx(named.bounds["b>=0.6"]["a"], rel=1e-9)


def test_ge_has_its_own_domains_weight(fit_of) -> None:
    params = {"E": [1.0, 2.0], "B": [100.0, 50.0], "beta": [0.3, 0.2], "gamma": [0.1, 0.3]}
    laws = fit_of(GE, params, "abc", "ab")
    found = sensitivity(optimize(laws, N, D))
    above, below = (optimize(laws, N, D * np.exp(s)).h for s in (1e-3, -1e-3))
    assert agrees(values(found.log_tokens), above, below, 1e-3)
    assert found.optimum.h[2] == 0 and found.log_tokens["c"] == 0


def test_at_a_vertex_nothing_moves(fit_of) -> None:
    ones = {name: [1, 1] for name in ("E", "A", "alpha", "B", "beta")}
    params = {**ones, "C": [[1, 2, 9.0]] * 2, "gamma": [[1, 1, 1.0]] * 2}
    found = sensitivity(optimize(fit_of(ADDITIVE, params, "abc", "xy"), 2.0, 2.0))
    assert found.optimum.h.tolist() == [0, 0, 1]
    assert np.abs(values(found.params["x"]["C[a]"])).max() < 1e-15
    assert found.bounds["a>=0"] == pytest.approx({"a": 1, "b": 0, "c": -1})


def test_a_flat_law_has_no_derivative(fit_of) -> None:
    ones = {name: [1, 1] for name in ("E", "A", "alpha", "B", "beta")}
    with pytest.raises(ValueError, match="does not depend on the mixture"):
        sensitivity(optimize(fit_of(CHINCHILLA, ones, "abc", "xy"), 2.0, 2.0))
    flat = {**ones, "C": [[2, 2, 2.0]] * 2, "gamma": [[1, 1, 1.0]] * 2}
    with pytest.raises(ValueError, match="not isolated"):
        sensitivity(optimize(fit_of(ADDITIVE, flat, "abc", "xy"), 2.0, 2.0))
