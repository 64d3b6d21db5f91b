"""Critical ratios with known answers, and stages that a law plans against constant mixtures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.continual.memory import (
    Histories,
    effective_weights,
    equal_loss,
    fit_recency,
    staged_losses,
)
from experiments.continual.stage_plans import plan_stages
from jaxmix.errors import JaxmixError
from jaxmix.fitting import DataRange, Ensemble, FitReport, FittedLaw, FittedLaws, stack
from jaxmix.laws import ADDITIVE_FIXED_N, TOKENS, WEIGHTS, Law, Parameter
from jaxmix.mixtures import Constraints, critical_ratio


def fit_of(law, params, domains, targets=None):
    """One fit per letter of ``targets``; parameters carry a leading axis, the targets."""
    report = FitReport(objective=0.0, gradient_norm=0.0, rows=100, restarts=1, agreeing=1)
    data = DataRange((1e8, 1e9), (1e9, 1e11), np.eye(len(domains)))
    return FittedLaws(
        FittedLaw(
            law, t, tuple(domains), {n: np.asarray(v[i]) for n, v in params.items()}, data, report
        )
        for i, t in enumerate(targets or domains)
    )


# The old target's loss rises with the new domain's weight and falls with D: with limit E it may
# have the ratio log10(D / 1e6) / 10.
FORGETS = Law(
    "forgets",
    (Parameter("E"),),
    lambda p, x: p["E"] + x["weights"][..., 1] - 0.1 * jnp.log10(x["tokens"] / 1e6),
    inputs=(TOKENS, WEIGHTS),
)


def test_critical_ratio_is_where_the_law_meets_the_limit():
    laws = fit_of(FORGETS, {"E": [2.0]}, "ab", "a")
    law = laws[0]
    spread = np.linspace(-0.05, 0.05, 101)[None]
    kind = {"method": "wild", "cluster": "run", "clusters": 9, "model_error": None}
    refits = Ensemble(laws=laws, params={"E": 2.0 + spread}, **kind)  # type: ignore
    found = critical_ratio(law, 2.0, {"a": 1}, {"b": 1}, [1e5, 1e7, 1e9, 1e17], refits=refits)
    assert found[0].intervals == () and np.isnan(found[0].ratio)
    assert found[1].ratio == pytest.approx(0.1, abs=1e-9)
    assert found[2].intervals == ((0.0, pytest.approx(0.3, abs=1e-9)),)
    assert (found[3].ratio, found[3].low) == (1.0, 1.0)
    assert (found[2].low, found[2].high) == (pytest.approx(0.255), pytest.approx(0.345))
    # From halfway: the line of mixtures is twice as steep from a = b = 1/2 on.
    (half,) = critical_ratio(law, 2.4, {"a": 0.5, "b": 0.5}, {"b": 1}, [1e9])
    assert half.ratio == pytest.approx(0.4)
    with pytest.raises(JaxmixError, match=r"the new mixture's weights sum to 0\.7"):
        critical_ratio(law, 2.0, {"a": 1}, {"b": 0.7}, [1e9])


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ({"maximum": {"b": 0.2}}, ((0.0, 0.2),)),
        ({"minimum": {"b": 0.1}}, ((0.1, 0.3),)),
        ({"maximum": {"b": 0.5}}, ((0.0, 0.3),)),
        ({"minimum": {"b": 0.6}}, ()),
        ({"linear": ("a >= 4*b",)}, ((0.0, 0.2),)),
        ({"available": {"b": 5e7}, "max_epochs": 4}, ((0.0, 0.2),)),
    ],
)
def test_a_critical_ratio_meets_limits_on_the_mixture(limits, found):
    law = fit_of(FORGETS, {"E": [2.0]}, "ab", "a")[0]
    line = {"a": 1}, {"b": 1}, [1e9]
    (answer,) = critical_ratio(law, 2.0, *line, constraints=Constraints(**limits))
    assert answer.intervals == tuple(pytest.approx(one, abs=1e-9) for one in found)


def test_a_change_to_the_same_weights_changes_nothing():
    h = np.array([[0.2, 0.8], [0.2, 0.8], [0.7, 0.3]])
    ends = np.array([0.25, 0.5, 1.0])
    found = np.asarray(effective_weights(ends[None], h[None], np.array([1.0, 3.0, 1e4])))
    assert found.sum(1) == pytest.approx(1.0)
    assert found[0] == pytest.approx(h.T @ [0.25, 0.25, 0.5])
    merged = effective_weights(ends[1:], h[1:], np.array(3.0))
    assert found[1] == pytest.approx(np.asarray(merged)) and found[2] == pytest.approx(h[2])


@pytest.fixture
def laws():
    """Two targets that are the two domains, one of which every token of helps most."""
    c = np.array([[2.0, 0.2], [0.2, 2.0]])
    gamma = np.full((2, 2), 0.5)
    scalars = {"E": [2.0, 2.0], "B": [100.0, 100.0], "beta": [0.5, 0.5]}
    return fit_of(ADDITIVE_FIXED_N, {**scalars, "C": c, "gamma": gamma}, "ab")


def test_recency_is_recovered_from_staged_runs(laws):
    rng = np.random.default_rng(0)
    true, p = np.array([0.8, 3.0]), 12
    ends = np.stack([rng.uniform(0.2, 0.9, p), np.ones(p)], -1)
    weights = rng.dirichlet(np.ones(2), (p, 2))
    n, d = np.full(p, 1e6), np.full(p, 1e5)
    with jax.enable_x64(True):
        one = lambda e, h: staged_losses(stack(laws), 1e6, 1e5, e, h, jnp.asarray(true))  # noqa: E731
        losses = np.array([one(jnp.asarray(e), jnp.asarray(h)) for e, h in zip(ends, weights)]).T  # noqa: B905
    losses[1, 0] = np.nan
    found = fit_recency(laws, Histories(n, d, ends, weights, losses))
    assert [one.value for one in found] == pytest.approx(true, rel=0.02)
    for one in found:
        assert one.mre < 0.02 < min(one.average_mre, one.last_mre)


def test_equal_loss_goes_on_where_the_new_curve_has_the_loss(laws):
    params = {n: np.stack([law.params[n] for law in laws]) for n in laws[0].params}
    h, ends = np.array([[0.99, 0.01], [0.02, 0.98]]), np.array([0.6, 1.0])
    level = params["E"] + 1 / (params["C"] * h[:, None] ** params["gamma"]).sum(-1)  # [S, m]
    first = level[0] + 100 / np.sqrt(6e4)
    gap = first - level[1]
    begun = np.where(gap > 0, (100 / np.where(gap > 0, gap, 1)) ** 2, 1e9)  # a is below its curve
    with jax.enable_x64(True):
        stacked, same = stack(laws), jnp.asarray(h[[0, 0]])
        found = equal_loss(stacked, 1e6, 1e5, jnp.asarray(ends), jnp.asarray(h))
        unmoved = equal_loss(stacked, 1e6, 1e5, jnp.asarray(ends), same)
    assert (gap > 0).tolist() == [False, True]
    assert np.asarray(found) == pytest.approx(level[1] + 100 / np.sqrt(begun + 4e4), rel=1e-9)
    assert np.asarray(unmoved) == pytest.approx(level[0] + 100 / np.sqrt(1e5), rel=1e-9)


@pytest.mark.parametrize("recency", [[0.7, 2.5], None])
def test_derivatives_of_staged_losses_are_those_of_finite_differences(laws, recency):
    rng = np.random.default_rng(1)
    weights, ends = rng.dirichlet(np.ones(2), 3), jnp.array([0.3, 0.6, 1.0])
    with jax.enable_x64(True):
        if recency is None:
            losses = lambda h: equal_loss(stack(laws), 1e6, 1e5, ends, h)  # noqa: E731
        else:
            m = jnp.asarray(recency)
            losses = lambda h: staged_losses(stack(laws), 1e6, 1e5, ends, h, m)  # noqa: E731
        losses = jax.jit(losses)
        slopes = np.asarray(jax.jacrev(losses)(jnp.asarray(weights)))  # [m, S, k]
        for index in np.ndindex(weights.shape):
            step = np.zeros_like(weights)
            step[index] = 1e-6
            numeric = (losses(weights + step) - losses(weights - step)) / 2e-6
            assert slopes[:, *index] == pytest.approx(np.asarray(numeric), rel=1e-5, abs=1e-8)


def test_stages_gain_only_if_targets_differ_in_what_they_forget(laws):
    both = {"target_weights": {"a": 0.5, "b": 0.5}, "starts": 4}
    alike = plan_stages(laws, 1e6, 1e5, [0.5, 0.5], {"a": 2.0, "b": 2.0}, **both)
    assert alike.gain == pytest.approx(0.0, abs=1e-9)
    assert alike.fixed == pytest.approx([0.5, 0.5], abs=1e-6)
    unlike = {"a": 0.7, "b": 4.0}  # a remembers, b forgets: a goes first
    plan = plan_stages(laws, 1e6, 1e5, [0.5, 0.5], unlike, **both)
    assert plan.gain > 0.01 and plan.weights[0, 0] > 0.9 and plan.weights[1, 1] > 0.9
    grid = np.linspace(0, 1, 41)
    tried = np.array([[[x, 1 - x], [y, 1 - y]] for x in grid for y in grid])
    with jax.enable_x64(True):
        of = jax.vmap(lambda h: staged_losses(stack(laws), 1e6, 1e5, ends, h, recency))
        ends, recency = jnp.array([0.5, 1.0]), jnp.array([0.7, 4.0])
        lowest = float(jnp.min(of(jnp.asarray(tried)).mean(1)))
    assert lowest - 2e-3 < plan.objective <= lowest + 1e-9
    most = plan.predicted["a"] - 0.02
    kept = plan_stages(laws, 1e6, 1e5, [0.5, 0.5], unlike, limits={"a": most}, **both)
    assert kept.predicted["a"] <= most + 1e-6 and kept.fixed_predicted["a"] <= most + 1e-6
    assert plan.objective < kept.objective <= kept.fixed_objective
    with pytest.raises(JaxmixError, match="no mixture keeps all limits: the nearest found has 'a'"):
        plan_stages(laws, 1e6, 1e5, [0.5, 0.5], unlike, limits={"a": 2.0}, **both)
