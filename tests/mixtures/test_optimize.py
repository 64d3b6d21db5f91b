import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from jaxmix.fitting.fitted import FittedLaw, StackedLaws, stack
from jaxmix.laws import ADDITIVE_FIXED_ND, CHINCHILLA, GE, LAWS, SIMPLE, YE_M3, YE_M4, Law
from jaxmix.mixtures import dirichlet_design, grid_design, optimize, optimize_many
from jaxmix.mixtures.solve.descent import evaluate, make_box
from jaxmix.mixtures.solve.lanes import weighted_loss

N, D = 7e9, 1.5e11


@jax.jit
def _mean_loss(laws: StackedLaws, n: float, d: float, weights: jax.Array) -> jax.Array:
    return jnp.mean(laws.losses(dict(n_params=n, tokens=d, weights=weights)), axis=0)


def mean_loss(laws: list[FittedLaw], weights: np.ndarray, n: float = N, d: float = D) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(_mean_loss(stack(laws), n, d, weights))


def reweighed(laws: list[FittedLaw], **params: object) -> list[FittedLaw]:
    return [dataclasses.replace(f, params={**f.params, **params}) for f in laws]


# --- where the answer is known ------------------------------------------------------------------


def bias(fit_of, c: list, gamma: list) -> list[FittedLaw]:
    """Two equal targets with bias 1 / sum_i C_i h_i^gamma_i over three domains."""
    return fit_of(ADDITIVE_FIXED_ND, {"E": [1, 1], "C": [c] * 2, "gamma": [gamma] * 2}, "abc", "xy")


def test_symmetric_bias_has_its_optimum_in_the_middle(fit_of) -> None:
    best = optimize(bias(fit_of, [2, 2, 2], [0.5, 0.5, 0.5]), N, D, maximum={"c": 0})
    assert best.weights == pytest.approx([0.5, 0.5, 0], abs=1e-9)
    assert best.objective == pytest.approx(1 + 1 / (4 * 0.5**0.5), rel=1e-12)
    assert best.proven and best.converged and best.active == ("c<=0",) and best.starts == 1
    assert best.multipliers["c<=0"] > 1e3  # the slope of h^0.5 at 0


def test_one_gamma_in_closed_form(fit_of) -> None:
    c, gamma = np.array([3.0, 1.0, 0.2]), 0.4
    best = optimize(bias(fit_of, c.tolist(), [gamma] * 3), N, D)
    share = c ** (1 / (1 - gamma))  # C_i gamma h_i^(gamma - 1) is the same for all
    assert best.weights == pytest.approx(share / share.sum(), rel=1e-9)


def test_an_exponent_below_one_keeps_every_domain(fit_of) -> None:
    best = optimize(bias(fit_of, [1.0, 1e-6, 1e-9], [0.8, 0.5, 0.05]), N, D)
    assert np.all(best.weights > 0) and best.weights[1] < 1e-9 and best.converged


def test_linear_exponent_puts_all_on_a_vertex(fit_of) -> None:
    gamma = np.array([1.0, 0.5, -1.0])
    params = {"E": [1, 1], "C": [2, 2], "gamma": [gamma, gamma]}
    best = optimize(fit_of(YE_M4, params, "abc", "xy"), N, D)
    assert best.weights.tolist() == [0, 0, 1]
    assert best.gap < 1e-12 and best.proven and best.active == ("a>=0", "b>=0")
    slope = 2 * np.exp(-1) * (gamma - gamma[2])
    assert [*best.multipliers.values()] == pytest.approx(slope[:-1], rel=1e-9)


def test_matches_a_dense_grid(joint3, rough3) -> None:
    grid = grid_design(3, 200)
    for laws in (joint3, rough3):
        best = optimize(laws, N, D)
        lowest = mean_loss(laws, grid).min()
        assert best.objective <= lowest + 1e-12
        assert best.objective == pytest.approx(lowest, rel=1e-4)
        assert best.objective == pytest.approx(mean_loss(laws, best.weights), rel=1e-14)


def test_matches_slsqp(joint8) -> None:
    best = optimize(joint8, N, D, minimum={"a": 0.2}, maximum={"b": 0.05})
    limits = [(0.2, 1), (1e-9, 0.05), *[(1e-9, 1)] * 6]
    peer = minimize(
        lambda h: mean_loss(joint8, h),
        best.weights[[0, 1, 3, 2, 5, 4, 7, 6]],
        bounds=limits,
        constraints={"type": "eq", "fun": lambda h: h.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 300},
    )
    assert best.objective <= peer.fun + 1e-9
    assert best.objective == pytest.approx(peer.fun, abs=1e-7)
    assert best.weights == pytest.approx(peer.x, abs=2e-3)
    assert set(best.active) == {"a>=0.2", "b<=0.05"}


# --- the certificate ----------------------------------------------------------------------------


def test_gap_bounds_what_is_left(joint8) -> None:
    bounds = {"minimum": {"c": 0.1}, "maximum": {"d": 0.2}}
    best = optimize(joint8, N, D, **bounds)
    assert 0 <= best.gap < 1e-9 * best.objective
    tries = dirichlet_design(8, 3000, seed=0, minimum=[0, 0, 0.1, 0, 0, 0, 0, 0])
    tries = tries[tries[:, 3] <= 0.2]
    assert mean_loss(joint8, tries).min() >= best.objective - best.gap - 1e-12


def test_gap_is_above_the_true_distance_away_from_the_optimum(joint3) -> None:
    lowest = optimize(joint3, N, D).objective
    with jax.enable_x64(True):
        laws, w = stack(joint3), jnp.ones(3) / 3
        box = make_box(jnp.zeros(3), jnp.ones(3))
        run = jax.jit(
            jax.vmap(lambda h: evaluate(lambda x: weighted_loss(laws, N, D, w, x), h, box))
        )
        at = run(jnp.asarray(dirichlet_design(3, 200, seed=0)))
    assert np.all(np.asarray(at.gap) >= np.asarray(at.value) - lowest - 1e-12)


def test_multipliers_are_what_loosening_gains(joint8) -> None:
    best = optimize(joint8, N, D, minimum={"a": 0.2}, maximum={"d": 0.05})
    for label, bounds in {
        "a>=0.2": ({"a": 0.2 - 1e-4}, {"d": 0.05}),
        "d<=0.05": ({"a": 0.2}, {"d": 0.05 + 1e-4}),
    }.items():
        looser = optimize(joint8, N, D, minimum=bounds[0], maximum=bounds[1])
        gain = (best.objective - looser.objective) / 1e-4
        assert gain == pytest.approx(best.multipliers[label], rel=1e-2)


def test_many_starts_where_nothing_is_proven(rough3) -> None:
    best = optimize(rough3, N, D)
    assert not best.proven and best.starts == 8 and 1 <= best.agreeing <= 8
    assert any("not proven" in note for note in best.notes)
    assert optimize(rough3, N, D, starts=12).starts == 12


def test_a_concave_loss_has_its_optimum_at_a_vertex(fit_of) -> None:
    # At the center the gradient is level: a start there alone would stop at the maximum.
    params = {**{name: [1, 1] for name in ("E", "A", "alpha", "B", "beta")}, "gamma": [0.5, 0.5]}
    level = fit_of(SIMPLE, {**params, "C": [[1, 2, 3.0], [3, 2, 1.0]]}, "abc", "ab")
    assert optimize(level, N, D, starts=1).weights == pytest.approx([1 / 3] * 3)
    best = optimize(level, N, D)
    assert best.weights[[0, 2]].max() == 1 and not best.proven and best.agreeing < best.starts


# --- bounds -------------------------------------------------------------------------------------


def test_bounds_and_pins_are_met_exactly(joint8) -> None:
    pins = {"a": 0.123, "b": 0.0}
    best = optimize(
        joint8, N, D, minimum={**pins, "c": 0.3, "d": 0.02}, maximum={**pins, "e": 0.01}
    )
    h = best.mixture
    assert h["a"] == 0.123 and h["b"] == 0.0 and h["c"] >= 0.3 and h["e"] <= 0.01
    assert best.weights.sum() == pytest.approx(1, abs=1e-14) and best.gap < 1e-9
    assert best.converged and {label[0] for label in best.active} >= {"a", "b", "c", "e"}


@pytest.mark.parametrize("pins", [{"a": 0.2, "b": 0.3, "c": 0.5}, {"a": 0.2, "b": 0.8}])
def test_one_mixture_left(joint3, pins: dict) -> None:
    best = optimize(joint3, N, D, minimum=pins, maximum=pins)
    assert best.weights == pytest.approx([pins.get(name, 0.0) for name in "abc"], abs=1e-12)
    assert best.gap <= 1e-12 and best.converged


def test_bounds_that_no_mixture_meets_are_refused(joint3) -> None:
    with pytest.raises(ValueError, match="no mixture meets the bounds"):
        optimize(joint3, N, D, minimum={"a": 0.6, "b": 0.6})


# --- targets, limits, symmetry ------------------------------------------------------------------


def test_target_weights_are_normalized(joint3) -> None:
    one = optimize(joint3, N, D, target_weights={"loss_a": 2, "b": 1})
    two = optimize(joint3, N, D, target_weights=[20, 10, 0])
    assert one.target_weights == pytest.approx({"a": 2 / 3, "b": 1 / 3, "c": 0})
    assert np.array_equal(one.weights, two.weights)
    value = one.target_weights["a"] * one.predicted["a"] + one.predicted["b"] / 3
    assert one.objective == pytest.approx(value, rel=1e-14)
    assert optimize(joint3, N, D).objective == pytest.approx(
        np.mean([*optimize(joint3, N, D).predicted.values()])
    )


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
    with pytest.raises(ValueError, match=message):
        optimize(joint3, N, D, target_weights=weights)


@pytest.mark.parametrize("budget", [(0, D), (N, -1), (np.nan, D)])
def test_bad_budgets(joint3, budget: tuple) -> None:
    with pytest.raises(ValueError, match="above 0"):
        optimize(joint3, *budget)


@pytest.mark.parametrize("budget", [(np.inf, D), (N, np.inf), (np.inf, np.inf)])
def test_limits(joint3, budget: tuple) -> None:
    best = optimize(joint3, *budget)
    near = optimize(joint3, *(min(x, 1e40) for x in budget))
    assert best.converged and best.weights == pytest.approx(near.weights, abs=1e-6)
    assert sum("infinite" in note for note in best.notes) == np.isinf(budget).sum()


def test_renaming_domains_changes_nothing(joint8) -> None:
    order = np.random.default_rng(0).permutation(8)
    moved = [
        dataclasses.replace(
            f,
            domains=tuple(f.domains[i] for i in order),
            params={n: v[order] if v.ndim else v for n, v in f.params.items()},
        )
        for f in joint8
    ]
    one, two = optimize(joint8, N, D), optimize(moved[::-1], N, D)
    assert one.mixture == pytest.approx(two.mixture, abs=1e-8)
    assert one.objective == pytest.approx(two.objective, rel=1e-12)


def test_notes_on_extrapolation(joint3) -> None:
    inside = [
        dataclasses.replace(f, data=dataclasses.replace(f.data, mixtures=grid_design(3, 2, 0.3)))
        for f in joint3
    ]
    best = optimize(inside, 7e9, 5e8, minimum={"a": 0.8})
    assert best.hull_distance == pytest.approx(0.49, abs=0.03)
    text = "; ".join(best.notes)
    assert "N = 7e+09 is 7 times the largest" in text
    assert "D = 5e+08 is 2 times below the smallest" in text and "outside the convex hull" in text
    assert optimize(joint3, 5e8, 1e10).notes == () and optimize(joint3, N, D).hull_distance == 0


# --- every law ----------------------------------------------------------------------------------


def sample(law: Law, m: int, k: int) -> dict:
    rng = np.random.default_rng(3)
    return {
        p.name: rng.uniform(0.2, 0.9, (m, k) if p.shape == "domain" else m) for p in law.parameters
    }


ALIKE = {"additive-fixed-n", "joint", "ye-m1", "ye-m2"}  # near others, or tested above


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in ALIKE)) for n in sorted(LAWS)]
)
def test_every_law_gives_a_feasible_answer(fit_of, name: str) -> None:
    laws = fit_of(LAWS[name], sample(LAWS[name], 2, 3), "abc", "ab")
    best = optimize(laws, 5.0, 9.0, minimum={"c": 0.1})
    assert best.weights.sum() == pytest.approx(1, abs=1e-14) and best.converged
    assert best.weights[2] >= 0.1 and np.all(best.weights >= 0)
    grid = grid_design(3, 40, [1e-6, 1e-6, 0.1])
    assert best.objective <= mean_loss(laws, grid, 5.0, 9.0).min() + 1e-9


def test_a_law_without_mixture_is_constant(fit_of) -> None:
    best = optimize(fit_of(CHINCHILLA, sample(CHINCHILLA, 2, 3), "abc", "ab"), N, D)
    assert best.gap == 0 and best.proven and best.weights == pytest.approx([1 / 3] * 3)


def test_ge_survives_its_infinity(fit_of) -> None:
    laws = fit_of(GE, sample(GE, 2, 3), "abc", "ab")
    alone = optimize(laws, N, D, target_weights={"a": 1})
    assert alone.weights.tolist() == [1, 0, 0] and alone.predicted["b"] == np.inf
    assert np.isfinite(alone.objective) and alone.proven
    with pytest.raises(ValueError, match="not finite at any mixture"):
        optimize(laws, N, D, maximum={"a": 0})


def test_a_single_domain(fit_of) -> None:
    laws = fit_of(LAWS["additive"], sample(LAWS["additive"], 1, 1), "a", "x")
    assert optimize(laws, N, D).weights.tolist() == [1.0]


def test_yes_m3_is_never_proven(fit_of) -> None:
    best = optimize(fit_of(YE_M3, sample(YE_M3, 2, 3), "abc", "ab"), N, D)
    assert not best.proven and "not known to be convex" in best.reason


@pytest.mark.parametrize(
    ("change", "proven"),
    [
        ({}, True),
        ({"gamma": np.array([0.5, 1.0, 1.0])}, True),
        ({"gamma": np.array([0.5, 1.01, 1.0])}, False),
        ({"gamma_A": np.array(1.0)}, True),
        ({"gamma_A": np.array(0.5)}, False),
        ({"gamma_B": np.array(1.7)}, True),
        ({"gamma_B": np.array(-1.7)}, True),
    ],
)
def test_convexity_looks_at_the_parameters(joint3, change: dict, proven: bool) -> None:
    best = optimize(reweighed(joint3, **change), 5.0, 5.0)
    assert best.proven is proven and "joint" in best.reason


# --- many budgets -------------------------------------------------------------------------------


def test_many_budgets_are_the_single_ones(joint8) -> None:
    n, d = np.geomspace(1e8, 1e11, 5), np.geomspace(1e9, 1e13, 5)
    many = optimize_many(joint8, n, d, maximum={"a": 0.1})
    assert len(many) == 5 and many.weights.shape == (5, 8) and many.predicted.shape == (5, 8)
    assert np.all(many.converged) and np.all(many.weights[:, 0] <= 0.1)
    for b in (0, 4):
        one = optimize(joint8, n[b], d[b], maximum={"a": 0.1})
        assert many[b].weights == pytest.approx(one.weights, abs=1e-9)
        assert many[b].active == one.active


def test_more_budgets_than_one_chunk(joint3) -> None:
    n = np.geomspace(1e8, 1e11, 300)
    many = optimize_many(joint3, n, 1e11)
    assert np.all(many.gap <= 1e-9 * many.objective) and np.all(np.isfinite(many.weights))
    assert many[299].weights == pytest.approx(optimize(joint3, n[299], 1e11).weights, abs=1e-8)


def test_a_row_of_target_weights_for_each_budget(joint3) -> None:
    w = np.array([[1, 0, 0], [0, 1, 1.0]])
    many = optimize_many(joint3, N, D, target_weights=w)
    assert np.allclose(many.target_weights, [[1, 0, 0], [0, 0.5, 0.5]])
    with pytest.raises(ValueError):
        optimize_many(joint3, [1e9] * 3, D, target_weights=w)


def test_no_laws() -> None:
    with pytest.raises(ValueError, match="at least one"):
        optimize([], N, D)
