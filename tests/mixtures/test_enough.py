"""How many mixtures are enough: recovery without noise, judgment against a grid, the answer."""

from dataclasses import replace

import numpy as np
import pytest

from jaxmix.fitting.simulate import true_laws
from jaxmix.laws import ADDITIVE_FIXED_ND
from jaxmix.mixtures import Enough, how_many
from jaxmix.mixtures.sequential.sample_size import _judge

SMALL = {"sizes": [1e8], "tokens": [1e9], "truths": 3, "restarts": 8, "counts": [6, 12, 24]}
BIG = (1e9, 1e10)


def fixed(**more) -> Enough:
    return how_many("additive-fixed-nd", 2, **{**SMALL, **more})


@pytest.fixture(scope="module")
def exact() -> Enough:
    return fixed(noise=0.0)


def test_without_noise_the_truth_is_found(exact):
    assert exact.counts == exact.runs == (6, 12, 24)
    assert exact.mre.shape == exact.regret.shape == (3, 3)
    assert exact.mre[1:].max() < 1e-3 and exact.regret[1:].max() < 1e-5
    assert exact.smallest(0.01) in (6, 12)
    assert (exact.n_params, exact.tokens) == BIG


def test_noise_costs_error(exact):
    noisy = fixed(noise=0.02)
    assert np.all(noisy.mre[-1] > exact.mre[-1])
    assert "3 truths" in noisy.notes[0]


def laws(c: float):
    params = {"E": 1.5, "C": np.array([2.0, c]), "gamma": np.array([0.5, 0.6])}
    given = {"mixtures": np.eye(2), "n_params": [1e8], "tokens": [1e9]}
    return true_laws(ADDITIVE_FIXED_ND, params, domains=("a", "b"), targets=["t0"], **given)


def test_regret_is_the_share_of_the_gain_that_is_lost():
    (true,), (wrong,) = laws(1.0), laws(2.5)
    grid = np.linspace(0, 1, 100_001)
    points = np.stack([grid, 1 - grid], 1)
    seen, guess = (
        true.predict(dict(zip(("n_params", "tokens"), BIG, strict=True), weights=points)),
        wrong.predict(dict(zip(("n_params", "tokens"), BIG, strict=True), weights=points)),
    )
    even = float(
        true.predict(dict(zip(("n_params", "tokens"), BIG, strict=True), weights=np.full(2, 0.5)))
    )
    expected = (seen[guess.argmin()] - seen.min()) / (even - seen.min())
    mre, regret = _judge([true], [wrong, true], BIG, 0.0, 0)
    assert regret[0] == pytest.approx(expected, rel=1e-3) and expected > 0.1
    assert mre[0] > 1 and mre[1] == 0 and regret[1] < 1e-9
    capped = _judge([true], [wrong], BIG, 1.0, 0)[1]  # a gain within the noise counts as noise
    assert capped[0] == pytest.approx(expected * (even - seen.min()) / even, rel=1e-3)


def test_truths_of_ones_own():
    truths = [replace(f, target="web") for f in laws(1.0)]
    found = fixed(truths=truths * 3, noise=0.0)
    assert found.notes == () and found.mre.shape == (3, 3)
    with pytest.raises(ValueError, match="over 3 domains"):
        how_many(ADDITIVE_FIXED_ND, 3, **{**SMALL, "truths": truths, "counts": [9]})


def test_the_answer_holds_from_there_on():
    lost = np.array([[0.005, 0.5], [0.005, 0.005], [0.005, 0.02], [0.001, 0.002], [0.0, 0.009]])
    counts = (5, 8, 12, 20, 30)
    made = Enough("additive", 2, counts, counts, lost, lost, 1e9, 1e10, 0.003, ())
    assert made.smallest(0.01) == 20
    assert made.smallest(0.03) == 8
    assert made.smallest(1e-4) is None
    assert made.smallest(0.01, share=0.5) == 5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"counts": [2, 6]}, "2 mixtures are too few"),
        ({"noise": -1.0}, "noise"),
        ({"truths": 0}, "truths must be"),
        ({"law": "additive"}, "n_params: at one value"),
        ({"law": "chinchilla"}, "does not look at the whole mixture"),
        ({"domains": 1}, "at least 2 domains"),
    ],
)
def test_refused(more, message):
    given = {"law": "additive-fixed-nd", "domains": 2, **SMALL, **more}
    with pytest.raises(ValueError, match=message):
        how_many(given.pop("law"), given.pop("domains"), **given)
