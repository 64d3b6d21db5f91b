"""Compute-optimal plans: the closed form, brute force, inference, repetition, what is refused."""

import numpy as np
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.fitting.simulate import true_laws
from jaxmix.laws import ADDITIVE, ADDITIVE_FIXED_N, CHINCHILLA
from jaxmix.mixtures import Constraints, assume_repetition, frontier, optimize, plan_budget

SCALING = {"E": 1.8172, "A": 482.0, "alpha": 0.3478, "B": 2085.0, "beta": 0.3658}
FLOPS = np.array([1e19, 1e21, 1e23])


@pytest.fixture(scope="module")
def laws():
    by_target = {"a": [3.0, 1.0], "b": [1.0, 3.0]}
    params = {t: {**SCALING, "C": c, "gamma": [0.5, 0.6]} for t, c in by_target.items()}
    scale = {"n_params": [1e7, 1e10], "tokens": [1e9, 1e11]}
    return true_laws(
        ADDITIVE, params, domains=("a", "b"), targets=("a", "b"), mixtures=np.eye(2), **scale
    )


@pytest.fixture(scope="module")
def plans(laws):
    return frontier(laws, FLOPS)


STOCK = Constraints(available={"a": 5e9})


@pytest.fixture(scope="module")
def scarce(laws):
    return assume_repetition(laws)


@pytest.fixture(scope="module")
def scarce_plans(scarce):
    return frontier(scarce, FLOPS, STOCK)


def closed_form(flops):
    """Hoffmann et al. 2022, eq. (4)."""
    a, b = SCALING["alpha"], SCALING["beta"]
    g = (a * SCALING["A"] / (b * SCALING["B"])) ** (1 / (a + b))
    return g * (flops / 6) ** (b / (a + b))


def test_the_closed_form(plans):
    """The mixture term of the additive law does not touch N and D."""
    found = np.array([plan.n_params for plan in plans])
    np.testing.assert_allclose(found, closed_form(FLOPS), rtol=1e-9)
    for plan in plans:
        assert 6 * plan.n_params * plan.tokens == pytest.approx(plan.flops, rel=1e-12)
        assert plan.tokens_per_param == plan.tokens / plan.n_params and not plan.at_edge


def test_the_mixture_and_the_loss_are_those_of_optimize(laws, plans):
    best = optimize(laws, plans[1].n_params, plans[1].tokens)
    assert plans[1].objective == pytest.approx(best.objective, rel=1e-12)
    np.testing.assert_allclose(plans[1].optimum.h, best.h, atol=1e-6)
    assert plans[1].objective <= plans[1].losses.min()


def test_extrapolation_is_said(plans):
    assert not plans[0].notes
    assert any(n.startswith("N = ") for n in plans[2].notes)
    assert any(n.startswith("D = ") for n in plans[2].notes)


def test_served_tokens_are_paid_for(laws):
    served = 1e12
    plans = frontier(laws, FLOPS, inference_tokens=served)
    for plan, free in zip(plans, closed_form(FLOPS), strict=True):
        cost = 6 * plan.n_params * plan.tokens + 2 * plan.n_params * served
        assert cost == pytest.approx(plan.flops, rel=1e-9)
        assert plan.n_params < free
        n = plan.n_params * np.exp(np.linspace(-1e-3, 1e-3, 2001))
        d = plan.flops / (6 * n) - served / 3
        n, d = n[d > 0], d[d > 0]
        loss = SCALING["A"] * n ** -SCALING["alpha"] + SCALING["B"] * d ** -SCALING["beta"]
        assert n[loss.argmin()] == pytest.approx(plan.n_params, rel=2e-6)


def test_scarce_data_changes_the_plan_as_brute_force_does(scarce, scarce_plans, plans):
    plan, fresh = scarce_plans[2], plans[2]
    assert plan.epochs["a"] > 4 and set(plan.epochs) == {"a"}
    assert plan.objective > fresh.objective
    n = plan.n_params * np.exp(np.linspace(-0.2, 0.2, 81))[:, None]
    shares = np.clip(plan.optimum.h[0] + np.linspace(-0.05, 0.05, 101), 0, 1)
    h = np.stack([shares, 1 - shares], -1)[None]
    d = plan.flops / (6 * n)
    x = {"n_params": n, "tokens": d, "weights": h, "unique": np.array([5e9, np.inf])}
    loss = np.mean([law.predict(x) for law in scarce], 0)
    i, j = np.unravel_index(loss.argmin(), loss.shape)
    assert (i, j) == (40, 50)
    assert plan.objective <= loss.min() + 1e-12


def test_endless_data_is_the_plan_without_repetition(scarce, scarce_plans, plans):
    assert scarce_plans[0].n_params == pytest.approx(plans[0].n_params, rel=1e-6)
    endless = frontier(scarce, FLOPS)
    for plan, expected in zip(endless, plans, strict=True):
        assert plan.objective == pytest.approx(expected.objective, rel=1e-12)
        assert plan.n_params == pytest.approx(expected.n_params, rel=1e-6) and not plan.epochs
        assert any("nothing ever repeats" in note for note in plan.notes)


def value(laws, flops, n, limits):
    """The least loss at a size, by optimize on its own."""
    return optimize(laws, n, flops / (6 * n), limits).objective


@pytest.mark.parametrize(
    "limits",
    [
        Constraints(available={"a": 2e9}),  # at most 4 epochs, whatever the law
        Constraints(available={"a": 2e9}, max_epochs=2, minimum={"a": 0.05}),
        Constraints(groups={"a+b": 1.0}, guards={"a": 0.01}, reference={"a": 0.3, "b": 0.7}),
    ],
)
def test_constraints_hold_at_every_size(laws, limits):
    plan = plan_budget(laws, 1e21, limits, sizes=(1e8, 1e10))
    caps = limits.caps()
    assert not caps or plan.optimum.h[0] == pytest.approx(caps["a"] * 2e9 / plan.tokens, rel=1e-12)
    best = value(laws, 1e21, plan.n_params, limits)
    assert plan.objective == pytest.approx(best, rel=1e-12) and not plan.at_edge
    for by in (0.999, 1.001):
        assert plan.objective < value(laws, 1e21, by * plan.n_params, limits)


def test_each_of_many_budgets_has_its_own_cap(laws, plans):
    """The law does not price repetition: four epochs are the most, at every budget."""
    capped = frontier(laws, FLOPS, STOCK)
    assert capped[0].epochs["a"] < 4
    assert capped[0].n_params == pytest.approx(plans[0].n_params, rel=1e-6)
    for plan, fresh in zip(capped[1:], plans[1:], strict=True):
        assert plan.epochs["a"] == pytest.approx(4, rel=1e-12)
        assert plan.optimum.active == ("a<=4 epochs",) and plan.objective > fresh.objective
        assert plan.n_params > 1.01 * fresh.n_params  # fewer tokens keep more of domain a


def test_a_row_that_is_a_bound_gives_the_same_plan(laws):
    """For two domains 3 a <= b is a <= 0.25, which the batched solver takes."""
    plan = plan_budget(laws, 1e21, Constraints(linear=["3*a <= b"]), sizes=(1e9, 4e9))
    same = plan_budget(laws, 1e21, Constraints(maximum={"a": 0.25}), sizes=(1e9, 4e9))
    assert plan.objective == pytest.approx(same.objective, rel=1e-12)
    assert plan.n_params == pytest.approx(same.n_params, rel=1e-3)  # from values alone
    assert plan.optimum.active == ("3*a <= b",) and not plan.at_edge


def test_no_size_needs_more_tokens_than_there_are(laws):
    limits = Constraints(available={"a": 1e9, "b": 2e9})
    plan = plan_budget(laws, 1e21, limits)
    assert plan.at_edge and plan.tokens == pytest.approx(4 * 3e9)
    assert plan.epochs == pytest.approx({"a": 4, "b": 4})
    with pytest.raises(JaxmixError, match=r"on the 1\.2e\+10 tokens that the constraints allow"):
        plan_budget(laws, 1e23, limits, sizes=(1e8, 1e9))


def test_the_edge_of_the_sizes_is_flagged(laws):
    plan = plan_budget(laws, 1e21, sizes=(1e7, 1e8))
    assert plan.at_edge and plan.n_params == pytest.approx(1e8)
    assert "edge of those searched" in plan.notes[-1]


@pytest.mark.parametrize(
    ("flops", "options", "message"),
    [
        ([], {}, "at least one budget"),
        ([1e21, -1.0], {}, "finite number of FLOPs above 0"),
        ([1e21], {"inference_tokens": -1.0}, "inference_tokens must be"),
        ([1e21], {"sizes": (1e9, 1e8)}, "smallest and a larger"),
        ([1e18], {"sizes": (1e8, 1e9), "inference_tokens": 1e12}, "buy no training"),
        ([1e21], {"constraints": Constraints(minimum={"c": 0.1})}, "unknown domain 'c'"),
    ],
)
def test_what_is_refused(laws, flops, options, message):
    with pytest.raises(JaxmixError, match=message):
        frontier(laws, flops, **options)


def test_laws_that_cannot_be_planned_with(laws, fit_of):
    with pytest.raises(JaxmixError, match="does not read both N and D"):
        params = {"E": [1.0], "B": [10.0], "beta": [0.3], "C": [[1, 1]], "gamma": [[1, 1]]}
        frontier(fit_of(ADDITIVE_FIXED_N, params, "ab", "a"), [1e21])
    with pytest.raises(JaxmixError, match="without a mixture"):
        params = {name: [value] for name, value in SCALING.items()}
        frontier(fit_of(CHINCHILLA, params, "", "a", np.zeros((1, 0))), [1e21])
    with pytest.raises(JaxmixError, match="there is none"):
        frontier([], [1e21])
