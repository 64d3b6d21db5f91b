"""Every experiment runs in its smoke mode, and the table of all is what its result files say."""

import ast
import pathlib
import runpy
import sys

import numpy as np
import pytest

from experiments import summary, waves
from experiments.text.config import STUDY
from jaxmix.runs import read_runs

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "experiments"
EXPERIMENTS = sorted(path.parent.name for path in FOLDER.glob("*/run.py"))


@pytest.fixture
def script(monkeypatch):
    """Runs a module of experiments/ as if by ``python -m``, in this process."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        return runpy.run_module(f"experiments.{name}", run_name="__main__")

    return run


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_smoke(name, script, tmp_path):
    script(f"{name}.run", "--smoke", "--work", tmp_path)
    assert (tmp_path / "smoke" / "results" / "run.json").is_file()


@pytest.mark.parametrize("name", ["text", "multimodal", "vision"])
def test_smoke_of_the_second_studies(name, script, tmp_path):
    script(f"{name}.waves", "--smoke", "--work", tmp_path)
    table = read_runs(tmp_path / "smoke" / "runs.csv")
    assert {"only", "uniform"} <= set(table.frame["mixture"])


@pytest.mark.parametrize("domains", ["abc", "abcdefg"])
def test_mixtures_of_the_second_studies(domains):
    tokens = {name: 6.0 / (i + 1) for i, name in enumerate(domains)}
    mixtures = waves.mixtures(tuple(tokens), tokens)
    assert len(mixtures) == 32 + 6
    rows = np.array([[row[d] for d in tokens] for row in mixtures.values()])
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-12)
    assert (rows >= 0).all() and len(np.unique(rows.round(9), axis=0)) == 38
    a, b, *_ = mixtures["proportional"].values()
    assert a == pytest.approx(2 * b)
    assert mixtures["only-a"]["a"] == 1 and mixtures["near-a"]["b"] == 0.05


def test_runs_that_a_table_holds_are_not_trained_again(monkeypatch):
    ladder = waves.Ladder(STUDY, "tiny-", (24, 192), 192, 2_000_000, 4_000_000, 64, {})
    uniform = dict.fromkeys(ladder.family.domains, 1 / 7)
    chosen = {f"m{i}": uniform for i in range(30)}
    monkeypatch.setattr(waves.Ladder, "studies", lambda *_: [ladder.study(24, 0, chosen)])
    monkeypatch.setattr(type(ladder.family.corpus), "open", lambda _: None)
    done = {("m0", 0), ("m1", 1), ("m29", 0)}
    left = [list(study.mixtures) for _, study in ladder.waves(24, done)]
    assert [len(names) for names in left] == [22, 6]
    assert "m0" not in left[0] and "m1" in left[0] and left[1][-1] == "m28"


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.stem)
def test_experiments_use_what_packages_export(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "jaxmix":
            package = FOLDER.parent / (node.module or "").replace(".", "/") / "__init__.py"
            exported = package.read_text(encoding="utf-8")  # fails if it is a module
            names = [one.name for one in node.names]
            modules = [n for n in names if (package.parent / n).exists()]
            assert [n for n in names if n not in modules and f" as {n}" not in exported] == []


def test_the_table_of_all_is_what_the_result_files_say():
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == summary.table()
