"""The laws and the optimum as the page computes them, beside Python's."""

import json

import numpy as np
import pytest

from jaxmix.fitting.simulate import random_truth, true_laws
from jaxmix.laws import LAWS, get_law
from jaxmix.mixtures import Constraints, hull_distance
from jaxmix.report import make_report, payload
from jaxmix.report.limits import page_limits
from jaxmix.report.markup import embed

from .conftest import SCALE, proposal, study

K, M = 5, 3
NAMES = tuple("abcde")
BUDGETS = [(1e7, 1e9), (3e8, 2e10), (1e12, 1e14), (float("inf"), float("inf"))]


def laws_of(name: str, k: int = K, m: int = M, seed: int = 3):
    law = LAWS[name]
    names = tuple(f"d{i}" for i in range(k))
    truth = dict(zip(names[:m], random_truth(law, k, seed, count=m), strict=True))
    return true_laws(law, truth, domains=names, mixtures=np.eye(k), targets=names[:m], **SCALE)


def as_model(laws, **more):
    targets = [
        {
            "name": f.target,
            "params": {n: np.asarray(v).tolist() for n, v in f.params.items()}
            | ({} if f.own_domain is None else {"own": f.own_domain}),
        }
        for f in laws
    ]
    return {"law": laws[0].law.name, "targets": targets, **more}


def big(x: float) -> str | float:
    return "Infinity" if np.isinf(x) else x


def stack(laws, n, d, points) -> np.ndarray:
    """Losses [budgets, points, targets]; 1e300 where a law diverges."""
    found = np.stack([f.predict(dict(n_params=n, tokens=d, weights=points)) for f in laws], -1)
    return np.where(np.isfinite(found), found, 1e300)


@pytest.fixture(scope="module")
def scripts(browser, page_file):
    page = browser.new_page()
    page.goto(page_file.as_uri())
    yield page
    page.close()


def test_page_knows_the_laws_it_is_said_to(scripts):
    assert set(scripts.evaluate("Laws.names")) == set(payload.PAGE_LAWS)


@pytest.mark.parametrize("name", payload.PAGE_LAWS)
def test_losses_equal_pythons(scripts, name):
    laws = laws_of(name)
    points = np.vstack([np.random.default_rng(0).dirichlet(np.ones(K), 4), np.eye(K)[:2]])
    n, d = (np.array(x)[:, None] for x in zip(*BUDGETS, strict=True))
    want = stack(laws, n, d, points)
    got = scripts.evaluate(
        "([model, budgets, points]) => budgets.map(([n, d]) => points.map(h => "
        "Laws.losses(model, +n, +d, h).map(x => Number.isFinite(x) ? x : 1e300)))",
        [as_model(laws), [[big(n), big(d)] for n, d in BUDGETS], points.tolist()],
    )
    np.testing.assert_allclose(np.array(got, float), want, rtol=1e-9)


@pytest.mark.parametrize("name", payload.PAGE_LAWS)
def test_derivatives_agree_with_differences(scripts, name):
    error = scripts.evaluate(
        """([model, h]) => {
          const w = [0.2, 0.5, 0.3], f = (x) => Laws.objective(model, 3e8, 2e10, w, x);
          const at = f(h), k = h.length, e = 1e-5;
          let worst = 0, sizes = [0, 0];
          for (let i = 0; i < k; i++) {
            const up = f(h.map((x, j) => x + (i === j ? e : 0)));
            const down = f(h.map((x, j) => x - (i === j ? e : 0)));
            sizes[0] = Math.max(sizes[0], Math.abs(at.grad[i]));
            worst = Math.max(worst, Math.abs((up.value - down.value) / (2 * e) - at.grad[i]));
            for (let j = 0; j < k; j++) {
              const slope = (up.grad[j] - down.grad[j]) / (2 * e);
              worst = Math.max(worst, Math.abs(slope - at.hess[i * k + j]));
              sizes[1] = Math.max(sizes[1], Math.abs(at.hess[i * k + j]));
            }
          }
          return worst / Math.max(1e-6, ...sizes);
        }""",
        [as_model(laws_of(name)), [0.31, 0.27, 0.19, 0.14, 0.09]],
    )
    assert error < 1e-6


LIMITS = {
    "none": {},
    "box": {"constraints": Constraints(minimum={"d4": 0.1}, maximum={"d0": 0.15})},
    "pin": {"constraints": Constraints(pinned={"d1": 0.3}, groups={"d0 + d2": (None, 0.2)})},
    "stock": {"constraints": Constraints(available={"d0": 5e8, "d1": 1e9}, max_epochs=2.0)},
    "linear": {"constraints": Constraints(linear=("2*d0 + d1 <= 0.3", "d2 >= d3"))},
    "guard": {
        "constraints": Constraints(
            guards={"d2": 0.001}, reference=dict.fromkeys((f"d{i}" for i in range(K)), 1 / K)
        )
    },
    "divergence": {"constraints": Constraints(kl_max=0.05)},
    "pull": {"pull": 0.3},
}


@pytest.mark.parametrize("name", ["additive", "joint"])
@pytest.mark.parametrize("limits", LIMITS)
def test_optimum_equals_pythons(scripts, name, limits):
    w = [0.5, 0.3, 0.2]
    weights = dict(zip(("d0", "d1", "d2"), w, strict=True))
    want = laws_of(name).optimize(3e8, 2e10, target_weights=weights, **LIMITS[limits])
    starts = payload.make_starts(np.zeros(K), np.ones(K), 9, 0).tolist()
    model = as_model(want.laws, convex=want.proven, starts=starts, limits=plain(want))
    got = scripts.evaluate("([model, w]) => Simplex.optimum(model, 3e8, 2e10, w, null)", [model, w])
    assert got["excess"] == 0
    np.testing.assert_allclose(got["weights"], want.h, atol=1e-4)
    assert sum(got["weights"]) == pytest.approx(1.0, abs=1e-12)


def plain(optimum):
    return json.loads(embed(page_limits(optimum)))


def test_page_opens_at_the_reports_optimum(scripts, report):
    last = scripts.evaluate("Explore.last")
    np.testing.assert_array_equal(last["best"]["weights"], report.optimum.h)
    np.testing.assert_allclose(
        last["predicted"], list(report.optimum.predicted.values()), rtol=1e-9
    )
    model = payload.model(report)
    starts = [np.asarray(s).tolist() for s in model["starts"]]
    again = as_model(report.laws, convex=model["convex"], starts=starts, limits=None)
    got = scripts.evaluate(
        "([m, w]) => Simplex.optimum(m, 1e9, 1e11, w, null)", [again, [0.5, 0.5]]
    )
    np.testing.assert_allclose(got["weights"], report.optimum.h, atol=1e-4)


def test_hull_distance_equals_pythons(scripts):
    rng = np.random.default_rng(2)
    for k, count in ((3, 4), (5, 12), (8, 40)):
        points = rng.dirichlet(np.ones(k), count)
        for h in rng.dirichlet(0.5 * np.ones(k), 6):
            got = scripts.evaluate(
                "([points, h]) => Simplex.hullDistance(points, h)", [points.tolist(), h.tolist()]
            )
            assert got == pytest.approx(hull_distance(points, h), abs=1e-6)


@pytest.mark.parametrize("name", ["additive", "joint"])
def test_sliders_answer_within_50_ms(scripts, name):
    """Seventeen domains, nine targets; the quickest of some, since other work shares the cores."""
    k = 17
    laws = laws_of(name, k, 9)
    starts = payload.make_starts(np.zeros(k), np.ones(k), k + 4, 0).tolist()
    times = scripts.evaluate(
        """(model) => {
          const w = new Array(9).fill(1 / 9), times = [];
          let warm = null;
          for (let i = 0; i < 15; i++) {
            const from = performance.now();
            warm = Simplex.optimum(model, 1e8 * 1.1 ** i, 1e10, w, warm, true).weights;
            times.push(performance.now() - from);
          }
          return times;
        }""",
        as_model(laws, convex=False, starts=starts),
    )
    assert min(times) < 50, times


def test_embedded_parameters_are_exact(report):
    made = payload.model(report)
    assert made is not None
    for entry, law in zip(made["targets"], report.laws, strict=True):
        for name, value in law.params.items():
            np.testing.assert_array_equal(entry["params"][name], value)


def test_chinchilla_has_a_report_without_mixtures():
    laws, runs = study(LAWS["chinchilla"])
    report = make_report(laws, runs, resamples=0)
    assert report.optimum is None and not report.path and report.effects is None
    assert payload.proposal(report) is None and payload.model(report) is not None
    assert np.isfinite(report.predicted).all()


@pytest.mark.parametrize(
    ("law", "options"),
    [("additive+repetition", {}), ("additive", {"worst_case": "loss"})],
)
def test_no_sliders_for_what_the_page_cannot_compute(law, options):
    best, runs = proposal(get_law(law), **options)
    report = make_report(best, runs, resamples=0)
    assert payload.model(report) is None and payload.why_no_sliders(report)
