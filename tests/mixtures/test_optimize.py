"""Optima within bounds against closed forms, grids, SciPy and finite differences."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaws, StackedLaws
from jaxmix.laws import ADDITIVE_FIXED_ND, SIMPLE, YE_M4
from jaxmix.mixtures import (
    Constraints,
    Optimum,
    dirichlet_design,
    grid_design,
    optimize,
    optimize_many,
)
from jaxmix.mixtures.solve.descent import evaluate, make_box
from jaxmix.mixtures.solve.lanes import weighted_loss

N, D = 7e9, 1.5e11


@jax.jit
def _mean_loss(laws: StackedLaws, weights: jax.Array) -> jax.Array:
    return jnp.mean(laws.losses({"n_params": N, "tokens": D, "weights": weights}), axis=0)


def mean_loss(laws: FittedLaws, weights: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(_mean_loss(laws.stacked, weights))


@pytest.fixture(scope="session")
def best3(joint3: FittedLaws) -> Optimum:
    """The optimum of three convex laws, nothing given."""
    return optimize(joint3, N, D)


@pytest.fixture(scope="session")
def best8(joint8: FittedLaws) -> Optimum:
    """The optimum of eight convex laws within two bounds that bind."""
    return optimize(joint8, N, D, Constraints(minimum={"a": 0.2}, maximum={"d": 0.05}))


# --- closed forms -------------------------------------------------------------------------------


def bias(fit_of, c: list, gamma: list) -> FittedLaws:
    """Two equal targets with bias 1 / sum_i C_i h_i^gamma_i over three domains."""
    return fit_of(ADDITIVE_FIXED_ND, {"E": [1, 1], "C": [c] * 2, "gamma": [gamma] * 2}, "abc", "xy")


def test_symmetric_bias_has_its_optimum_in_the_middle(fit_of) -> None:
    laws = bias(fit_of, [2, 2, 2], [0.5, 0.5, 0.5])
    best = optimize(laws, N, D, Constraints(maximum={"c": 0}))
    assert best.h == pytest.approx([0.5, 0.5, 0], abs=1e-9)
    assert best.objective == pytest.approx(1 + 1 / (4 * 0.5**0.5), rel=1e-12)
    assert best.proven and best.converged and best.active == ("c<=0",) and best.starts == 1
    assert best.prices["c<=0"] > 1e3  # the slope of h^0.5 at 0


def test_one_gamma_in_closed_form(fit_of) -> None:
    c, gamma = np.array([3.0, 1.0, 0.2]), 0.4
    best = optimize(bias(fit_of, c.tolist(), [gamma] * 3), N, D)
    share = c ** (1 / (1 - gamma))  # C_i gamma h_i^(gamma - 1) is the same for all
    assert best.h == pytest.approx(share / share.sum(), rel=1e-9)


def test_an_exponent_below_one_keeps_every_domain(fit_of) -> None:
    best = optimize(bias(fit_of, [1.0, 1e-6, 1e-9], [0.8, 0.5, 0.05]), N, D)
    assert np.all(best.h > 0) and best.h[1] < 1e-9 and best.converged


def test_linear_exponent_puts_all_on_a_vertex(fit_of) -> None:
    gamma = np.array([1.0, 0.5, -1.0])
    params = {"E": [1, 1], "C": [2, 2], "gamma": [gamma, gamma]}
    best = optimize(fit_of(YE_M4, params, "abc", "xy"), N, D)
    assert best.h.tolist() == [0, 0, 1]
    assert best.gap < 1e-12 and best.proven and best.active == ("a>=0", "b>=0")
    slope = 2 * np.exp(-1) * (gamma - gamma[2])
    assert [*best.prices.values()] == pytest.approx(slope[:-1], rel=1e-9)


# --- grids and SciPy ----------------------------------------------------------------------------


def test_matches_a_dense_grid(joint3, best3, rough3) -> None:
    grid = grid_design(3, 200)
    for laws, best in ((joint3, best3), (rough3, optimize(rough3, N, D))):
        lowest = mean_loss(laws, grid).min()
        assert best.objective <= lowest + 1e-12
        assert best.objective == pytest.approx(lowest, rel=1e-4)
        assert best.objective == pytest.approx(mean_loss(laws, best.h), rel=1e-14)
        assert best.objective == pytest.approx(np.mean([*best.predicted.values()]), rel=1e-14)


def test_matches_slsqp(joint8, best8) -> None:
    limits = [(0.2, 1), *[(1e-9, 1)] * 2, (1e-9, 0.05), *[(1e-9, 1)] * 4]
    peer = minimize(
        lambda h: mean_loss(joint8, h),
        best8.h[[0, 2, 1, 3, 5, 4, 7, 6]],
        bounds=limits,
        constraints={"type": "eq", "fun": lambda h: h.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 300},
    )
    assert best8.objective <= peer.fun + 1e-9
    assert best8.objective == pytest.approx(peer.fun, abs=1e-7)
    assert best8.h == pytest.approx(peer.x, abs=2e-3)
    assert set(best8.active) == {"a>=0.2", "d<=0.05"}


# --- the certificate ----------------------------------------------------------------------------


def test_gap_bounds_what_is_left(joint8, best8) -> None:
    assert 0 <= best8.gap < 1e-9 * best8.objective
    tries = dirichlet_design(8, 10_000, seed=0, minimum=[0.2, 0, 0, 0, 0, 0, 0, 0])
    tries = tries[tries[:, 3] <= 0.05]
    assert len(tries) > 1000
    assert mean_loss(joint8, tries).min() >= best8.objective - best8.gap - 1e-12


def test_gap_is_above_the_true_distance_away_from_the_optimum(joint3, best3) -> None:
    with jax.enable_x64(True):
        x, w = {"n_params": N, "tokens": D}, jnp.ones(3) / 3
        box = make_box(jnp.zeros(3), jnp.ones(3))

        def at(h: jax.Array) -> tuple[jax.Array, jax.Array]:
            point = evaluate(lambda y: weighted_loss(joint3.stacked, x, w, y), h, box)
            return point.gap, point.value

        gap, value = jax.jit(jax.vmap(at))(jnp.asarray(dirichlet_design(3, 200, seed=0)))
    assert np.all(np.asarray(gap) >= np.asarray(value) - best3.objective - 1e-12)


@pytest.mark.parametrize(
    ("label", "low", "high"), [("a>=0.2", 0.2 - 1e-4, 0.05), ("d<=0.05", 0.2, 0.05 + 1e-4)]
)
def test_prices_are_what_loosening_gains(joint8, best8, label, low, high) -> None:
    looser = optimize(joint8, N, D, Constraints(minimum={"a": low}, maximum={"d": high}))
    gain = (best8.objective - looser.objective) / 1e-4
    assert gain == pytest.approx(best8.prices[label], rel=1e-2)
    assert f"{0.01 * best8.prices[label]:.2g} nats" in best8.worth[label]


def test_many_starts_if_nothing_is_proven(rough3) -> None:
    best = optimize(rough3, N, D)
    assert not best.proven and best.starts == 8 and 1 <= best.agreeing <= 8
    assert any("not proven" in note for note in best.notes)
    assert optimize(rough3, N, D, starts=12).starts == 12


def test_a_concave_loss_has_its_optimum_at_a_vertex(fit_of) -> None:
    # At the center the gradient is level: a start there alone would stop at the maximum.
    params = {**{name: [1, 1] for name in ("E", "A", "alpha", "B", "beta")}, "gamma": [0.5, 0.5]}
    level = fit_of(SIMPLE, {**params, "C": [[1, 2, 3.0], [3, 2, 1.0]]}, "abc", "ab")
    assert optimize(level, N, D, starts=1).h == pytest.approx([1 / 3] * 3)
    best = optimize(level, N, D)
    assert best.h[[0, 2]].max() == 1 and not best.proven and best.agreeing < best.starts


# --- bounds -------------------------------------------------------------------------------------


def test_bounds_and_pins_are_met_exactly(joint8) -> None:
    pins, low, high = {"a": 0.123, "b": 0.0}, {"c": 0.3, "d": 0.02}, {"e": 0.01}
    best = optimize(joint8, N, D, Constraints(pinned=pins, minimum=low, maximum=high))
    h = best.weights
    assert h["a"] == 0.123 and h["b"] == 0.0 and h["c"] >= 0.3 and h["e"] <= 0.01
    assert best.h.sum() == pytest.approx(1, abs=1e-14) and best.gap < 1e-9
    assert best.converged and {label[0] for label in best.active} >= {"a", "b", "c", "e"}


@pytest.mark.parametrize("pins", [{"a": 0.2, "b": 0.3, "c": 0.5}, {"a": 0.2, "b": 0.8}])
def test_one_mixture_left(joint3, pins: dict) -> None:
    best = optimize(joint3, N, D, Constraints(pinned=pins))
    assert best.h == pytest.approx([pins.get(name, 0.0) for name in "abc"], abs=1e-12)
    assert best.gap <= 1e-12 and best.converged


def test_sums_of_bounds_may_be_rounded(joint3) -> None:
    thirds = dict.fromkeys("abc", 1 / 3 + 1e-10)
    best = optimize(joint3, N, D, Constraints(pinned=thirds))
    assert best.h == pytest.approx([1 / 3] * 3) and best.h.sum() == pytest.approx(1, abs=1e-14)


def test_bounds_that_no_mixture_meets_are_refused(joint3) -> None:
    with pytest.raises(JaxmixError, match=r"no mixture meets a>=0\.6 and b>=0\.6 together"):
        optimize(joint3, N, D, Constraints(minimum={"a": 0.6, "b": 0.6}))
    with pytest.raises(JaxmixError, match="unknown domain 'q'"):
        optimize(joint3, N, D, Constraints(minimum={"q": 0.6}))


# --- targets, limits, symmetry ------------------------------------------------------------------


def test_target_weights_are_normalized(joint3) -> None:
    one = optimize(joint3, N, D, target_weights={"loss_a": 2, "b": 1})
    two = optimize(joint3, N, D, target_weights=[20, 10, 0])
    assert one.target_weights == pytest.approx({"a": 2 / 3, "b": 1 / 3, "c": 0})
    assert np.array_equal(one.h, two.h)
    value = one.target_weights["a"] * one.predicted["a"] + one.predicted["b"] / 3
    assert one.objective == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"q": 1}, "unknown target 'q'"),
        ({"a": -1}, "non-negative"),
        ({"a": 0}, "not all of them 0"),
        ([1, 1], "expected"),
        ([np.nan, 1, 1], "non-negative"),
    ],
)
def test_bad_target_weights(joint3, weights: object, message: str) -> None:
    with pytest.raises(JaxmixError, match=message):
        optimize(joint3, N, D, target_weights=weights)


@pytest.mark.parametrize("budget", [(0, D), (N, -1), (np.nan, D)])
def test_bad_budgets(joint3, budget: tuple) -> None:
    with pytest.raises(JaxmixError, match="above 0"):
        optimize(joint3, *budget)


def test_no_laws() -> None:
    with pytest.raises(JaxmixError, match="there is none"):
        optimize([], N, D)


@pytest.mark.parametrize("budget", [(np.inf, D), (N, np.inf), (np.inf, np.inf)])
def test_limits(joint3, budget: tuple) -> None:
    best = optimize(joint3, *budget)
    near = optimize(joint3, *(min(x, 1e40) for x in budget))
    assert best.converged and best.h == pytest.approx(near.h, abs=1e-6)
    assert sum("infinite" in note for note in best.notes) == np.isinf(budget).sum()


def test_renaming_domains_changes_nothing(joint8, best8) -> None:
    order = np.random.default_rng(0).permutation(8)
    moved = [
        dataclasses.replace(
            f,
            domains=tuple(f.domains[i] for i in order),
            params={n: v[order] if v.ndim else v for n, v in f.params.items()},
        )
        for f in joint8
    ]
    again = optimize(moved[::-1], N, D, best8.constraints)
    assert again.weights == pytest.approx(best8.weights, abs=1e-8)
    assert again.objective == pytest.approx(best8.objective, rel=1e-12)
    assert again.prices == pytest.approx(best8.prices, rel=1e-6)


def test_notes_on_extrapolation(joint3, best3) -> None:
    inside = [
        dataclasses.replace(f, data=dataclasses.replace(f.data, mixtures=grid_design(3, 2, 0.3)))
        for f in joint3
    ]
    best = optimize(inside, 7e9, 5e8, Constraints(minimum={"a": 0.8}))
    assert best.hull_distance == pytest.approx(0.49, abs=0.03)
    text = "; ".join(best.notes)
    assert "N = 7e+09 is 7 times the largest" in text
    assert "D = 5e+08 is 2 times below the smallest" in text
    assert "outside the weights that were run: a 0.8" in text and "convex hull" not in text
    assert optimize(joint3, 5e8, 1e10).notes == () and best3.hull_distance == 0


# --- many budgets -------------------------------------------------------------------------------


def test_many_budgets_are_the_single_ones(joint8) -> None:
    n, d = np.geomspace(1e8, 1e11, 5), np.geomspace(1e9, 1e13, 5)
    limits = Constraints(maximum={"a": 0.1})
    many = optimize_many(joint8, n, d, limits)
    assert len(many) == 5 and many.h.shape == (5, 8) and many.predicted.shape == (5, 8)
    assert np.all(many.converged) and np.all(many.h[:, 0] <= 0.1)
    for b in (0, 4):
        one = optimize(joint8, n[b], d[b], limits)
        assert many[b].h == pytest.approx(one.h, abs=1e-9)
        assert many[b].active == one.active and many[b].tokens == d[b]


def test_stocks_cap_each_budget_by_its_own_tokens(joint8) -> None:
    d = np.array([1e9, 1e11, 1e12, 1e13])
    limits = Constraints(available={"a": 2e9, "c": 5e10}, max_epochs={"c": 3}, minimum={"b": 0.1})
    many = optimize_many(joint8, N, d, limits)
    cap = np.minimum(1.0, np.array([4 * 2e9, 3 * 5e10]) / d[:, None])
    assert np.all(many.h[:, [0, 2]] <= cap)
    held = many.h[:, [0, 2]] == cap
    assert held.tolist() == [[False, False], [True, False], [True, False], [True, True]]
    for b in range(4):
        most = {"a": cap[b, 0], "c": cap[b, 1]}
        same = optimize(joint8, N, d[b], Constraints(maximum=most, minimum={"b": 0.1}))
        assert many.h[b] == pytest.approx(same.h, abs=1e-9)
    one = many[3]
    assert {"a<=4 epochs", "c<=3 epochs"} <= set(one.active)
    assert one.prices["a<=4 epochs"] == pytest.approx(same.prices[f"a<={cap[3, 0]:g}"])
    assert one.worth["a<=4 epochs"].startswith("one more epoch of a is worth")
    with pytest.raises(JaxmixError, match="D = inf"):
        optimize_many(joint8, N, [1e9, np.inf], limits)


def test_many_budgets_take_bounds_only(joint8) -> None:
    with pytest.raises(JaxmixError, match="minima, maxima, pins and available tokens only"):
        optimize_many(joint8, N, [D, D], Constraints(groups={"a+b": 0.3}))
    with pytest.raises(JaxmixError, match=r"no mixture meets .*a<=4 epochs"):
        limits = Constraints(available={"a": 1e9}, minimum={"a": 0.1})
        optimize_many(joint8, N, [1e10, 1e12], limits)


def test_more_budgets_than_one_chunk(joint3) -> None:
    n = np.geomspace(1e8, 1e11, 300)
    many = optimize_many(joint3, n, 1e11)
    assert np.all(many.gap <= 1e-9 * many.objective) and np.all(np.isfinite(many.h))
    assert many[299].h == pytest.approx(optimize(joint3, n[299], 1e11).h, abs=1e-8)


def test_a_row_of_target_weights_for_each_budget(joint3) -> None:
    w = np.array([[1, 0, 0], [0, 1, 1.0]])
    many = optimize_many(joint3, N, D, target_weights=w)
    assert np.allclose(many.target_weights, [[1, 0, 0], [0, 0.5, 0.5]])
    with pytest.raises(JaxmixError, match="different numbers"):
        optimize_many(joint3, [1e9] * 3, D, target_weights=w)


def test_a_law_without_sizes_knows_no_budget(fit_of) -> None:
    params = {"E": [1.0], "C": [[1.0, 2.0]], "gamma": [[0.5, 0.5]]}
    best = optimize(fit_of(ADDITIVE_FIXED_ND, params, "ab", "x"), 7e9, 1.5e11)
    (low, high), d = best.laws[0].data.n_params, best.laws[0].data.tokens
    assert best.budget.startswith("N as run (") and "7e+09" not in best.budget
    assert best.to_dict()["n_params"] is None and best.to_dict()["tokens"] is None
    (note,) = (note for note in best.notes if "7e+09" in note)
    assert "does not read N and D" in note and not any("times the" in n for n in best.notes)
    inside = optimize(best.laws, 1.005 * high, d[1])  # less than 1% beyond is not outside
    assert low <= high and not any("does not read" in note for note in inside.notes)
