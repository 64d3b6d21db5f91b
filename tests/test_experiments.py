"""Every experiment runs in its smoke mode, and the table of all is what its result files say."""

import pathlib
import runpy
import sys

import pytest

from experiments import summary
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


def test_smoke_of_the_second_text_study(script, tmp_path):
    made = script("text.waves", "--smoke", "--work", tmp_path)
    table = read_runs(tmp_path / "smoke" / "runs.csv")
    assert {"only", "uniform"} <= set(table.frame["mixture"])
    tokens = {"a": 3, "b": 2, "c": 1}
    mixtures = made["mixtures"](tuple(tokens), tokens)
    assert len(mixtures) == 2 + 2 * 3 + 16 + 10
    assert all(abs(sum(row.values()) - 1) < 1e-12 for row in mixtures.values())
    assert mixtures["proportional"] == {"a": 0.5, "b": 1 / 3, "c": 1 / 6}


def test_the_table_of_all_is_what_the_result_files_say():
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == summary.table()
