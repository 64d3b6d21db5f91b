"""What the sliders show beside what Python answers: losses, optima over budgets, and limits."""

import json

import numpy as np
import pytest

from jaxmix.fitting.portable import ELEMENTWISE, portable_laws
from jaxmix.fitting.simulate import random_truth, true_laws
from jaxmix.laws import LAWS, TOKENS, WEIGHTS, Law, Parameter, get_law
from jaxmix.mixtures import Constraints
from jaxmix.mixtures.what_if import WITHIN, budget_surface, limit_curves
from jaxmix.report import make_report, payload
from jaxmix.report.markup import embed

from .conftest import SCALE, proposal, study

K = 5
DOMAINS = tuple(f"d{i}" for i in range(K))
STOCK = np.array([1e9, np.inf, 3e9, 1e8, 2e9])
BUDGETS = [(1e7, 1e9), (3e8, 2e10), (1e12, 1e14), (np.inf, np.inf)]


def own_loss(p, x):
    """Slices, norms, products of vectors, a law of one's own may use anything."""
    import jax
    import jax.numpy as jnp

    h, flip = x["weights"], jnp.asarray([2, 1, 0])
    far = jnp.linalg.norm(h - 0.2, axis=-1) + h[..., 0] * 2 + h[..., flip].sum(-1)
    far = far + jnp.roll(h, 1, axis=-1)[..., 0]
    soft = jax.nn.softplus(p["E"]) + jax.nn.logsumexp(p["C"] * h, axis=-1)
    soft = soft + jnp.clip(h, 0.1, 0.4).mean(-1)
    joined = jnp.concatenate([h[..., :1], h[..., 2:] * 3], -1).max(-1)
    return soft + joined + p["B"] * x["tokens"] ** -0.3 + (h**2) @ p["C"] + far


OWN = Law(
    "own", (Parameter("E"), Parameter("B"), Parameter("C", "domain")), own_loss, (TOKENS, WEIGHTS)
)


def laws_of(law, k: int = K, m: int = 3, seed: int = 3):
    names = tuple(f"d{i}" for i in range(k))
    truth = dict(zip(names[:m], random_truth(law, k, seed, count=m), strict=True))
    return true_laws(law, truth, domains=names, mixtures=np.eye(k), targets=names[:m], **SCALE)


@pytest.fixture(scope="module")
def scripts(browser, page_file):
    page = browser.new_page()
    page.goto(page_file.as_uri())
    yield page
    page.close()


def spelled(value):
    return json.loads(embed(payload.spelled(value)))


def test_the_page_has_every_operation(scripts):
    assert set(scripts.evaluate("Program.names")) == set(ELEMENTWISE)


@pytest.mark.parametrize(
    "name",
    [*(n for n in LAWS), "own", "additive+repetition+harm", "joint+repetition-by-domain",
     "additive+repetition+scarcity"],
)  # fmt: skip
def test_losses_equal_pythons_for_every_law(scripts, name):
    law = OWN if name == "own" else get_law(name)
    at = {
        one.name: STOCK if one.per == "domain" else 1e9
        for one in law.inputs
        if one.name not in ("n_params", "tokens", "weights")
    }
    laws = laws_of(law)
    points = np.vstack([np.random.default_rng(0).dirichlet(np.ones(K), 2), np.eye(K)[:1]])
    steps = portable_laws(laws, at)
    ask = [[n, d, h.tolist()] for n, d in BUDGETS for h in points]
    got = scripts.evaluate(
        "([steps, ask]) => ask.map(([n, d, h]) => "
        "Program.losses(steps, +n, +d, h).map(x => Number.isFinite(x) ? x : String(x)))",
        [spelled(steps), spelled(ask)],
    )
    got = np.array([[float(str(x).replace("Infinity", "inf")) for x in row] for row in got])
    want = [
        laws.predict({**at, "n_params": n, "tokens": d, "weights": np.array(h)}).to_numpy()[0]
        for n, d, h in ask
    ]
    np.testing.assert_allclose(got, want, rtol=1e-10)


LIMITS = {
    "none": {},
    "stock": {"constraints": Constraints(available={"d0": 5e8, "d1": 1e9}, max_epochs=2.0)},
    "group": {"constraints": Constraints(groups={"d0 + d2": (None, 0.2)}, minimum={"d1": 0.1})},
    "guard": {
        "constraints": Constraints(guards={"d2": 0.001}, reference=dict.fromkeys(DOMAINS, 1 / K))
    },
    "worst": {"worst_case": "loss"},
}


@pytest.fixture(scope="module")
def asked():
    def call(limits: str, law: str = "additive"):
        return laws_of(LAWS[law]).optimize(3e8, 2e10, **LIMITS[limits])

    return call


@pytest.mark.parametrize("limits", LIMITS)
def test_interpolated_optima_are_within_half_a_percent_of_weight(asked, limits):
    best = asked(limits)
    surface, rng, seen = budget_surface(best), np.random.default_rng(1), 0
    n_ends, d_ends = np.log(surface.n_params[[0, -1]]), np.log(surface.tokens[[0, -1]])
    for _ in range(8):
        n, d = np.exp(rng.uniform(*n_ends)), np.exp(rng.uniform(*d_ends))
        cell = np.searchsorted(surface.n_params, n) - 1, np.searchsorted(surface.tokens, d) - 1
        if not surface.rough[cell]:
            seen += 1
            want = best.laws.optimize(n, d, **LIMITS[limits])
            np.testing.assert_allclose(surface.at(n, d), want.h, atol=WITHIN)
    assert seen >= 4
    home = surface.at(best.n_params, best.tokens)
    np.testing.assert_allclose(home, best.h, atol=1e-4)


@pytest.mark.parametrize("limits", ["none", "group"])
def test_limits_that_move_have_the_optima_of_optimize(asked, limits):
    best = asked(limits)
    given = LIMITS[limits].get("constraints", Constraints())
    curves = limit_curves(best)
    assert {c.domain for c in curves} <= set(DOMAINS) and len(curves) >= 3
    for curve in curves[:3]:
        t = curve.limit[0] + 0.37 * np.ptp(curve.limit)
        kind = "maximum" if t < best.weights[curve.domain] else "minimum"
        own = {**getattr(given, kind), curve.domain: float(t)}
        limited = Constraints.from_dict({**given.to_dict(), kind: own})
        i = np.searchsorted(curve.limit, t) - 1
        if curve.rough[i]:
            continue
        u = (t - curve.limit[i]) / (curve.limit[i + 1] - curve.limit[i])
        shown = (1 - u) * curve.weights[i] + u * curve.weights[i + 1]
        want = best.laws.optimize(3e8, 2e10, limited).h
        np.testing.assert_allclose(shown, want, atol=WITHIN)


def test_the_page_interpolates_as_python_does(scripts, report):
    surface = report.surface
    budgets = [(3e7, 4e9), (5e9, 6e11), (2e10, 2e9), (1e9, 1e11)]
    got = scripts.evaluate(
        "ask => ask.map(([n, d]) => Table.budget(Page.model.surface, n, d).weights)", budgets
    )
    np.testing.assert_allclose(got, [surface.at(*x) for x in budgets], atol=1e-4)
    curve = report.curves[0]
    i = int(np.argmin(curve.rough))
    ask = [float(curve.limit[i]), float(curve.limit[i + 1] * 0.3 + curve.limit[i] * 0.7)]
    got = scripts.evaluate(
        "ask => ask.map(t => Table.limited(Page.model.curves[0], t).weights)", ask
    )
    want = [curve.weights[i], 0.7 * curve.weights[i] + 0.3 * curve.weights[i + 1]]
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_sliders_open_at_the_reports_own_answers(scripts, report):
    sizes, moves = scripts.evaluate("[Explore.sizes, Explore.moves]")
    np.testing.assert_array_equal(sizes["weights"], report.supported.h)
    np.testing.assert_array_equal(moves["h"], report.proposed)
    want = list(report.supported.predict(report.proposed).values())
    np.testing.assert_allclose(moves["losses"], want, rtol=1e-10)


def test_sizes_that_no_mixture_can_train_are_left_out():
    stock = dict.fromkeys(study()[0].domains, 5e11)
    best, runs = proposal(constraints=Constraints(available=stock, max_epochs=1.0))
    found = make_report(best, runs, resamples=0)
    assert found.surface.tokens[-1] <= 1.5e12 and np.isfinite(found.surface.weights).all()


def test_chinchilla_has_a_report_without_mixtures():
    laws, runs = study(LAWS["chinchilla"])
    report = make_report(laws, runs, resamples=0)
    assert report.optimum is None and report.surface is None and report.effects is None
    assert payload.proposal(report) is None and payload.model(report)["steps"]
    assert np.isfinite(report.predicted).all()


def test_a_law_beyond_the_page_keeps_its_tables_of_optima():
    import jax

    def loss(p, x):
        h = x["weights"]
        sort = jax.numpy.sort(h, axis=-1)[..., 0]
        return p["E"] + sort + p["B"] * x["tokens"] ** -0.3 + (p["C"] * (h - 0.3) ** 2).sum(-1)

    loop = Law("loop", OWN.parameters, loss, (TOKENS, WEIGHTS))
    best, runs = proposal(loop)
    report = make_report(best, runs, resamples=0)
    steps, why = payload.steps_of(report)
    assert steps is None and "uses the operation" in why and report.surface is not None
