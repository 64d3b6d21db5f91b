from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from jaxmix.errors import JaxmixError
from jaxmix.fitting import bootstrap, fit, load_laws, simulate
from jaxmix.fitting.objective import Objective
from jaxmix.fitting.precision import float64
from jaxmix.fitting.problem import Problem, make_problem
from jaxmix.fitting.sharing import prior_of, read_share, shares_to_try, ties
from jaxmix.fitting.uncertainty.influence import influence, pose
from jaxmix.laws import ADDITIVE, ADDITIVE_FIXED_ND, CHINCHILLA
from jaxmix.mixtures import dirichlet_design
from jaxmix.runs import RunTable

DOMAINS = ("a", "b", "c", "d")
TARGETS = ("u", "v", "w", "x", "y", "z")
STRENGTHS = {"E": 0.3, "alpha": 2.0, "beta": np.inf}


def truth(spread: float, seed: int = 0) -> dict[str, dict]:
    """Additive laws whose exponents differ by factors of about exp(spread) between targets."""
    rng = np.random.default_rng(seed)

    def exponent(middle: float, size: int | None = None):
        return middle * np.exp(spread * rng.standard_normal(size))

    def target() -> dict:
        return {
            "E": rng.uniform(0.5, 1.0),
            "A": rng.uniform(10.0, 30.0),
            "alpha": exponent(0.25),
            "B": rng.uniform(300.0, 900.0),
            "beta": exponent(0.3),
            "C": np.exp(0.4 * rng.standard_normal(4)),
            "gamma": exponent(0.8, 4),
        }

    return {name: target() for name in TARGETS}


def study(spread: float, mixtures: int, seed: int = 0, noise: float = 0.002) -> RunTable:
    return simulate(
        ADDITIVE,
        truth(spread),
        domains=DOMAINS,
        mixtures=dirichlet_design(4, mixtures, seed=seed, minimum=0.0),
        n_params=[1e7, 1e8, 1e9],
        tokens=[1e9, 4e9, 16e9],
        targets=TARGETS,
        noise=noise,
        seed=seed,
    )


@pytest.fixture(scope="module")
def few() -> RunTable:
    return study(0.0, 9)


@pytest.fixture(scope="module")
def sizes() -> RunTable:
    """Rows without mixtures: three targets, so that the joint problem is small."""
    table = study(0.3, 3, seed=1, noise=0.01)
    return replace(table, domains=())


@pytest.fixture(scope="module")
def chinchilla(sizes):
    return fit(sizes, CHINCHILLA, targets=TARGETS[:3], share=STRENGTHS, restarts=16, residual="log")


def joint_objective(problem: Problem, free):
    """The definition: every target's own parameters, and one value of those shared fully."""
    unit = ties(problem, [{}]).unit
    names = [p.name for p in CHINCHILLA.parameters]
    beta = names.index("beta")

    def total(v):
        z = v[:-1].reshape(len(unit), -1)
        z = jnp.insert(z, beta, v[-1], axis=1)
        value = 0.0
        for t in range(len(unit)):
            value += free.value(z[t], problem.rows.of_fit(t)) / unit[t]
        for name in ("E", "alpha"):
            column = z[:, names.index(name)]
            value += 0.5 * STRENGTHS[name] * jnp.sum((column - column.mean()) ** 2)
        return value

    return total, beta


def test_a_shared_fit_is_the_optimum_of_the_joint_problem(sizes, chinchilla):
    with float64():
        objective = Objective(CHINCHILLA, 0, residual="log")
        problem = make_problem(sizes, CHINCHILLA, TARGETS[:3], objective, "equal")
        total, beta = joint_objective(problem, objective)
        z = np.stack([np.asarray(problem.working(f.params)) for f in chinchilla])
        np.testing.assert_allclose(z[:, beta], z[0, beta], rtol=1e-12)
        at = np.append(np.delete(z, beta, 1).reshape(-1), z[0, beta])
        slope = jax.jit(jax.value_and_grad(total))
        value, grad = slope(jnp.asarray(at))
        assert np.abs(grad).max() < 1e-8
        # From the separate fits, smoothed by nothing: SciPy ends there or above.
        apart = fit(sizes, CHINCHILLA, targets=TARGETS[:3], restarts=16, residual="log")
        start = np.stack([np.asarray(problem.working(f.params)) for f in apart])
        start = np.append(np.delete(start, beta, 1).reshape(-1), start[:, beta].mean())
        found = minimize(lambda v: tuple(map(np.asarray, slope(jnp.asarray(v)))), start, jac=True)
    assert found.fun == pytest.approx(float(value), rel=1e-4)
    assert float(value) <= found.fun * (1 + 1e-9)


def test_strengths_run_from_separate_fits_to_one_value(sizes, chinchilla):
    options = {"targets": TARGETS[:3], "restarts": 16, "residual": "log"}
    apart, alike = (fit(sizes, CHINCHILLA, share=s, **options) for s in (0, {"alpha": 1e-7}))
    np.testing.assert_allclose(alike.params, apart.params, rtol=1e-3)
    spread = [laws.params["alpha"].std() for laws in (apart, chinchilla)]
    assert spread[1] < 0.7 * spread[0] and len(set(chinchilla.params["beta"])) == 1
    assert any("drawn to the means over 3 targets" in note for note in chinchilla.notes)
    assert all(f.report.gradient_norm < 1e-12 for f in chinchilla)


def test_fits_are_read_again_with_what_they_share(tmp_path, sizes, chinchilla):
    chinchilla.save(tmp_path / "law.json")
    again = load_laws(tmp_path / "law.json")
    for one, other in zip(again, chinchilla, strict=True):
        assert one.report.share == STRENGTHS and one.report.center == other.report.center
    with float64():
        problem = pose(again, sizes)
        assert problem.rows.prior is not None
        np.testing.assert_allclose(
            problem.rows.prior.center, prior_of(problem, chinchilla).rows.prior.center
        )
    influence(again["v"], sizes)  # refuses what is not stationary


def test_refits_share_as_the_fit_does(sizes, chinchilla):
    refits = bootstrap(chinchilla, sizes, resamples=40, cluster="run", basins=1)
    beta = refits.params["beta"]
    np.testing.assert_allclose(beta, np.broadcast_to(beta[:1], beta.shape), rtol=1e-6)
    assert np.all(beta.std(1) > 1e-4)  # the mean is as uncertain as the rows leave it
    some = bootstrap(chinchilla[["u"]], sizes, resamples=40, cluster="run", basins=1)
    assert any("give all targets" in note for note in some.notes)
    assert some.params["alpha"].std() < refits.params["alpha"][0].std()


def test_few_mixtures_and_equal_exponents():
    rows, unseen = study(0.0, 10), study(0.0, 30, seed=7, noise=0.0)
    options = {"targets": TARGETS[:4], "restarts": 4, "residual": "log"}
    share = dict.fromkeys(("alpha", "beta", "gamma"), 1.0)
    apart, together = (fit(rows, ADDITIVE, share=s, **options) for s in (0, share))
    errors = [laws.score(unseen)["mre"].mean() for laws in (apart, together)]
    assert errors[1] < 0.5 * errors[0]
    exact = truth(0.0)["u"]
    for name in share:
        found = [
            np.log(laws.params.filter(like=name) / np.ravel(exact[name])[0])
            for laws in (apart, together)
        ]
        off = [np.abs(x.to_numpy()).mean() for x in found]
        assert off[1] < max(0.03, 0.5 * off[0]), name


def test_the_strength_is_chosen_by_held_out_rows():
    options = {"residual": "log", "targets": TARGETS[:3], "restarts": 4}
    where = "n_params == 1e8 and tokens == 4e9"
    rows, unseen = (t.where(where) for t in (study(0.5, 20), study(0.5, 30, 7, noise=0.0)))
    apart, chosen = (fit(rows, ADDITIVE_FIXED_ND, share=s, **options) for s in (0, "auto"))
    errors = [laws.score(unseen)["mre"].mean() for laws in (apart, chosen)]
    assert errors[1] < 1.1 * errors[0]
    assert any("sharing by held-out mixtures" in note for note in chosen.notes)


def test_groups_of_domains_have_means_of_their_own(few):
    with float64():
        made = make_problem(few, ADDITIVE, TARGETS[:2], Objective(ADDITIVE, 4), "equal")
        names = ("web:a", "web:b", "code:c", "code:d")
        made = replace(made, runs=replace(few, domains=names))
        cell = dict(zip(ADDITIVE.names(names), ties(made, [{}]).cell, strict=True))
    assert cell["C[web:a]"] == cell["C[web:b]"] != cell["C[code:c]"] == cell["C[code:d]"]
    assert len(set(cell.values())) == 5 + 2 * 2


@pytest.mark.parametrize(
    ("share", "message"),
    [
        ({"alfa": 1}, "no parameter 'alfa' in additive; nearest: alpha"),
        (-1.0, "the strength of 'E' is -1.0; give 0"),
        (float("nan"), "the strength of 'E' is nan"),
        ("much", "the strength of 'E' is much"),
    ],
)
def test_shares_that_are_none(share, message):
    with pytest.raises(JaxmixError, match=message):
        read_share(share, ADDITIVE)


def test_what_is_tried():
    assert shares_to_try(CHINCHILLA)[0] == {} and len(shares_to_try(CHINCHILLA)) == 4
    assert list(shares_to_try(ADDITIVE)[1]) == ["C", "gamma"] and len(shares_to_try(ADDITIVE)) == 7
