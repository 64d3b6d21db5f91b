"""Every experiment runs in its smoke mode, and the table of all is what its result files say."""

import importlib
import pathlib
import runpy
import sys

import pytest

from jaxmix.runs import read_runs

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "experiments"
EXPERIMENTS = sorted(path.parent.name for path in FOLDER.glob("*/run.py"))


@pytest.fixture
def script(monkeypatch):
    """Runs a script of experiments/ as if from the command line, in this process."""

    def run(path, *arguments):
        # The folders' modules share their names (config, findings): none may outlive its script.
        before = set(sys.modules)
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
        try:
            return runpy.run_path(str(path), run_name="__main__")
        finally:
            for name in set(sys.modules) - before:
                if _of_experiments(sys.modules[name]):
                    del sys.modules[name]

    return run


def _of_experiments(module):
    return str(getattr(module, "__file__", None) or "").startswith(str(FOLDER))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_smoke(name, script, tmp_path):
    script(FOLDER / name / "run.py", "--smoke", "--work", tmp_path)
    assert (tmp_path / "smoke" / "results" / "run.json").is_file()


def test_smoke_of_the_second_text_study(script, tmp_path):
    made = script(FOLDER / "text" / "waves.py", "--smoke", "--work", tmp_path)
    table = read_runs(tmp_path / "smoke" / "runs.csv")
    assert {"only", "uniform"} <= set(table.frame["mixture"])
    tokens = {"a": 3, "b": 2, "c": 1}
    mixtures = made["mixtures"](tuple(tokens), tokens)
    assert len(mixtures) == 2 + 2 * 3 + 16 + 10
    assert all(abs(sum(row.values()) - 1) < 1e-12 for row in mixtures.values())
    assert mixtures["proportional"] == {"a": 0.5, "b": 1 / 3, "c": 1 / 6}


def test_the_table_of_all_is_what_the_result_files_say(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    for name in ("summary", "reading"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    table = importlib.import_module("summary").table()
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == table
