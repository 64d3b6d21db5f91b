"""The recommendation: as good as the law where runs are wide, near the runs where they are not."""

from typing import Any

import numpy as np
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.fitting import bootstrap, fit
from jaxmix.fitting.simulate import simulate_laws, true_laws
from jaxmix.laws import ADDITIVE
from jaxmix.mixtures import Constraints, dirichlet_design, optimize, recommend, recommend_mixture

SCALE: dict[str, Any] = {"n_params": [1e7, 3e7, 1e8], "tokens": [1e9, 4e9]}
POWERS = {"E": 1.5, "A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34}
MIXES = {
    "x": {"C": np.array([2.5, 0.6, 0.8]), "gamma": np.array([0.5, 0.6, 0.7])},
    "y": {"C": np.array([0.7, 2.0, 0.5]), "gamma": np.array([0.6, 0.5, 0.8])},
}
BIG = (1e9, 4e10)


def study(mixtures: np.ndarray, noise: float = 0.002):
    """The truth and its runs."""
    params = {t: {**POWERS, **MIXES[t]} for t in "xy"}
    given = {"domains": ("web", "code", "books"), "mixtures": mixtures, "targets": "xy", **SCALE}
    truth = true_laws(ADDITIVE, params, **given)
    return truth, simulate_laws(truth, mixtures=mixtures, noise=noise, **SCALE)


def refits(runs):
    laws = fit(runs, ADDITIVE, restarts=8)
    return laws, bootstrap(laws, runs, resamples=100, restarts=8)


@pytest.fixture(scope="module")
def wide():
    truth, runs = study(dirichlet_design(3, 16, seed=1))
    return truth, runs, *refits(runs)


def regret(truth, h: np.ndarray) -> float:
    best = optimize(truth, *BIG, Constraints(within="anywhere"))
    x = {"n_params": BIG[0], "tokens": BIG[1], "weights": h[None]}
    return float(truth.predict(x).to_numpy().mean() - best.objective)


def test_where_the_law_is_right_the_recommendation_loses_little(wide) -> None:
    truth, runs, laws, ensemble = wide
    found = recommend_mixture(
        optimize(laws, *BIG, Constraints(within="range")), ensemble, runs,
        baselines={"mine": {"web": 0.2, "code": 0.2, "books": 0.6}},
    )  # fmt: skip
    assert regret(truth, found.h) < 0.3 * regret(truth, np.full(3, 1 / 3))
    assert regret(truth, found.h) < regret(truth, found.baselines["best run"]) + 1e-3
    for name, gain in found.gains.items():
        x = {"n_params": BIG[0], "tokens": BIG[1]}
        at = {**x, "weights": np.stack([found.baselines[name], found.h])}
        true = truth.predict({k: np.broadcast_to(v, (2, *np.shape(v)[1:])) for k, v in at.items()})
        assert gain.low - 2e-3 <= -np.diff(true.to_numpy().mean(1))[0] <= gain.high + 2e-3
    assert set(found.by_target["mine"]) == {"x", "y"}
    assert list(found.to_frame().columns[:2]) == ["recommended", "law alone"]


def test_it_stays_inside_what_was_run_and_says_what_the_law_would_do() -> None:
    narrow = 0.2 * dirichlet_design(3, 14, seed=2) + [0.1, 0.2, 0.5]
    _, runs = study(narrow)
    laws, ensemble = refits(runs)
    found = recommend_mixture(optimize(laws, *BIG, Constraints(within="range")), ensemble, runs)
    assert np.all(found.h >= narrow.min(0) - 1e-9) and np.all(found.h <= narrow.max(0) + 1e-9)
    assert np.abs(found.law_optimum.h - found.h).max() > 0.1
    assert any("the law alone would choose" in note for note in found.notes)
    assert "jaxmix next" in found.next_step
    hull = recommend_mixture(optimize(laws, *BIG, Constraints(within="hull")), ensemble, runs)
    assert np.all(hull.h >= narrow.min(0) - 1e-6)


def test_more_noise_never_leads_farther_from_the_baseline(wide) -> None:
    _, runs, laws, ensemble = wide
    optimum = optimize(laws, *BIG, Constraints(within="range"))
    bold, careful = (recommend_mixture(optimum, ensemble, runs, confidence=c) for c in (0.6, 0.99))

    def distance(found):
        return np.linalg.norm(found.h - found.baselines[found.anchor])

    assert distance(careful) <= distance(bold) + 1e-3


def test_constraints_hold(wide) -> None:
    _, runs, laws, ensemble = wide
    limits = Constraints(
        maximum={"code": 0.3}, linear=["web + books >= 0.75"], guards={"x": 0.01},
        reference={"web": 0.4, "code": 0.2, "books": 0.4}, within="range",
    )  # fmt: skip
    found = recommend_mixture(optimize(laws, *BIG, limits), ensemble, runs)
    assert found.h[1] <= 0.25 + 1e-6
    x = {"n_params": BIG[0], "tokens": BIG[1]}
    at, reference = (laws["x"].predict({**x, "weights": h}) for h in (found.h, [0.4, 0.2, 0.4]))
    assert at <= reference + 0.01 + 1e-6


def test_a_table_goes_in_and_a_mixture_comes_out(wide) -> None:
    _, runs, _, _ = wide
    said: list[str] = []
    found = recommend(
        runs, *BIG, law="additive", resamples=60, progress=lambda label, *_: said.append(label)
    )
    assert sum(found.weights.values()) == pytest.approx(1.0)
    assert {"uniform", "best run"} <= set(found.gains) and set(said) == {"fitting", "refitting"}
    assert found.optimum.constraints.within == "range"
    assert found.headline in found.summary() and found.headline in repr(found)


def test_one_mixture_says_nothing_about_others() -> None:
    _, runs = study(np.tile([0.3, 0.3, 0.4], (1, 1)))
    with pytest.raises(JaxmixError, match="all rows have one mixture"):
        recommend(runs, *BIG)


def test_outside_only_on_request_and_then_the_headline_says_so(wide) -> None:
    _, runs, laws, ensemble = wide
    limits = Constraints(minimum={"books": 0.95}, within="range")
    found = recommend_mixture(optimize(laws, *BIG, limits), ensemble, runs)
    inside = recommend_mixture(optimize(laws, *BIG, Constraints(within="range")), ensemble, runs)
    assert "outside what was run" in found.headline and found.h[2] >= 0.95 - 1e-9
    assert "outside" not in inside.headline
