"""Optima of every law: what is proven, infinite losses, stocks of tokens, inputs of a law's own."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaws
from jaxmix.laws import (
    ADDITIVE,
    CHINCHILLA,
    GE,
    LAWS,
    WEIGHTS,
    YE_M2,
    YE_M3,
    Input,
    Law,
    Parameter,
    get_law,
    repeated,
)
from jaxmix.mixtures import Constraints, grid_design, optimize, optimize_many
from jaxmix.mixtures.paths import corners
from jaxmix.mixtures.solve.refits import solve_refits

N, D = 7e9, 1.5e11
ALIKE = {"additive-fixed-n", "joint", "ye-m1", "ye-m2"}  # near others, or tested elsewhere
GROUP = Constraints(groups={"a+b": (0.01, 0.98)})  # binds nowhere here: the general solver


def sample(law: Law, m: int, k: int) -> dict:
    rng = np.random.default_rng(3)
    return {
        p.name: rng.uniform(0.2, 0.9, (m, k) if p.shape == "domain" else m) for p in law.parameters
    }


def reweighed(laws: FittedLaws, **params: object) -> FittedLaws:
    return FittedLaws(dataclasses.replace(f, params={**f.params, **params}) for f in laws)


def with_law(laws: FittedLaws, law: Law) -> FittedLaws:
    return FittedLaws(dataclasses.replace(f, law=law) for f in laws)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in ALIKE)) for n in sorted(LAWS)]
)
def test_every_law_gives_a_feasible_answer(fit_of, name: str) -> None:
    laws = fit_of(LAWS[name], sample(LAWS[name], 2, 3), "abc", "ab")
    best = optimize(laws, 5.0, 9.0, Constraints(minimum={"c": 0.1}))
    assert best.h.sum() == pytest.approx(1, abs=1e-14) and best.converged
    assert best.h[2] >= 0.1 and np.all(best.h >= 0)
    x = {"n_params": 5.0, "tokens": 9.0, "weights": grid_design(3, 40, [1e-6, 1e-6, 0.1])}
    assert best.objective <= laws.predict(x).to_numpy().mean(1).min() + 1e-9


def test_a_law_without_mixture_is_constant(fit_of) -> None:
    best = optimize(fit_of(CHINCHILLA, sample(CHINCHILLA, 2, 3), "abc", "ab"), N, D)
    assert best.gap == 0 and best.proven and best.h == pytest.approx([1 / 3] * 3)


def test_a_single_domain(fit_of) -> None:
    laws = fit_of(ADDITIVE, sample(ADDITIVE, 1, 1), "a", "x")
    assert optimize(laws, N, D).h.tolist() == [1.0]


# --- what is proven -----------------------------------------------------------------------------


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


def test_a_target_that_does_not_count_costs_no_proof(joint3) -> None:
    first, bent = joint3[0], reweighed(joint3[1:2], gamma=np.full(3, 2.0))[0]
    far = dataclasses.replace(bent.data, n_params=(1.0, 2.0), mixtures=np.eye(3)[:1])
    laws = FittedLaws([first, dataclasses.replace(bent, data=far)])
    alone = optimize(FittedLaws([first]), 5.0, 5.0)
    for best in (
        optimize(laws, 5.0, 5.0, target_weights={first.target: 1.0, "unfitted": 0.0}),
        optimize(laws, 5.0, 5.0, Constraints(groups={"a+b": 1.0}), target_weights=[1.0, 0.0]),
        corners(laws, 5.0, 5.0)[0],  # in one batch with the other target alone
    ):
        assert best.proven and best.starts == 1 and best.h == pytest.approx(alone.h, abs=1e-6)
        assert best.hull_distance == alone.hull_distance and best.status == alone.status
        assert not any("N = 5" in note for note in set(best.notes) - set(alone.notes))
        assert best.counted.targets == (first.target,)
    other = corners(laws, 5.0, 5.0)[1]
    assert not other.proven and other.starts == 8


def test_yes_m3_is_never_proven(fit_of) -> None:
    best = optimize(fit_of(YE_M3, sample(YE_M3, 2, 3), "abc", "ab"), N, D)
    assert not best.proven and "may not be convex" in best.reason


def wavy(p: dict, x: dict) -> object:
    return p["E"] + p["C"] * jnp.sum(jnp.sin(9.0 * p["gamma"] * x["weights"]), -1)


def bowl(p: dict, x: dict) -> object:
    return p["E"] + p["C"] * jnp.sum((x["weights"] - p["gamma"]) ** 2, -1)


@pytest.mark.parametrize(
    ("law", "proven", "reason"),
    [
        (Law("ye-m2", YE_M2.parameters, wavy, (WEIGHTS,)), False, "does not say whether"),
        (dataclasses.replace(YE_M2, loss=wavy), False, "does not say whether"),
        (dataclasses.replace(YE_M2, loss=wavy, convex=lambda p: None), False, "above its chords"),
        (dataclasses.replace(YE_M2, loss=bowl), False, "does not say whether"),
        (dataclasses.replace(YE_M2, loss=bowl, convex=lambda p: None), True, "is convex"),
    ],
)
def test_a_name_proves_nothing(fit_of, law: Law, proven: bool, reason: str) -> None:
    laws = fit_of(law, sample(law, 2, 3), "abc", "ab")
    best = optimize(laws, N, D)
    assert best.proven is proven and reason in best.reason
    grid = laws.predict({"weights": grid_design(3, 100)}).to_numpy().mean(1)
    assert best.objective <= grid.min() + 1e-9


def test_a_changed_copy_is_not_certified(fit_of) -> None:
    """The term for D now bends the wrong way in the weights."""

    def changed(p: dict, x: dict) -> object:
        return ADDITIVE.loss(p, x) + jnp.sum(jnp.sqrt(x["weights"] + 1e-3), -1)

    laws = fit_of(ADDITIVE, sample(ADDITIVE, 2, 3), "abc", "ab")
    other = with_law(laws, dataclasses.replace(ADDITIVE, loss=changed))
    for constraints in (None, GROUP):
        assert optimize(laws, 5.0, 9.0, constraints).proven
        best = optimize(other, 5.0, 9.0, constraints)
        assert not best.proven and "additive" in best.reason and best.starts > 1


# --- infinite losses ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ge(fit_of) -> FittedLaws:
    return fit_of(GE, sample(GE, 2, 3), "abc", "ab")


def test_ge_survives_its_infinity(ge) -> None:
    alone = optimize(ge, N, D, target_weights={"a": 1})
    assert alone.h.tolist() == [1, 0, 0] and alone.predicted["b"] == np.inf
    assert np.isfinite(alone.objective) and alone.proven and alone.converged
    with pytest.raises(JaxmixError, match="not finite at any mixture"):
        optimize(ge, N, D, Constraints(maximum={"a": 0}))


def test_a_target_of_weight_zero_costs_nothing(ge) -> None:
    """Its loss is infinite at the optimum, and its law may not even be convex."""
    odd = FittedLaws([ge[0], dataclasses.replace(ge[1], params=ge[1].params | {"gamma": -1.0})])
    for laws in (ge, odd):
        for limits in (Constraints(pinned={"b": 0}), GROUP):
            best = optimize(laws, N, D, limits, target_weights={"a": 1})
            expected = float(laws[0].predict({"tokens": D, "weights": best.h}))
            assert best.objective == pytest.approx(expected, rel=1e-14)
            assert best.h == pytest.approx([1, 0, 0] if limits is not GROUP else [0.98, 0, 0.02])
            assert best.proven and best.converged and best.gap < 1e-9
    many = optimize_many(ge, N, D, target_weights=np.array([[1, 0], [0, 1.0]]))
    assert many.h.tolist() == [[1, 0, 0], [0, 1, 0]] and np.all(many.converged)
    assert many.predicted[0, 1] == many.predicted[1, 0] == np.inf


# --- repeated data ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def aware(fit_of) -> FittedLaws:
    """Additive laws that price repetition; domain a is the best and will run out."""
    scaling = {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2000.0, "beta": 0.37, "R_D_star": 8.0}
    params = {name: [value] * 2 for name, value in scaling.items()}
    params |= {"C": [[9.0, 1.0, 2.0], [9.0, 2.0, 1.0]], "gamma": [[0.5, 0.6, 0.7]] * 2}
    return fit_of(repeated(ADDITIVE), params, "abc", "ab")


TRANSFORMED = {  # whether the law is convex at the parameters below
    "effective+repetition": True,
    "effective+repetition+harm": True,
    "chinchilla+scarcity": True,
    "additive+harm": True,
    "effective+repetition+harm+floor": True,
    "additive+repetition-by-domain": False,
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_laws_of_repetition_harm_and_scarcity_are_minimized(fit_of, name: str) -> None:
    """Proven if they are convex, and never above a grid; limits and sensitivities hold."""
    law = get_law(name)
    values = {"E": -1.0 if "floor" in name else 1.8, "A": 480.0, "alpha": 0.35, "B": 2000.0}
    values |= {"beta": 0.37, "R_D_star": 8.0, "F": 1.5, "t": 6.0, "nu": 0.3, "c": 0.2, "g": 0.1}
    values |= {"C": [9.0, 1.0, 2.0], "gamma": [0.5, 0.6, 0.7], "tau": [1e-4, 3e-5, 1e-5]}
    shapes = {p.name: np.ones((2, 3) if p.shape == "domain" else 2) for p in law.parameters}
    laws = fit_of(law, {n: one * np.asarray(values[n]) for n, one in shapes.items()}, "abc", "ab")
    stock = Constraints(available={"a": 2e9, "b": 4e10})
    best = optimize(laws, N, D, stock)
    x = {"n_params": N, "tokens": D, "unique": np.array([2e9, 4e10, np.inf])}
    grid = laws.predict(x | {"weights": grid_design(3, 100)}).to_numpy().mean(1)
    assert best.objective <= grid.min() + 1e-9 and best.objective > grid.min() - 1e-2
    assert best.converged and best.proven is TRANSFORMED[name]
    assert best.gap < 1e-6 or not best.proven
    general = optimize(laws, N, D, dataclasses.replace(stock, groups={"a+b": (0.01, 1.0)}))
    assert general.objective == pytest.approx(best.objective, abs=1e-7)
    if 0 < best.h[0] < 1:  # more of what repeats is worth what its shadow price says
        more = optimize(laws, N, D, Constraints(available={"a": 2.2e9, "b": 4e10}))
        assert more.objective < best.objective


def test_a_law_of_repetition_is_given_its_stock(aware) -> None:
    """What is promised is what the laws predict from ``unique``, and it is the least."""
    stock = Constraints(available={"a": 2e9, "b": 4e10})
    best = optimize(aware, N, D, stock)
    x = {"n_params": N, "tokens": D, "unique": [2e9, 4e10, np.inf]}
    promised = [float(law.predict({**x, "weights": best.h})) for law in aware]
    assert [*best.predicted.values()] == pytest.approx(promised, rel=1e-15)
    assert best.objective == pytest.approx(np.mean(promised), rel=1e-15)
    grid = aware.predict({**x, "weights": grid_design(3, 200)}).to_numpy().mean(1)
    assert grid.min() - 1e-4 < best.objective <= grid.min()
    assert best.h[0] * D / 2e9 > 4 and not best.active  # it prices repetition itself
    fresh = optimize(aware, N, D)
    assert fresh.h[0] > best.h[0] + 0.1 and fresh.objective < best.objective
    assert any("nothing ever repeats" in note for note in fresh.notes)
    within = optimize(aware, N, D, dataclasses.replace(stock, groups={"a+b": (0.01, 0.98)}))
    assert within.h == pytest.approx(best.h, abs=1e-6)
    assert within.objective == pytest.approx(best.objective, rel=1e-12)


def test_most_epochs_cap_a_law_of_repetition_too(aware) -> None:
    capped = optimize(aware, N, D, Constraints(available={"a": 2e9}, max_epochs=2))
    assert capped.h[0] == 2 * 2e9 / D and "a<=2 epochs" in capped.active
    assert capped.inputs["unique"].tolist() == [2e9, np.inf, np.inf]


# --- inputs of a law's own ----------------------------------------------------------------------

LEARNING_RATE, WANTED = Input("learning_rate"), Input("wanted", per="domain")
TUNED = Law(
    "tuned",
    (Parameter("E"), Parameter("C", "domain"), Parameter("best")),
    lambda p, x: (
        p["E"]
        + jnp.sum(p["C"] * (x["weights"] - x["wanted"]) ** 2, -1)
        + jnp.log(x["learning_rate"] / p["best"]) ** 2
    ),
    inputs=(WEIGHTS, LEARNING_RATE, WANTED),
    convex=lambda p: None,
)


@pytest.fixture(scope="module")
def tuned(fit_of) -> FittedLaws:
    params = {"E": [1, 2], "C": [[1, 2, 3.0], [3, 2, 1.0]], "best": [1e-3, 1e-2]}
    return fit_of(TUNED, params, "abc", "xy")


def test_inputs_of_its_own_are_given_by_at(tuned) -> None:
    wanted = {"a": 0.2, "b": 0.5, "c": 0.3}
    at = {"learning_rate": 1e-2, "wanted": wanted}
    for limits in (None, GROUP):
        best = optimize(tuned, N, D, limits, at=at)
        assert best.weights == pytest.approx(wanted, abs=1e-7) and best.proven
        losses = {"x": 1 + np.log(10) ** 2, "y": 2.0}
        assert best.predicted == pytest.approx(losses, abs=1e-12)
        assert best.inputs["learning_rate"] == 1e-2
        assert best.inputs["wanted"].tolist() == [0.2, 0.5, 0.3]
        refits = tuned.stacked.replace_params(
            {n: np.stack([v, 2 * np.asarray(v)]) for n, v in tuned.stacked.params.items()}
        )
        h, values = solve_refits(best, refits)  # the refits have the inputs of the proposal
        assert h == pytest.approx(np.array([[0.2, 0.5, 0.3]] * 2), abs=1e-4)
        doubled = (2 + np.log(5) ** 2, 4 + np.log(2) ** 2)
        assert values == pytest.approx([np.mean([*losses.values()]), np.mean(doubled)], abs=1e-7)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ({}, "reads 'learning_rate'"),
        ({"learning_rate": 1, "wanted": {"a": 1, "b": 1}}, "lacks domain 'c'"),
        ({"learning_rat": 1}, "nearest: learning_rate"),
    ],
)
def test_inputs_that_are_not_given(tuned, at: dict, message: str) -> None:
    with pytest.raises(JaxmixError, match=message):
        optimize(tuned, N, D, at=at)
