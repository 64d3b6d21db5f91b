"""Laws by name, from a file, and one of your own that fits."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.fitting import budget_inputs, fit, simulate
from jaxmix.laws import JOINT, LAWS, TOKENS, WEIGHTS, Input, Law, Parameter, get_law


def test_names_are_the_keys_and_every_law_says_what_it_is():
    assert [law.name for law in LAWS.values()] == list(LAWS)
    for law in LAWS.values():
        assert law.formula and law.source
        assert {i.name for i in law.inputs} <= {"n_params", "tokens", "weights"}


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
from jaxmix.laws import JOINT, TOKENS, WEIGHTS, Law, Parameter

POWER = Law(
    "power",
    (Parameter("E"), Parameter("C", "domain"), Parameter("beta", support="unit")),
    loss=lambda p, x: p["E"]
    + jnp.sum(p["C"] * x["weights"], -1) * (x["tokens"] / 1e9) ** -p["beta"],
    inputs=(TOKENS, WEIGHTS),
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


# --- laws that check themselves ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Law("x", (Parameter("E"), Parameter("E")), flat), "'E' is declared twice"),
        (lambda: Law("x", (Parameter("E"),), flat, (TOKENS, TOKENS)), "'tokens' is declared twice"),
        (lambda: Law("x", (Parameter("A"),), flat), "parameter 'E', which it does not declare"),
        (lambda: Law("x", (Parameter("E"),), by_tokens, (WEIGHTS,)), "reads the input 'tokens'"),
        (lambda: Law("x", (Parameter("E"),), by_domain), r"has shape \(5, 2\)"),
        (lambda: Parameter("E", "matrix"), "shape is"),
        (lambda: Parameter("E", low=2.0, high=1.0), "not below high"),
    ],
)
def test_a_law_that_contradicts_itself_is_refused(make, message):
    with pytest.raises(JaxmixError, match=message):
        make()


def flat(p, x):
    return p["E"]


def by_tokens(p, x):
    return p["E"] * x["tokens"]


def by_domain(p, x):
    return p["E"] * x["weights"]


def test_convexity_belongs_to_the_loss_and_not_to_the_name():
    """A copy with another loss, or a law that only shares the name, claims nothing."""
    at = {"C": np.ones(2), "gamma": np.full(2, 0.5)}
    assert LAWS["additive"].convex(at) is None
    assert "gamma is above 1" in LAWS["additive"].convex({**at, "gamma": np.array([0.5, 2.0])})
    renamed = dataclasses.replace(LAWS["additive"], name="mine")
    assert renamed.convex(at) is None
    changed = dataclasses.replace(LAWS["additive"], loss=flat)
    assert "does not say" in changed.convex(at)
    assert "does not say" in Law("ye-m2", (Parameter("E"),), flat).convex(at)


def test_an_input_of_its_own_is_a_column_and_ten_lines():
    """The learning rate: read from the table by name, in fit, score and predict."""
    law = Law(
        "tuned",
        (Parameter("E"), Parameter("B"), Parameter("beta"), Parameter("c"), Parameter("best")),
        loss=lambda p, x: (
            p["E"]
            + p["B"] * (x["tokens"] / 1e9) ** -p["beta"]
            + p["c"] * jnp.log(x["learning_rate"] / p["best"]) ** 2
        ),
        inputs=(TOKENS, Input("learning_rate")),
    )
    truth = {"E": 1.7, "B": 1.2, "beta": 0.3, "c": 0.05, "best": 2.0}
    grid = [(d, r) for d in (1e9, 3e9, 1e10, 1e11) for r in (0.5, 1.0, 3.0, 8.0)]
    columns = dict(zip(("tokens", "learning_rate"), np.array(grid).T, strict=True))
    loss = np.asarray(law.loss(truth, columns))
    frame = pd.DataFrame({"n_params": 1e8, **columns, "w_a": 1.0, "loss_a": loss})
    laws = fit(frame, law, restarts=16)
    for name, value in truth.items():
        np.testing.assert_allclose(laws["a"].params[name], value, rtol=1e-4)
    np.testing.assert_allclose(laws.predict(frame)["a"], loss, rtol=1e-6)
    assert laws["a"].data.others == {"learning_rate": (0.5, 8.0)}
    with pytest.raises(JaxmixError, match="column 'learning_rate' is missing"):
        laws.predict(frame.drop(columns="learning_rate"))
    with pytest.raises(JaxmixError, match="give --at learning_rate="):
        budget_inputs(law, ("a",), 1e8, 1e10)
    x = budget_inputs(law, ("a",), 1e8, 1e10, at={"learning_rate": 2.0})
    assert laws["a"].predict(x) == pytest.approx(1.7 + 1.2 * 10**-0.3, rel=1e-4)
