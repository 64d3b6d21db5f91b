"""Simulated studies: what they hold, their noise, and plausible truths for every law."""

import numpy as np
import pytest

from jaxmix.fitting.scores import score
from jaxmix.fitting.simulate import random_truth, simulate, simulate_laws, true_laws
from jaxmix.laws import ADDITIVE, GE, LAWS

DOMAINS = ("a", "b", "c")
MIXTURES = np.vstack([np.eye(3), np.full((1, 3), 1 / 3)])
SCALE = {"mixtures": MIXTURES, "n_params": [1e7, 1e9], "tokens": [1e9, 1e10, 1e11]}


def study(law, targets=("a",), **options):
    drawn = random_truth(law, 3, 0, count=len(targets))
    params = dict(zip(targets, drawn, strict=True))
    return params, simulate(law, params, domains=DOMAINS, targets=targets, **SCALE, **options)


def test_runs_are_trajectories():
    _, runs = study(ADDITIVE, replicates=2, noise=0.01)
    assert len(runs) == 2 * 4 * 2 * 3 and runs.domains == DOMAINS
    for _, rows in runs.frame.groupby("run"):
        assert rows["tokens"].tolist() == SCALE["tokens"]
        assert rows[["n_params", "seed", "w_a", "w_b", "w_c"]].drop_duplicates().shape[0] == 1
    assert set(runs.frame["seed"]) == {0, 1}


QUICK = ("additive", "ge")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in LAWS]
)
def test_every_law_has_a_plausible_truth(name):
    law, k = LAWS[name], 4
    domains = tuple(f"d{i}" for i in range(k))
    (params,) = random_truth(law, k, 0)
    scale = {**SCALE, "mixtures": np.vstack([np.eye(k), np.full((1, k), 1 / k)])}
    truth = true_laws(law, {"d0": params}, domains=domains, targets=["d0"], **scale)
    runs = simulate_laws(truth, **scale)
    losses = runs.losses()[0]
    assert np.nanmin(losses) > 1.5 and np.nanmax(losses) < 6
    found = score(truth, runs)["d0"]
    assert found.mre == 0 and found.rows == np.isfinite(losses).sum() and found.diverged == 0


def test_noise_is_relative_and_belongs_to_the_seed():
    _, exact = study(ADDITIVE)
    noisy = [study(ADDITIVE, noise=0.01, seed=s, replicates=20)[1] for s in (0, 0, 1)]
    np.testing.assert_array_equal(noisy[0].losses(), noisy[1].losses())
    assert (noisy[0].losses() != noisy[2].losses()).all()
    shape = (2, 4, 20, 3)
    ratio = noisy[0].losses().reshape(shape) / exact.losses().reshape(2, 4, 1, 3)
    assert np.std(np.log(ratio)) == pytest.approx(0.01, rel=0.1)


def test_a_law_that_diverges_leaves_losses_missing():
    _, runs = study(GE, ("a", "b"))
    missing = np.isnan(runs.losses(["a"])[0])
    np.testing.assert_array_equal(missing, runs.weights[:, 0] == 0)


def test_one_target_takes_bare_parameters():
    params, runs = study(ADDITIVE)
    again = simulate(ADDITIVE, params["a"], domains=DOMAINS, targets=["a"], **SCALE)
    np.testing.assert_array_equal(runs.losses(), again.losses())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mixtures": np.eye(2)}, r"mixtures must be \[q, 3\]"),
        ({"targets": ["a", "z"]}, "no parameters for target 'z'"),
        ({"targets": []}, "at least one target"),
        ({"noise": -1.0}, "noise must be at least 0"),
        ({"replicates": 0}, "replicates at least 1"),
    ],
)
def test_bad_studies(change, message):
    params = {"a": random_truth(ADDITIVE, 3, 0)[0]}
    with pytest.raises(ValueError, match=message):
        simulate(ADDITIVE, params, **{"domains": DOMAINS, "targets": ["a"], **SCALE, **change})


def test_bad_parameters():
    params = dict(random_truth(ADDITIVE, 3, 0)[0])
    del params["C"]
    with pytest.raises(ValueError, match="parameter 'C' of target 'a'"):
        simulate(ADDITIVE, params, domains=DOMAINS, targets=["a"], **SCALE)
    with pytest.raises(ValueError, match="own weight"):
        simulate(GE, {}, domains=DOMAINS, targets=["z"], **SCALE)
