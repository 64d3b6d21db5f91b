"""Law files: bit-equal round trips, readable, and one line for whatever is wrong with one."""

import json

import jax
import numpy as np
import pytest

from jaxmix.files import write_text
from jaxmix.fitting.files import load_laws, save_laws
from jaxmix.fitting.fitted import DataRange, FitReport, FittedLaw
from jaxmix.laws import LAWS, N_PARAMS, Law, Parameter

DOMAINS = ("web", "code:py", "book s")
REPORT = FitReport(1.7e-5, 3e-9, 12, 64, 9, ("C[web]",), float("nan"), notes=("a note", "another"))


def fitted(law, target="web", seed=0, mixtures=None):
    k = len(DOMAINS)
    working = np.random.default_rng(seed).normal(size=law.count(k))
    with jax.enable_x64(True):
        params = {name: np.asarray(v) for name, v in law.from_working(working, k).items()}
    mixtures = np.random.default_rng(1).dirichlet(np.ones(3), 5) if mixtures is None else mixtures
    return FittedLaw(
        law, target, DOMAINS, params, DataRange((1e7, 1e9), (1e9, 3e10), mixtures), REPORT
    )


@pytest.mark.parametrize("name", LAWS)
def test_predictions_after_loading_are_bit_equal(tmp_path, name):
    laws = [fitted(LAWS[name], "web", 0), fitted(LAWS[name], "code:py", 1)]
    save_laws(tmp_path / "law.json", laws)
    back = load_laws(tmp_path / "law.json")
    weights = np.random.default_rng(2).dirichlet(np.ones(3), 9)
    n, d = np.geomspace(1e6, 1e12, 9), np.geomspace(1e8, 1e13, 9)
    for before, after in zip(laws, back, strict=True):
        assert (after.law, after.target, after.domains) == (before.law, before.target, DOMAINS)
        np.testing.assert_array_equal(
            after.predict(dict(n_params=n, tokens=d, weights=weights)),
            before.predict(dict(n_params=n, tokens=d, weights=weights)),
        )
        for p in before.law.parameters:
            np.testing.assert_array_equal(after.params[p.name], before.params[p.name])


def test_everything_else_comes_back(tmp_path):
    save_laws(tmp_path / "law.json", [fitted(LAWS["joint"])], {"runs": "r.csv", "where": None})
    (back,) = load_laws(tmp_path / "law.json")
    assert np.isnan(back.report.condition)
    np.testing.assert_equal(vars(back.report), vars(REPORT))
    assert (back.data.n_params, back.data.tokens) == ((1e7, 1e9), (1e9, 3e10))
    np.testing.assert_array_equal(back.data.mixtures, fitted(LAWS["joint"]).data.mixtures)


def test_mixtures_stand_once_in_the_file(tmp_path):
    mixtures = np.random.default_rng(1).dirichlet(np.ones(3), 4)
    parts = [mixtures[[0, 1, 2]], mixtures[[3, 1]], np.empty((0, 3))]
    laws = [fitted(LAWS["additive"], f"t{i}", i, part) for i, part in enumerate(parts)]
    save_laws(tmp_path / "law.json", laws)
    document = json.loads((tmp_path / "law.json").read_text())
    assert {len(column) for column in document["mixtures"].values()} == {4}
    for part, back in zip(parts, load_laws(tmp_path / "law.json"), strict=True):
        np.testing.assert_array_equal(back.data.mixtures, part)


def test_the_file_is_for_people_and_strict_json(tmp_path):
    save_laws(tmp_path / "law.json", [fitted(LAWS["joint"])], {"runs": "r.csv"})
    text = (tmp_path / "law.json").read_text()
    document = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert document["law"]["formula"].startswith("E + 1/sum_i") and text.endswith("}\n")
    assert document["provenance"] == {"runs": "r.csv"}
    params = document["targets"]["web"]["params"]
    assert isinstance(params["E"], float) and set(params["C"]) == set(DOMAINS)


def test_domains_join_by_name_not_by_place(tmp_path):
    law = fitted(LAWS["additive"])
    save_laws(tmp_path / "law.json", [law])
    document = json.loads((tmp_path / "law.json").read_text())
    document["domains"] = document["domains"][::-1]
    (tmp_path / "law.json").write_text(json.dumps(document))
    (back,) = load_laws(tmp_path / "law.json")
    weights = np.array([0.5, 0.3, 0.2])
    assert back.predict(dict(n_params=1e8, tokens=1e9, weights=weights[::-1])) == pytest.approx(
        law.predict(dict(n_params=1e8, tokens=1e9, weights=weights))
    )


def power(name="power"):
    return Law(name, (Parameter("E"),), lambda p, x: p["E"] + 0 * x["n_params"], (N_PARAMS,))


OWN = """import jaxmix.laws as laws
POWER = laws.Law("power", (laws.Parameter("E"),), lambda p, x: p["E"] + 0 * x["n_params"])
"""


def test_a_law_of_ones_own_is_found_by_its_file(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    save_laws(tmp_path / "law.json", [fitted(power())], law_ref="mine.py:POWER")
    (back,) = load_laws(tmp_path / "law.json")
    assert back.predict(dict(n_params=1e8, tokens=1e9, weights=np.ones(3) / 3)) == back.params["E"]


@pytest.mark.parametrize("name", ["power", "joint"])
def test_a_law_of_ones_own_without_its_file_names_the_remedy(tmp_path, name):
    save_laws(tmp_path / "law.json", [fitted(power(name))])
    with pytest.raises(ValueError, match=rf"law.json: 'law': '{name}' .*load_laws\(path, law="):
        load_laws(tmp_path / "law.json")
    assert load_laws(tmp_path / "law.json", power(name))[0].law.name == name


def test_a_law_file_that_does_not_run_is_one_line(tmp_path):
    (tmp_path / "mine.py").write_text("import no_such_module\n")
    save_laws(tmp_path / "law.json", [fitted(power())], law_ref="mine.py:POWER")
    with pytest.raises(ValueError, match=r"mine.py: cannot be run \(ModuleNotFoundError"):
        load_laws(tmp_path / "law.json")


def drop(*path):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


def put(value, *path):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


FIT = ("targets", "web")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("format"), "not a law file"),
        (put(99, "version"), "version 99 of the format"),
        (drop("law"), "'law' is missing"),
        (put("nosuch", "law", "name"), "unknown law 'nosuch'"),
        (drop("domains"), "'domains' is missing"),
        (drop("mixtures", "web"), "'web' is missing"),
        (put([1.0], "mixtures", "web"), "'mixtures' has columns of different lengths"),
        (put({}, "targets"), "'targets' is empty"),
        (put([], *FIT), "target 'web': is not an object"),
        (drop(*FIT, "params", "E"), "target 'web': 'E' is missing"),
        (drop(*FIT, "params", "C", "web"), "target 'web': 'C': 'web' is missing"),
        (put("big", *FIT, "params", "E"), "target 'web': 'E' holds \"big\", not a number"),
        (put(None, *FIT, "params", "E"), "'E' holds null, not a number"),
        (put(1.0, *FIT, "params", "C"), "'C' is not an object"),
        (put([7], *FIT, "data", "mixtures"), "'mixtures' names rows"),
        (put([1.0], *FIT, "data", "tokens"), "need a smallest and a largest"),
        (drop(*FIT, "report", "objective"), "'report' lacks 'objective'"),
    ],
)
def test_a_spoiled_file_is_one_line_that_names_it(tmp_path, change, message):
    path = tmp_path / "law.json"
    save_laws(path, [fitted(LAWS["additive"])])
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=message) as error:
        load_laws(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\x00\xff", b"[" * 100000])
def test_a_foreign_file_is_one_line(tmp_path, content):
    (tmp_path / "law.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"law.json: not a law file .*; jaxmix fit writes one"):
        load_laws(tmp_path / "law.json")


def test_a_missing_file_and_a_folder_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        load_laws(tmp_path / "absent.json")
    with pytest.raises(ValueError, match="cannot be read"):
        load_laws(tmp_path)


def test_fits_that_do_not_belong_together_are_refused(tmp_path):
    joint, additive = fitted(LAWS["joint"]), fitted(LAWS["additive"], "code:py")
    for laws in ([], [joint, additive]):
        with pytest.raises(ValueError, match="one law over the same domains"):
            save_laws(tmp_path / "law.json", laws)
    with pytest.raises(ValueError, match="same target"):
        save_laws(tmp_path / "law.json", [joint, joint])
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_leaves_nothing_and_the_old_file_as_it_was(tmp_path):
    path = tmp_path / "law.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        save_laws(path, [fitted(LAWS["joint"])], {"no": object()})
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["law.json"]
    with pytest.raises(ValueError, match="cannot be written"):
        write_text(tmp_path / "absent" / "x.json", "text")
    with pytest.raises(ValueError, match="cannot be written"):
        write_text(tmp_path, "text")
    assert [p.name for p in tmp_path.iterdir()] == ["law.json"]
