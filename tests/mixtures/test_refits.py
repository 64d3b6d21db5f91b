"""The proposal's question asked of refits: their optima meet the optimality conditions."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.optimize import minimize

from jaxmix.fitting.fitted import FittedLaws
from jaxmix.laws import ADDITIVE, GE
from jaxmix.mixtures import Constraints, Optimum, grid_design, optimize
from jaxmix.mixtures.solve.refits import level_edges, objective_of, solve_refits
from tests.mixtures.conftest import fitted

N, D, REFITS = 7e9, 1.5e11, 4
SIZES = (17, 20, 40)


def names(k: int) -> str:
    return "".join(chr(ord("A") + i) for i in range(k))


@cache
def laws(k: int) -> FittedLaws:
    """Two targets of an additive law; convex."""
    rng = np.random.default_rng(k)
    params = {n: np.full(2, v) for n, v in dict(E=1.8, A=480.0, B=2e3).items()}
    params |= {"alpha": np.full(2, 0.35), "beta": np.full(2, 0.37)}
    params |= {"C": rng.uniform(0.5, 3.0, (2, k)), "gamma": rng.uniform(0.2, 0.9, (2, k))}
    params["C"][:, 1:3], params["gamma"][:, 1:3] = 3.0, 0.6  # those whose weights are limited
    return fitted(ADDITIVE, params, names(k), names(2))


def moved(k: int) -> dict[str, np.ndarray]:
    """Parameters [B, 2, ...] near those of ``laws``, the first of them theirs."""
    rng = np.random.default_rng(1)
    size = {"C": 0.3, "gamma": 0.03}
    found = {}
    for name, value in laws(k).stacked.params.items():
        value = np.asarray(value)
        noise = rng.normal(size=(REFITS, *value.shape)) * size.get(name, 0.0)
        noise[0] = 0.0
        found[name] = value * np.exp(noise)
    return found


def bounds(k: int) -> Constraints:
    """A minimum, a maximum and a stock that bind."""
    return Constraints(
        minimum={"A": 0.2}, maximum={"B": 0.5 / k}, available={"C": 0.1 / k * D}, max_epochs=2
    )


def group(k: int) -> Constraints:
    """A sum of weights that binds."""
    return Constraints(groups={"+".join(names(k)[:5]): (None, 1.0 / k)}, minimum={"F": 0.2})


@cache
def proposal(k: int, kind: str) -> Optimum:
    return optimize(laws(k), N, D, bounds(k) if kind == "bounds" else group(k))


def slopes(params: dict[str, np.ndarray], h: np.ndarray) -> np.ndarray:
    """d/dh_i of the mean of 1 / sum_i C_i h_i^gamma_i over targets; [k]."""
    c, gamma = params["C"], params["gamma"]
    bias = 1 / np.sum(c * h**gamma, -1, keepdims=True)
    return np.mean(-(bias**2) * c * gamma * h ** (gamma - 1), 0)


def loss(params: dict[str, np.ndarray], h: np.ndarray) -> float:
    scaling = params["A"] * N ** -params["alpha"] + params["B"] * D ** -params["beta"]
    bias = 1 / np.sum(params["C"] * h ** params["gamma"], -1)
    return float(np.mean(params["E"] + scaling + bias))


@pytest.mark.parametrize("k", SIZES)
def test_refits_within_bounds(k: int) -> None:
    best, params = proposal(k, "bounds"), moved(k)
    found, values = solve_refits(best, laws(k).stacked.replace_params(params))
    assert found.shape == (REFITS, k) and values.shape == (REFITS,)
    assert found[0] == pytest.approx(best.h, abs=1e-6)
    assert np.abs(found[1:] - best.h).max() > 1e-3
    lower, upper = np.zeros(k), np.ones(k)
    lower[0], upper[1:3] = 0.2, (0.5 / k, 0.2 / k)
    for b, h in enumerate(found):
        one = {name: value[b] for name, value in params.items()}
        assert values[b] == pytest.approx(loss(one, h), rel=1e-12)
        assert h.sum() == pytest.approx(1, abs=1e-12)
        assert np.all(h >= lower) and np.all(h <= upper + 1e-15)
        assert h[:3] == pytest.approx([lower[0], *upper[1:3]], rel=1e-14)
        slope = slopes(one, h)
        level = slope[3:].mean()
        assert slope[3:] == pytest.approx(level, rel=1e-3)
        assert slope[0] > level and np.all(slope[1:3] < level)


@pytest.mark.parametrize("k", SIZES)
def test_refits_within_a_group(k: int) -> None:
    best, params = proposal(k, "group"), moved(k)
    assert best.proven and best.converged and len(best.active) == 2
    found, values = solve_refits(best, laws(k).stacked.replace_params(params))
    assert found[0] == pytest.approx(best.h, abs=1e-6)
    for b, h in enumerate(found):
        one = {name: value[b] for name, value in params.items()}
        assert values[b] == pytest.approx(loss(one, h), rel=1e-12)
        assert h.sum() == pytest.approx(1, abs=1e-9) and np.all(h > 0)
        assert h[:5].sum() == pytest.approx(1.0 / k, abs=1e-9) and h[5] == pytest.approx(0.2)
        slope = slopes(one, h)
        inside, outside = slope[:5].mean(), slope[6:].mean()
        assert slope[:5] == pytest.approx(inside, rel=1e-3)
        assert slope[6:] == pytest.approx(outside, rel=1e-3)
        assert inside < outside < slope[5]


@pytest.mark.parametrize("limits", [Constraints(), Constraints(groups={"a+b": 0.7})])
def test_refits_that_may_have_several_minima(rough3, limits: Constraints) -> None:
    best = optimize(rough3, N, D, limits)
    assert not best.proven
    stacked = rough3.stacked
    gamma = np.asarray(stacked.params["gamma"]) * np.array([1.0, 0.9, 1.3])[:, None, None]
    params = {n: np.stack([v] * 3) for n, v in stacked.params.items()} | {"gamma": gamma}
    found, values = solve_refits(best, stacked.replace_params(params))
    assert values[0] == pytest.approx(best.objective, rel=1e-9)
    grid = grid_design(3, 100)
    grid = grid[grid[:, 2] >= 0.3 - 1e-9] if limits.groups else grid
    for b in range(3):
        laws = [replace(f, params=f.params | {"gamma": gamma[b, i]}) for i, f in enumerate(rough3)]
        refit = FittedLaws(laws).predict({"n_params": N, "tokens": D, "weights": grid})
        assert values[b] <= refit.to_numpy().mean(1).min() + 1e-9
        if limits.groups:
            assert found[b, :2].sum() <= 0.7 + 1e-9


@pytest.mark.parametrize("limits", [Constraints(), Constraints(groups={"a+b": (0.01, 0.98)})])
def test_a_refit_of_a_target_of_weight_zero_costs_nothing(limits: Constraints) -> None:
    """Its loss is infinite at the optimum."""
    params = {"E": [1, 1], "B": [1, 1], "beta": [0.3, 0.3], "gamma": [0.2, 0.3]}
    laws = fitted(GE, params, "abc", "ab")
    best = optimize(laws, N, D, limits, target_weights={"a": 1})
    gamma = np.array([[0.2, 0.3], [0.4, 0.1]])
    params = {n: np.stack([v] * 2) for n, v in laws.stacked.params.items()} | {"gamma": gamma}
    found, values = solve_refits(best, laws.stacked.replace_params(params))
    h = [0.98, 0.0, 0.02] if limits.groups else [1.0, 0.0, 0.0]
    assert found == pytest.approx(np.array([h, h]), abs=1e-6)
    assert values == pytest.approx((1 + D**-0.3) / h[0] ** gamma[:, 0], rel=1e-9)


def test_starts_may_be_given() -> None:
    k = SIZES[0]
    refits = laws(k).stacked.replace_params(moved(k))
    expected = solve_refits(proposal(k, "bounds"), refits)[1]
    starts = np.random.default_rng(0).dirichlet(np.ones(k), 2)
    assert solve_refits(proposal(k, "bounds"), refits, starts)[1] == pytest.approx(expected)


@pytest.mark.parametrize(("kind", "some"), [("bounds", (2, 9)), ("group", (9,))])
def test_edges_of_a_level_set(kind: str, some: tuple) -> None:
    """Those that SciPy finds, for some of the domains."""
    k, threshold = SIZES[0], 1e-4
    best = proposal(k, kind)
    low, high = level_edges(best, threshold)
    one = {name: np.asarray(value) for name, value in laws(k).stacked.params.items()}
    limits = [(1e-9, 1.0)] * k
    sums = [{"type": "eq", "fun": lambda h: h.sum() - 1}]
    if kind == "bounds":
        limits[:3] = [(0.2, 1.0), (1e-9, 0.5 / k), (1e-9, 0.2 / k)]
    else:
        limits[5] = (0.2, 1.0)
        sums.append({"type": "ineq", "fun": lambda h: 1.0 / k - h[:5].sum()})
    level = {
        "type": "ineq",
        "fun": lambda h: 100 * (best.objective + threshold - loss(one, h)),
        "jac": lambda h: -100 * slopes(one, h),
    }
    for i in some:
        for sign, edge in ((1.0, low[i]), (-1.0, high[i])):
            peer = minimize(
                lambda h, i=i, sign=sign: sign * h[i],
                best.h,
                jac=lambda h, i=i, sign=sign: sign * np.eye(k)[i],
                bounds=limits,
                constraints=[*sums, level],
                method="SLSQP",
                options={"ftol": 1e-12, "maxiter": 500},
            )
            assert peer.success and edge == pytest.approx(peer.x[i], abs=1e-6)


def test_the_objective_of_a_proposal_elsewhere() -> None:
    k = SIZES[0]
    best = proposal(k, "bounds")
    h = np.random.default_rng(0).dirichlet(np.ones(k), 5)
    given = objective_of(best, lambda x: laws(k).predict(x).to_numpy().T, h)
    one = {name: np.asarray(value) for name, value in laws(k).stacked.params.items()}
    assert given == pytest.approx([loss(one, each) for each in h], rel=1e-12)
