"""Laws by name, from a file, and one of your own that fits."""

import numpy as np
import pytest

from jaxmix.fitting import fit, simulate
from jaxmix.laws import JOINT, LAWS, get_law


def test_names_are_the_keys_and_every_law_says_what_it_is():
    assert [law.name for law in LAWS.values()] == list(LAWS)
    for law in LAWS.values():
        assert law.formula and law.source and set(law.uses) <= {"n_params", "tokens", "weights"}


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("joint", "joint"),
        ("JOINT", "joint"),
        ("Additive_Fixed_ND", "additive-fixed-nd"),
        ("additive-fixed_n", "additive-fixed-n"),
        ("Ye_M3", "ye-m3"),
    ],
)
def test_spellings(spelling, name):
    assert get_law(spelling) is LAWS[name]


@pytest.mark.parametrize("name", ["", "jiont", "joint ", "laws.py"])
def test_an_unknown_name_lists_those_there_are(name):
    with pytest.raises(ValueError, match="unknown law") as error:
        get_law(name)
    message = str(error.value)
    assert repr(name) in message and "FILE.py:VARIABLE" in message and "\n" not in message
    assert all(known in message for known in LAWS)


OWN = """import jax.numpy as jnp
from jaxmix.laws import JOINT, Law, Parameter

POWER = Law(
    "power",
    (Parameter("E"), Parameter("C", "domain"), Parameter("beta", support="unit")),
    loss=lambda p, n, d, h: p["E"] + jnp.sum(p["C"] * h, -1) * (d / 1e9) ** -p["beta"],
    uses=("tokens", "weights"),
)
AGAIN = JOINT
TEXT = "no law"
"""


@pytest.fixture
def own_file(tmp_path):
    path = tmp_path / "my_laws.py"
    path.write_text(OWN)
    return path


def test_a_law_from_a_file(own_file):
    law = get_law(f"{own_file}:POWER")
    assert (law.name, law.count(3), law.count_formula()) == ("power", 5, "2 + k")
    assert get_law(f"{own_file}:AGAIN") is JOINT


@pytest.mark.parametrize("variable", ["TEXT", "ABSENT", "Law", ""])
def test_a_file_without_that_law(own_file, variable):
    with pytest.raises(ValueError, match=rf"my_laws.py: '{variable}' is not a jaxmix.laws.Law"):
        get_law(f"{own_file}:{variable}")


def test_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"absent.py: no such file; .* FILE.py:VARIABLE"):
        get_law(f"{tmp_path / 'absent.py'}:POWER")


def test_ten_lines_make_a_law_that_fits(own_file):
    """No sampler of starts, no units: only parameters and a loss."""
    law = get_law(f"{own_file}:POWER")
    truth = {"E": 1.7, "C": [0.8, 2.0], "beta": 0.35}
    runs = simulate(
        law,
        truth,
        domains=["a", "b"],
        mixtures=[[1, 0], [0.6, 0.4], [0.2, 0.8], [0, 1]],
        n_params=[1e8],
        tokens=[1e9, 3e9, 1e10, 1e11],
        targets=["a"],
    )
    (found,) = fit(runs, law, restarts=8, solver="gauss-newton")
    for name, value in truth.items():
        np.testing.assert_allclose(found.params[name], value, rtol=1e-6)
