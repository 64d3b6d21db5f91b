"""How many mixtures to run: recovery without noise, judgment against a grid, the answer."""

from dataclasses import replace

import numpy as np
import pytest

from jaxmix.fitting import FittedLaws
from jaxmix.fitting.simulate import true_laws
from jaxmix.laws import ADDITIVE_FIXED_ND
from jaxmix.mixtures import Constraints, SampleSize, sample_size
from jaxmix.mixtures.sequential.sample_size import judge

SMALL = {"sizes": [1e8], "tokens": [1e9], "truths": 3, "restarts": 8, "counts": [6, 12, 24]}
BIG = (1e9, 1e10)


def fixed(**more) -> SampleSize:
    return sample_size("additive-fixed-nd", 2, **{**SMALL, **more})


@pytest.fixture(scope="module")
def exact() -> SampleSize:
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
    true, wrong = laws(1.0), laws(2.5)
    grid, x = np.linspace(0, 1, 100_001), {"n_params": BIG[0], "tokens": BIG[1]}
    points = np.stack([grid, 1 - grid], 1)
    seen, guess = (f[0].predict(x | {"weights": points}) for f in (true, wrong))
    even = float(true[0].predict(x | {"weights": np.full(2, 0.5)}))
    expected = (seen[guess.argmin()] - seen.min()) / (even - seen.min())
    both = FittedLaws([*wrong, replace(true[0], target="t1")])
    mre, regret = judge(true, both, BIG, noise=0.0)
    assert regret[0] == pytest.approx(expected, rel=1e-3) and expected > 0.1
    assert mre[0] > 1 and mre[1] == 0 and regret[1] < 1e-9
    capped = judge(true, wrong, BIG, noise=1.0)[1]  # a gain within the noise counts as noise
    assert capped[0] == pytest.approx(expected * (even - seen.min()) / even, rel=1e-3)
    high = grid >= 0.9  # a constraint holds the optimum of the truth and of the fit
    limits = Constraints(minimum={"a": 0.9})
    bound = judge(true, wrong, BIG, noise=0.0, constraints=limits)[1]
    lost = seen[high][guess[high].argmin()] - seen[high].min()
    assert bound[0] == pytest.approx(max(lost, 0) / max(even - seen[high].min(), 1e-12), abs=1e-3)


def test_truths_of_ones_own():
    truths = [replace(f, target="web") for f in laws(1.0)]
    found = fixed(truths=truths * 3, noise=0.0)
    assert found.notes == () and found.mre.shape == (3, 3)
    with pytest.raises(ValueError, match="over 3 domains"):
        sample_size(ADDITIVE_FIXED_ND, 3, **{**SMALL, "truths": truths, "counts": [9]})


def test_the_answer_holds_from_there_on():
    lost = np.array([[0.005, 0.5], [0.005, 0.005], [0.005, 0.02], [0.001, 0.002], [0.0, 0.009]])
    counts = (5, 8, 12, 20, 30)
    made = SampleSize(
        law="additive",
        domains=2,
        counts=counts,
        runs=counts,
        mre=lost,
        regret=lost,
        n_params=1e9,
        tokens=1e10,
        noise=0.003,
        notes=(),
    )
    assert made.smallest() == made.to_dict()["mixtures"] == 20
    assert "20 mixtures are enough" in made.summary()
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
        ({"law": "chinchilla"}, "does not read the mixture"),
        ({"domains": 1}, "at least 2 domains"),
    ],
)
def test_refused(more, message):
    given = {"law": "additive-fixed-nd", "domains": 2, **SMALL, **more}
    with pytest.raises(ValueError, match=message):
        sample_size(given.pop("law"), given.pop("domains"), **given)
