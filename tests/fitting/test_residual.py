"""The residual learns a smooth misfit, leaves noise alone, and knows what it does not know."""

import numpy as np
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.fitting import fit, simulate
from jaxmix.fitting.residual import _leave_one_out, _matern, _squares, fit_residual
from jaxmix.laws import ADDITIVE_FIXED_ND
from jaxmix.runs import read_runs

TRUTH = {"E": 2.0, "C": [3.0, 1.0, 2.0], "gamma": [0.5, 0.6, 0.4]}
TARGETS = ("x", "y")


def study(count, seed, misfit, noise):
    """Mixtures at one budget; target x follows the law but for a misfit, y follows it."""
    rng = np.random.default_rng(seed)
    runs = simulate(
        ADDITIVE_FIXED_ND,
        dict.fromkeys(TARGETS, TRUTH),
        domains=["a", "b", "c"],
        targets=TARGETS,
        mixtures=rng.dirichlet(np.ones(3), count),
        n_params=[1e8],
        tokens=[1e10],
    )
    frame = runs.frame.copy()
    frame["loss_x"] += misfit * np.sin(5 * frame["w_a"]) * np.cos(4 * frame["w_b"])
    frame[["loss_x", "loss_y"]] += noise * rng.normal(size=(count, 2))
    return read_runs(frame)


@pytest.fixture(scope="module")
def bent():
    runs = study(60, 0, 0.1, 0.004)
    return runs, fit(runs, "additive-fixed-nd", restarts=8)


def test_a_smooth_misfit_is_learned_at_mixtures_not_seen(bent):
    runs, laws = bent
    found, other = fit_residual(laws, runs), study(80, 1, 0.1, 0.0)
    assert found is not None and found.used.tolist()[0] and found.corrected[0] < found.error[0]
    missed = other.losses(TARGETS) - laws.predict(other).to_numpy().T
    left = missed - found.mean(other.weights)
    assert np.std(left[0]) < 0.5 * np.std(missed[0])
    within = np.abs(left[0]) < 2 * found.sd(other.weights)[0]
    assert within.mean() > 0.85 and found.sd(other.weights)[0].max() < 0.1
    assert found.mean(other.weights.reshape(4, 20, 3)).shape == (2, 4, 20)


def test_noise_alone_has_no_residual():
    used = []
    for seed in range(4):
        runs = study(40, seed, 0.0, 0.01)
        found = fit_residual(fit(runs, "additive-fixed-nd", restarts=4), runs)
        used += [False, False] if found is None else found.used.tolist()
    assert np.mean(used) <= 0.25


def test_what_is_not_used_adds_nothing_and_has_the_laws_error(bent):
    runs, laws = bent
    errors = np.stack([np.full(len(runs), 0.5), np.full(len(runs), 1e-9)])
    found = fit_residual(laws, runs, errors)
    assert found is not None and found.used.tolist() == [True, False]
    assert (found.mean(runs.weights)[1] == 0).all()
    np.testing.assert_allclose(found.sd(runs.weights)[1], 1e-9)
    assert fit_residual(laws, runs, 0.0 * errors) is None
    assert fit_residual(laws, runs.select(np.arange(60) < 11)) is None
    with pytest.raises(JaxmixError, match="left_out must be"):
        fit_residual(laws, runs, errors[:, :5])


def test_domains_are_joined_by_name(bent):
    runs, laws = bent
    columns = [c for c in runs.frame if not c.startswith("w_")]
    turned = read_runs(runs.frame[[*columns, "w_c", "w_a", "w_b"]])
    same = [fit_residual(laws, table).mean(runs.weights) for table in (runs, turned)]
    np.testing.assert_allclose(*same, atol=1e-12)


def test_leaving_one_out_in_closed_form_is_leaving_one_out():
    rng = np.random.default_rng(2)
    h, z, slopes = rng.dirichlet(np.ones(3), 15), rng.normal(size=15), rng.normal(size=(15, 2))
    kernel, noise = _matern(_squares(h, h), 0.4), 0.3
    found = _leave_one_out(np.linalg.eigh(kernel), noise, z, slopes)
    full = kernel + noise * np.eye(15) + 0.5 * (1 + noise) * slopes @ slopes.T
    np.testing.assert_allclose(found.inverse(), np.linalg.inv(full), atol=1e-9)
    parts = np.arange(15) % 4
    at, rest = parts == 1, parts != 1
    weights = np.linalg.solve(full[np.ix_(rest, rest)], full[np.ix_(rest, at)])
    np.testing.assert_allclose(found.parts(parts)[at], z[at] - weights.T @ z[rest], atol=1e-9)
    for i in range(15):
        others = np.arange(15) != i
        weights = np.linalg.solve(full[np.ix_(others, others)], full[others, i])
        assert found.error[i] == pytest.approx(z[i] - weights @ z[others])
        assert found.variance[i] == pytest.approx(full[i, i] - weights @ full[others, i])
