"""A simulated study as a report, its page, and a browser to open it in."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from jaxmix.fitting.simulate import random_truth, simulate_laws, true_laws
from jaxmix.fitting.uncertainty.ensemble import Ensemble
from jaxmix.fitting.uncertainty.model_error import ModelError
from jaxmix.laws import ADDITIVE
from jaxmix.report import Report, make_report, render

EVIL = "<script>window.hacked=1</script>"
DOMAINS = ("web", "code & more", EVIL)
TARGETS = ("web", "</script><img src=x onerror='window.hacked=2'>")
SCALE = {"n_params": [1e7, 1e8, 1e9], "tokens": [1e9, 1e10, 1e11]}
MIXTURES = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.4, 0.3, 0.3]]
)


def convex(own: int) -> dict[str, object]:
    """Parameters of an additive law that is convex in h; the domain ``own`` helps most."""
    c = np.full(3, 0.8)
    c[own] = 2.5
    powers = {"A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34}
    return {"E": 1.5, **powers, "C": c, "gamma": np.array([0.5, 0.6, 0.7])}


def study(law=ADDITIVE, domains=DOMAINS, targets=TARGETS, mixtures=MIXTURES):
    if law == ADDITIVE:
        params = {target: convex(i) for i, target in enumerate(targets)}
    else:
        drawn = random_truth(law, len(domains), 1, count=len(targets))
        params = dict(zip(targets, drawn, strict=True))
    scale = {"mixtures": mixtures, **SCALE}
    laws = true_laws(law, params, domains=domains, targets=targets, **scale)
    return laws, simulate_laws(laws, noise=0.003, **scale)


def jittered(laws, count: int = 16, share: float = 0.03) -> Ensemble:
    """Refits that were not fitted: true parameters with small random factors."""
    rng = np.random.default_rng(0)
    names = [p.name for p in laws[0].law.parameters]
    params = {}
    for name in names:
        value = np.stack([f.params[name] for f in laws])[:, None]
        shape = (len(laws), count, *value.shape[2:])
        params[name] = value * np.exp(share * rng.standard_normal(shape))
    return Ensemble(
        laws=laws,
        params=params,
        method="wild",
        cluster="mixture",
        clusters=7,
        model_error=ModelError.none(len(laws)),
    )


def proposal(law=ADDITIVE, constraints=None, **options):
    """The optimum of a study at its largest size and token count, and its run table."""
    laws, runs = study(law)
    return laws.optimize(1e9, 1e11, constraints, **options), runs


@pytest.fixture(scope="session")
def report() -> Report:
    best, runs = proposal()
    return make_report(
        best,
        runs,
        where="n_params < 5e8",
        ensemble=jittered(best.laws),
        provenance={"command": EVIL},
    )


@pytest.fixture(scope="session")
def page_file(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(report))
    return path


def browser_path() -> str | None:
    named = os.environ.get("JAXMIX_BROWSER")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return named or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = browser_path()
    if not path:
        pytest.skip("no chromium or google-chrome is on PATH, and JAXMIX_BROWSER names none")
    with sync.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser, page_file):
    """``open_page(**options)``: the report's page; what it logs or asks for fails the test."""
    contexts, trouble = [], []

    def call(path=page_file, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: trouble.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: trouble.append(request.url) if "file:" not in request.url else None,
        )
        page.goto(path.as_uri())
        return page

    yield call
    for context in contexts:
        context.close()
    assert not trouble, trouble
