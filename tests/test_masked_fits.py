"""What experiments on tables share: laws of one size, deals of mixtures, quartiles."""

import numpy as np
import pytest

from experiments import masked_fits
from jaxmix.laws import get_law
from jaxmix.runs import read_runs


@pytest.mark.parametrize("name", ["additive", "joint", "simple"])
def test_a_law_of_one_size_is_the_law_at_infinite_size(name):
    own, law, k = masked_fits.at_one_size(name), get_law(name), 3
    rng = np.random.default_rng(0)
    full = law.from_working(rng.normal(size=law.count(k)).astype(np.float32), k)
    params = {p.name: full[p.name] for p in own.parameters}
    tokens, weights = rng.uniform(1, 3, 5), rng.dirichlet(np.ones(k), 5)
    wanted = law.loss(full, dict(n_params=np.inf, tokens=tokens, weights=weights))
    np.testing.assert_allclose(
        own.loss(params, dict(n_params=2.0, tokens=tokens, weights=weights)), wanted, rtol=1e-5
    )
    scaled = own.loss(
        own.rescale(params, 7.0, 4.0), dict(n_params=2.0, tokens=tokens / 4.0, weights=weights)
    )
    np.testing.assert_allclose(scaled, wanted, rtol=1e-4)
    assert own.count(k) < law.count(k)
    assert masked_fits.at_one_size(name) is own  # or every call would compile anew


def test_a_law_of_one_point_is_the_law_at_infinite_size_and_tokens():
    own, law = masked_fits.at_one_point("simple"), get_law("simple")
    params = {"E": 1.5, "A": 2.0, "alpha": 0.3, "B": 3.0, "beta": 0.3, "gamma": -0.5}
    params["C"] = np.array([1.0, 2.0, 4.0])
    weights = np.random.default_rng(0).dirichlet(np.ones(3), 5)
    wanted = law.loss(params, dict(n_params=np.inf, tokens=np.inf, weights=weights))
    free = {p.name: params[p.name] for p in own.parameters}
    np.testing.assert_allclose(own.loss(free, dict(weights=weights)), wanted, rtol=1e-6)
    assert own.count(3) == law.count(3) - 4


def test_deals_keep_mixtures_whole_and_grow_from_one_order():
    import pandas as pd

    mixture = np.repeat(np.arange(5), 4)
    weights = {"w_a": 0.1 + 0.2 * mixture, "w_b": 0.9 - 0.2 * mixture}
    runs = read_runs(
        pd.DataFrame({"n_params": 1e6, "tokens": np.tile([1e6, 2e6, 3e6, 4e6], 5), "loss": 3.0})
        .assign(**weights)
        .assign(run=[f"r{m}" for m in mixture])
    )
    rows = runs.tokens > 1e6
    few, many = masked_fits.deal(runs, (2, 4), 1, rows)
    for deal, count in ((few, 2), (many, 4)):
        assert len(set(mixture[deal.fitted])) == count
        assert not set(mixture[deal.fitted]) & set(mixture[deal.unseen])
        np.testing.assert_array_equal(deal.fitted | deal.unseen, rows)
    assert set(mixture[few.fitted]) < set(mixture[many.fitted])


def test_an_infinite_prediction_counts_and_a_missing_fit_does_not():
    import pandas as pd

    runs = read_runs(pd.DataFrame({"n_params": 1e6, "tokens": [1e6, 2e6], "loss_a": 2.0}))
    rows = np.array([True, True])
    assert masked_fits.errors(runs, "a", np.array([2.2, 1.9]), rows) == pytest.approx(7.5)
    assert masked_fits.errors(runs, "a", np.array([np.inf, 2.0]), rows) == np.inf
    assert np.isnan(masked_fits.errors(runs, "a", np.array([np.nan, np.nan]), rows))
    found = masked_fits.quartiles([1.0, np.inf, np.nan, 2.0, 3.0, np.inf])
    assert found == {"lower": 2.0, "median": 3.0, "upper": np.inf}
