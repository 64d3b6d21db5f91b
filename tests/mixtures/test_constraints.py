"""Constraints by name, feasibility, and optima within them against SLSQP, grids and differences."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaws, StackedLaws
from jaxmix.laws import ADDITIVE_FIXED_ND, GE, JOINT
from jaxmix.mixtures import Constraints, grid_design, kl, optimize
from jaxmix.runs.expressions import parse_linear

N, D = 7e9, 1.5e11
REFERENCE = {"a": 0.6, "b": 0.2, "c": 0.2}
GRID = grid_design(3, 200)


@jax.jit
def _losses(laws: StackedLaws, weights: jax.Array) -> jax.Array:
    return laws.losses(dict(n_params=N, tokens=D, weights=weights))


def losses(laws: FittedLaws, weights: object) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(_losses(laws.stacked, jnp.asarray(weights)))


@pytest.fixture(scope="session")
def bias3(joint3: FittedLaws) -> FittedLaws:
    """Three targets of an additive bias; convex, and its gammas keep every domain."""
    c = np.ones((3, 3)) + 2 * np.eye(3)
    gamma = np.array([[0.3, 0.5, 0.7], [0.5, 0.4, 0.6], [0.8, 0.5, 0.3]])
    return FittedLaws(
        dataclasses.replace(
            law, law=ADDITIVE_FIXED_ND, params={"E": np.array(1.0), "C": c[i], "gamma": gamma[i]}
        )
        for i, law in enumerate(joint3)
    )


# --- values by name -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"minimum": {"boks": 0.1}}, "nearest: books"),
        ({"minimum": {"web": 0.1, "w_web": 0.1}}, "twice"),
        ({"linear": ["web + boks <= 0.2"]}, "nearest: books"),
        ({"groups": {"web+boks": 0.2}}, "nearest: books"),
        ({"maximum": {"books": 1.2}}, "between 0 and 1"),
        ({"maximum": {"books": float("nan")}}, "between 0 and 1"),
        ({"pinned": {"web": 0.1}, "minimum": {"web": 0.1}}, "has a minimum or maximum"),
        ({"pinned": {"web": 0.1}, "minimum": {"w_web": 0.1}}, "has a minimum or maximum"),
        ({"available": {"books": -1}}, "available tokens of 'books'"),
        ({"available": {"books": 1e9}, "max_epochs": 0}, "max_epochs"),
        ({"available": {"books": 1e9}, "max_epochs": {"web": 1}}, "need its available tokens"),
        ({"guards": {"x": 0.1}}, "give one"),
        ({"guards": {"x": -0.1}, "reference": {"web": 1}}, "guard of 'x'"),
        ({"guards": {"y": 0.1}, "reference": {"web": 1}}, "unknown target 'y'"),
        ({"reference": {"web": 0.5}}, "sums to 0.5"),
        ({"kl_max": 0.0}, "kl_max"),
        ({"groups": {"web+books": (None, None)}}, "neither"),
        ({"groups": {"web+books": -0.1}}, "at least 0"),
    ],
)
def test_bad_values_are_refused(given: dict, message: str) -> None:
    with pytest.raises(JaxmixError, match=message):
        Constraints(**given).over(["web", "books", "code"], ["x"])


def test_a_value_goes_through_json_and_shows_what_was_given() -> None:
    limits = Constraints(
        groups={"a+b": (0.1, None)}, linear=["a<=b"], available={"a": 1e9}, max_epochs={"a": 2}
    )
    again = Constraints.from_dict(json.loads(json.dumps(limits.to_dict())))
    assert again == limits and Constraints().to_dict() == {}
    assert repr(Constraints(minimum={"a": 0.1})) == "Constraints(minimum={'a': 0.1})"
    with pytest.raises(JaxmixError, match="unknown constraint 'minimun'; nearest: minimum"):
        Constraints.from_dict({"minimun": {}})


def test_caps_on_epochs() -> None:
    stock = {"a": 1e9, "b": 1e9}
    assert Constraints(available=stock).caps() == {"a": 4, "b": 4}
    assert Constraints(available=stock).caps(reads_unique=True) == {}
    for both in (True, False):
        assert Constraints(available=stock, max_epochs=2).caps(reads_unique=both)["b"] == 2
    some = Constraints(available=stock, max_epochs={"a": 2})
    assert some.caps() == {"a": 2, "b": 4} and some.caps(reads_unique=True) == {"a": 2}


# --- feasibility --------------------------------------------------------------------------------


def clash(tokens: float = 1e11, **given: object) -> str:
    with pytest.raises(ValueError, match="no mixture meets") as error:
        Constraints(**given).check(["web", "books", "code"], tokens)
    return str(error.value)


def test_only_the_constraints_that_clash_are_named() -> None:
    text = clash(
        minimum={"web": 0.5, "code": 0.01},
        groups={"books+code": (0.6, 0.9)},
        linear=["books <= 3*code"],
    )
    assert "web>=0.5 and books+code>=0.6 together" in text
    assert "web>=0.5 must give 0.1 of weight" in text and "books <= 3*code" not in text


def test_availability_that_falls_short_is_told_in_epochs() -> None:
    unique = {"web": 1e10, "books": 2e10, "code": 5e9}
    text = clash(available=unique, max_epochs=2)  # 7e10 of 1e11 tokens
    assert "web<=2 epochs must give 3 more epochs" in text
    assert "books<=2 epochs 1.5 more epochs" in text and "code<=2 epochs 6 more epochs" in text
    assert (
        "your data allow 70B of 100B tokens at 2 epochs: allow more epochs (--max-epochs)" in text
    )
    some = clash(available=unique, minimum={"web": 0.5}, max_epochs=1)
    assert "your data and limits allow 20B of 100B tokens at 1 epoch" in some
    assert "your data" not in clash(available={"web": 1e10}, minimum={"web": 0.6, "code": 0.6})
    limits = Constraints(available=unique, max_epochs=2)
    limits.check(list(unique), 7e10)
    with pytest.raises(JaxmixError, match="D = inf"):
        limits.check(list(unique), np.inf)
    Constraints(available=unique).check(list(unique), 1e15, reads_unique=True)


def test_two_clashes_are_told_by_their_total() -> None:
    text = clash(linear=["web>=0.7", "web<=0.5", "books - 2*code >= 0.9", "books<=0.1"])
    assert "others clash too: all together must give 0.7 of weight" in text


def test_sums_that_miss_by_rounding_are_met() -> None:
    limits = Constraints(maximum={"web": 0.1, "books": 0.2, "code": 0.7})
    limits.check(["web", "books", "code"], 1e11)
    Constraints(linear=["a>=0.1+0.2", "a<=0.3"]).check(["a", "b"], 1e11)


# --- optima against grids and SLSQP -------------------------------------------------------------

CASES = {
    "group": {"groups": {"a+b": 0.5}},
    "linear": {"linear": ["2*a+c<=0.7"], "minimum": {"b": 0.05}},
    "all": {
        "guards": {"a": 0.001},
        "reference": REFERENCE,
        "linear": ["b-c>=0.1"],
        "kl_max": 0.3,
    },
    "guard": {"guards": {"a": 0.001, "b": 0.02}, "reference": REFERENCE, "maximum": {"c": 0.25}},
    "kl": {"kl_max": 0.01, "prior": {"a": 0.2, "b": 0.3, "c": 0.5}},
}


def inequalities(laws: FittedLaws, given: dict) -> list:
    """Every constraint of a case as a function that is at least 0 where it is met."""
    found = []
    for text in [
        *(f"{n}<={v}" for n, v in given.get("groups", {}).items()),
        *given.get("linear", []),
    ]:
        for slope, bound in parse_linear(text, "abc"):
            found.append(lambda h, slope=slope, bound=bound: bound - h @ slope)
    for i, name in enumerate("abc"):
        low, high = given.get("minimum", {}).get(name, 0), given.get("maximum", {}).get(name, 1)
        found += [lambda h, i=i, low=low: h[..., i] - low, lambda h, i=i, v=high: v - h[..., i]]
        if name in given.get("guards", {}):
            most = losses(laws, list(REFERENCE.values()))[i] + given["guards"][name]
            found.append(lambda h, i=i, most=most: most - losses(laws, h)[i])
    if "kl_max" in given:
        prior = np.array(list(given.get("prior", dict.fromkeys("abc", 1 / 3)).values()))
        found.append(lambda h: given["kl_max"] - np.asarray(kl(h, prior)))
    return found


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["joint3", "bias3", "rough3"])
def test_matches_a_grid_and_slsqp(request: pytest.FixtureRequest, name: str, case: str) -> None:
    laws = request.getfixturevalue(name)
    limits, met = Constraints(**CASES[case]), inequalities(laws, CASES[case])
    best = optimize(laws, N, D, limits)
    assert best.converged and best.residual < 1e-9 and best.h.sum() == pytest.approx(1)
    assert best.objective == pytest.approx(losses(laws, best.h).mean(), rel=1e-13)
    with jax.enable_x64(True):
        assert min(float(rule(best.h)) for rule in met) >= -1e-9
        fine = np.all([np.asarray(rule(GRID)) >= 0 for rule in met], axis=0)
        grid = losses(laws, GRID[fine]).mean(0)
        assert best.objective <= grid[np.isfinite(grid)].min() + 1e-12
        peer = minimize(
            lambda h: losses(laws, h).mean(),
            GRID[fine][np.nanargmin(np.where(np.isfinite(grid), grid, np.nan))] + 1e-6,
            constraints=[
                {"type": "eq", "fun": lambda h: h.sum() - 1},
                *({"type": "ineq", "fun": rule} for rule in met),
            ],
            bounds=[(1e-9, 1)] * 3,
            method="SLSQP",
            options={"ftol": 1e-13},
        )
        if peer.success and min(float(rule(peer.x)) for rule in met) >= -1e-8:
            assert best.objective <= peer.fun + 1e-6
            if best.proven:
                assert best.objective == pytest.approx(peer.fun, abs=1e-5)


# --- multipliers against differences of the optimal value ---------------------------------------


def value(laws: FittedLaws, given: dict, **options: object) -> float:
    return optimize(laws, N, D, Constraints(**given), **options).objective


def slope(change: object, step: float = 1e-5) -> float:
    return (change(step) - change(-step)) / (2 * step)


@pytest.mark.parametrize("name", ["joint3", "bias3"])
def test_prices_are_slopes_of_the_optimal_value(request: pytest.FixtureRequest, name: str) -> None:
    laws = request.getfixturevalue(name)

    def given(group: float = 0, linear: float = 0, guard: float = 0, far: float = 0) -> dict:
        return {
            "groups": {"b+c": 0.3 + group},
            "linear": [f"c >= {0.05 + linear!r} + b/2"],
            "guards": {"b": 0.08 + guard},
            "reference": {"a": 0.6, "b": 0.3, "c": 0.1},
            "kl_max": 0.3 + far,
        }

    best = optimize(laws, N, D, Constraints(**given()))
    steps = {"b+c<=0.3": "group", "b<=reference+0.08": "guard", "KL<=0.3": "far"}
    assert best.active
    for label, price in best.prices.items():
        key = steps.get(label, "linear")
        sign = 1 if key == "linear" else -1  # a larger right-hand side of >= is tighter
        moved = slope(lambda x, key=key: value(laws, given(**{key: x})))
        assert price == pytest.approx(sign * moved, rel=1e-4), label


@pytest.mark.parametrize(
    ("given", "label"),
    [
        (lambda x: {"groups": {"a+b": 0.4 + x}}, "a+b<=0.4"),
        (lambda x: {"guards": {"a": 0.001 + x}, "reference": REFERENCE}, "a<=reference+0.001"),
        (lambda x: {"kl_max": 0.01 + x}, "KL<=0.01"),
        (lambda x: {"maximum": {"c": 0.1 + x}, "groups": {"a+b": 0.95}}, "c<=0.1"),
        (lambda x: {"pinned": {"a": 0.1 + x}, "groups": {"b+c": 0.95}}, "a=0.1"),
        (lambda x: {"linear": [f"a - b = {0.05 + x!r}"]}, "a - b = 0.05"),
    ],
)
def test_one_price_at_a_time(joint3, given, label: str) -> None:
    best = optimize(joint3, N, D, Constraints(**given(0)))
    moved = slope(lambda x: value(joint3, given(x)))
    assert best.prices[label] == pytest.approx(abs(moved), rel=1e-4)


def test_one_more_epoch_is_worth_what_it_says(joint3) -> None:
    def given(epochs: float) -> dict:
        return {"available": {"c": 1e10}, "max_epochs": {"c": epochs}}

    best = optimize(joint3, N, D, Constraints(**given(2)))
    assert best.h[2] == 2 * 1e10 / D and best.active == ("c<=2 epochs",)
    per_epoch = -slope(lambda x: value(joint3, given(2 + x)), 1e-4)
    assert best.prices["c<=2 epochs"] * 1e10 / D == pytest.approx(per_epoch, rel=1e-4)
    said = best.worth["c<=2 epochs"]
    assert said == f"one more epoch of c is worth {per_epoch:.2g} nats"


# --- special sets -------------------------------------------------------------------------------


def test_caps_follow_their_domain_in_any_order(joint3) -> None:
    given = {"available": {"c": 1e10}, "max_epochs": 2, "linear": ["a - b <= 0.1"]}
    first = optimize(joint3, N, D, Constraints(**given))
    shuffled = FittedLaws(
        dataclasses.replace(
            law,
            domains=tuple("bca"),
            params={n: v[[1, 2, 0]] if v.ndim else v for n, v in law.params.items()},
        )
        for law in joint3
    )
    other = optimize(shuffled, N, D, Constraints(**given))
    assert first.weights["c"] == 2e10 / D
    assert other.weights == pytest.approx(first.weights, abs=1e-9)
    assert other.prices == pytest.approx(first.prices, rel=1e-6)


def test_guard_compares_with_the_reference_and_not_with_itself(joint3) -> None:
    free = optimize(joint3, N, D)
    limits = Constraints(guards={"a": 0.0}, reference={"a": 0.9, "b": 0.05, "c": 0.05})
    best = optimize(joint3, N, D, limits)
    at_reference = losses(joint3, [0.9, 0.05, 0.05])[0]
    assert free.predicted["a"] > at_reference + 0.01
    assert best.predicted["a"] == pytest.approx(at_reference, abs=1e-9)
    assert best.objective > free.objective


def test_guards_that_no_mixture_meets(joint3) -> None:
    best = optimize(joint3, N, D, target_weights={"a": 1})
    limits = Constraints(guards={"a": 0.001, "b": 5.0}, reference=best.weights, maximum={"a": 0.3})
    low = optimize(joint3, N, D, Constraints(maximum={"a": 0.3}), target_weights={"a": 1})
    short = low.predicted["a"] - best.predicted["a"] - 0.001
    with pytest.raises(ValueError, match=f"misses a<=reference.0.001 by {short:.3g} nats"):
        optimize(joint3, N, D, limits)


def test_a_guard_at_the_optimum_leaves_it(joint3) -> None:
    best = optimize(joint3, N, D, target_weights={"a": 1})
    limits = Constraints(guards={"a": 0.0}, reference=best.weights)
    again = optimize(joint3, N, D, limits)
    assert again.h == pytest.approx(best.h, abs=1e-3)
    assert again.predicted["a"] <= best.predicted["a"] + 3e-9


@pytest.mark.parametrize("rules", [["a<=0.2", "a>=0.2"], ["b+c<=0.8", "b + c>=0.8"], ["a=0.2"]])
def test_equality_by_two_inequalities(joint3, rules: list) -> None:
    pinned = optimize(joint3, N, D, Constraints(pinned={"a": 0.2}))
    found = optimize(joint3, N, D, Constraints(linear=[*rules, "b-c<=0.9"]))
    assert found.h == pytest.approx(pinned.h, abs=1e-7) and found.converged
    assert sum(found.prices.values()) == pytest.approx(sum(pinned.prices.values()), rel=1e-6)


def test_a_single_mixture(joint3) -> None:
    found = optimize(joint3, N, D, Constraints(linear=["a=0.2", "b=2*c"]))
    assert found.h == pytest.approx([0.2, 1.6 / 3, 0.8 / 3], abs=1e-12)
    point = Constraints(pinned={"a": 0.2, "b": 0.3, "c": 0.5}, groups={"a+b": 0.6})
    assert optimize(joint3, N, D, point).h == pytest.approx([0.2, 0.3, 0.5])


def test_bounds_alone_stay_with_the_descent(joint3) -> None:
    limits = Constraints(minimum={"a": 0.1}, linear=["2*c <= 0.2"])
    found = optimize(joint3, N, D, limits)
    plain = optimize(joint3, N, D, Constraints(minimum={"a": 0.1}, maximum={"c": 0.1}))
    assert found.h.tolist() == plain.h.tolist() and found.h[2] == 0.1
    assert found.prices == {"2*c <= 0.2": plain.prices["c<=0.1"] / 2}


def test_infinite_losses_at_the_boundary(fit_of) -> None:
    c = [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    params = {"E": [1, 1, 1], "C": c, "gamma": [[0.5, 0.5, 0.5]] * 3}
    laws = fit_of(ADDITIVE_FIXED_ND, params, "abc", "xyz")
    found = optimize(laws, N, D, Constraints(groups={"a+c": 0.3}))
    assert found.h == pytest.approx([0.3, 0.7, 0], abs=1e-9) and found.converged
    gone = Constraints(pinned={"b": 0.0}, groups={"a+c": (0.1, None)})
    only = optimize(laws, N, D, gone, target_weights={"x": 1})
    assert only.h == pytest.approx([1, 0, 0], abs=1e-9)
    with pytest.raises(ValueError, match="target 'y'"):
        optimize(laws, N, D, gone)


def test_an_infinite_loss_that_does_not_count_costs_nothing(fit_of) -> None:
    params = {"E": [1.0, 2.0], "B": [100.0, 50.0], "beta": [0.3, 0.2], "gamma": [0.1, 0.3]}
    laws = fit_of(GE, params, "abc", "ab")
    for more in ({}, {"groups": {"a+c": 1.0}}, {"linear": ["a<=0.7"], "kl_max": 2.0}):
        best = optimize(laws, N, D, Constraints(pinned={"b": 0.0}, **more), target_weights=[1, 0])
        assert best.predicted["b"] == np.inf and best.proven and best.converged, more
        assert best.h[0] == pytest.approx(0.7 if "linear" in more else 1.0)


# --- objectives ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["joint3", "rough3"])
def test_worst_case_matches_a_grid(request: pytest.FixtureRequest, name: str) -> None:
    laws = request.getfixturevalue(name)
    base = losses(laws, list(REFERENCE.values()))[:, None]
    limits = Constraints(reference=REFERENCE)
    for kind, offset in (("loss", 0.0), ("gap", base)):
        best = optimize(laws, N, D, limits, worst_case=kind)
        worst = (losses(laws, GRID) - offset).max(0).min()
        assert best.objective <= worst + 1e-12
        assert best.objective == pytest.approx(worst, abs=0.02)
        at = losses(laws, best.h)[:, None] - offset
        assert best.objective == pytest.approx(at.max(), abs=1e-9)


def test_pull_goes_from_the_optimum_to_the_prior(joint3) -> None:
    prior = {"a": 0.2, "b": 0.5, "c": 0.3}
    limits = Constraints(prior=prior)
    free, far = optimize(joint3, N, D), []
    for pull in (1e-6, 0.1, 1e3):
        found = optimize(joint3, N, D, limits, pull=pull)
        far.append(float(kl(found.h, np.array([0.2, 0.5, 0.3]))))
        if pull == 1e-6:
            assert found.h == pytest.approx(free.h, abs=1e-4)
    assert far[0] > far[1] > far[2] and far[2] < 1e-6


def test_domains_without_prior_stay_out(joint3) -> None:
    limits = Constraints(prior={"a": 0.5, "b": 0.5}, kl_max=0.1)
    found = optimize(joint3, N, D, limits)
    assert found.h[2] == 0 and "c has no prior weight" in found.active


@functools.cache
def wide_laws() -> FittedLaws:
    from tests.mixtures.conftest import fitted, joint_params

    return fitted(JOINT, joint_params(3, 5, 17), "abcdefghijklmnopq", "abcde")


def test_many_domains_and_constraints() -> None:
    names = "abcdefghijklmnopq"
    limits = Constraints(
        maximum={"a": 0.2},
        groups={"b+c+d": 0.2, "e+f": (0.1, None)},
        available=dict.fromkeys(names[6:], 2e9),
        guards={"a": 0.05},
        reference=dict.fromkeys(names, 1 / 17),
        kl_max=0.8,
    )
    best = optimize(wide_laws(), N, D, limits)
    assert best.proven and best.converged and best.gap < 1e-9
    assert best.h[6:].max() <= 8e9 / D and best.h[1:4].sum() <= 0.2 + 1e-9


def test_a_group_of_domains_is_bounded_as_a_whole():
    domains = ("web:news", "web:blogs", "code:py", "books")
    given = Constraints(maximum={"web:*": 0.3, "books": 0.5}, minimum={"code:*": 0.4})
    limits = given.over(domains)
    assert limits.maximum == {"books": 0.5} and limits.minimum == {}
    labels = {row.label: row for row in limits.rows(domains, D)}
    np.testing.assert_array_equal(labels["web:* <= 0.3"].slope, [1, 1, 0, 0])
    np.testing.assert_array_equal(labels["code:* >= 0.4"].slope, [0, 0, -1, 0])
    with pytest.raises(JaxmixError, match="no mixture meets"):
        Constraints(maximum={"web:*": 0.3, "code:*": 0.1, "books": 0.5}).check(domains, D)
    with pytest.raises(JaxmixError, match="unknown domain 'wob:"):
        Constraints(maximum={"wob:*": 0.3}).over(domains)
