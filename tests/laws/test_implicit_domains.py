"""The law of implicit domains: its values, its name, and that a fit recovers it."""

import numpy as np
import pytest

from jaxmix.fitting import fit, load_laws, save_laws
from jaxmix.laws import LAWS, fixed, get_law, implicit_domains, law_from_recipe, law_recipe
from jaxmix.runs import read_runs

H = np.random.default_rng(0).dirichlet(np.ones(3), 40)
DOMAINS = ("web", "code", "books")


def params(count):
    rng = np.random.default_rng(count)
    found = {"E": np.array(1.2)}
    for s in range(1, count + 1):
        found |= {f"C_{s}": rng.uniform(0.3, 1.0), f"gamma_{s}": rng.normal(size=3)}
    return found


def test_one_implicit_domain_is_m4():
    p = params(1)
    same = {"E": p["E"], "C": p["C_1"], "gamma": p["gamma_1"]}
    expected = LAWS["ye-m4"].loss(same, dict(n_params=1.0, tokens=1.0, weights=H))
    np.testing.assert_allclose(
        implicit_domains(1).loss(p, dict(n_params=1.0, tokens=1.0, weights=H)), expected, rtol=1e-6
    )


def test_it_is_the_sum_over_implicit_domains_that_ye_et_al_write():
    rng, shares = np.random.default_rng(5), np.array([0.5, 0.3, 0.2])
    c, k, t = rng.uniform(1, 2, 3), rng.uniform(0.2, 1, 3), rng.normal(size=(3, 3))
    expected = (shares * (c + k * np.exp(H @ t.T))).sum(1)
    p = {"E": shares @ c}
    for s in range(3):
        p |= {f"C_{s + 1}": shares[s] * k[s], f"gamma_{s + 1}": t[s]}
    law = implicit_domains(3)
    np.testing.assert_allclose(
        law.loss(p, dict(n_params=1.0, tokens=1.0, weights=H)), expected, rtol=1e-6
    )
    assert law.count(3) == len(law.names(DOMAINS)) == 13 and law.count_formula() == "4 + 3k"


def test_its_name_finds_it():
    law = implicit_domains(3)
    assert get_law("Ye_Implicit-3") == law != implicit_domains(2)
    for one in (law, fixed(law, {"E": 1.5})):
        recipe = law_recipe(one)
        assert recipe is not None and law_from_recipe(recipe) == one
    with pytest.raises(ValueError, match="S is the number of implicit domains, 1 to 30, not 31"):
        get_law("ye-implicit-31")
    with pytest.raises(ValueError, match="unknown law 'ye-implicit-S'"):
        get_law("ye-implicit-S")


def test_two_implicit_domains_are_recovered_and_their_file_loads(tmp_path):
    p = {"E": 1.2, "C_1": 0.8, "gamma_1": np.array([-3.0, 0.5, 0.0])}
    p |= {"C_2": 0.5, "gamma_2": np.array([0.5, -4.0, 0.3])}
    law = implicit_domains(2)
    losses = np.asarray(law.loss(p, dict(n_params=1.0, tokens=1.0, weights=H)), float)
    ones = np.ones(len(H))
    columns = {f"w_{name}": H[:, i] for i, name in enumerate(DOMAINS)}
    whole = {"n_params": ones, "tokens": ones, **columns, "loss_a": losses}
    runs = read_runs(whole, source="<made>")
    train, test = np.arange(40) < 25, np.arange(40) >= 25
    (found,) = fit(runs.select(train), law, restarts=16)
    np.testing.assert_allclose(
        found.predict(dict(n_params=1.0, tokens=1.0, weights=H[test])), losses[test], rtol=1e-5
    )
    save_laws(tmp_path / "law.json", [found])
    (back,) = load_laws(tmp_path / "law.json")
    np.testing.assert_array_equal(
        back.predict(dict(n_params=1, tokens=1, weights=H)),
        found.predict(dict(n_params=1, tokens=1, weights=H)),
    )
