"""Help: groups, one line for each command, and examples that parse and run; --quiet."""

import re
import shlex
import shutil

import click
import numpy as np
import pytest

from jaxmix.cli.app import cli
from jaxmix.cli.catalog import EXAMPLES, GROUPS
from jaxmix.examples import load_example
from jaxmix.fitting.simulate import true_laws
from jaxmix.laws import ADDITIVE
from jaxmix.runs import write_runs
from tests.cli.test_damaged_files import commands

ALL = [(name, line) for name, lines in EXAMPLES.items() for line in lines]
# Those that answer in a few seconds.
QUICK = {
    "check",
    "presets",
    "critical-ratio",
    *("examples list", "examples copy", "score", "predict", "optimize", "export", "laws"),
    *("domains add", "domains split", "domains merge", "domains remove", "pareto", "simulate"),
}


def test_the_catalog_has_every_command_once():
    names = [name for group in GROUPS.values() for name in group]
    assert len(set(names)) == len(names) and list(cli.list_commands(None)) == names
    assert set(EXAMPLES) == commands(cli)


def test_the_overview_fits_a_screen(run):
    lines = run("--help").out.splitlines()
    assert max(map(len, lines)) <= 80 and len(lines) <= 60
    assert [line[:-1] for line in lines if line.endswith(":") and line[0] != " "][1:] == [*GROUPS]


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_help_ends_with_the_examples(run, name):
    text = run(*name.split(), "--help").out
    assert max(map(len, text.splitlines())) <= 80
    shown = " ".join(text.rpartition("Example")[2].replace("\\\n", " ").split())
    assert all(" ".join(line.split()) in shown for line in EXAMPLES[name])


def parse(words: list[str]) -> click.Context:
    """The context of a command line; what cannot be parsed raises."""
    command, context = cli, click.Context(cli, info_name="jaxmix")
    while isinstance(command, click.Group):
        name, *words = words
        command = command.get_command(context, name)
        if isinstance(command, click.Group):
            context = click.Context(command, parent=context, info_name=name)
    return command.make_context(name, words, parent=context)


@pytest.mark.parametrize(("name", "line"), ALL, ids=lambda x: x[:40])
def test_every_example_parses(name, line):
    program, *words = shlex.split(re.sub(" >+ ~.*", "", line))
    assert program == "jaxmix" and words[: len(name.split())] == name.split()
    assert parse(words).params


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the examples read: runs.csv and law.json."""
    root = tmp_path_factory.mktemp("examples")
    runs = load_example("text")
    write_runs(runs, root / "runs.csv")
    powers = {"E": 1.5, "A": 20.0, "alpha": 0.33, "B": 90.0, "beta": 0.34}
    params = {
        t: {**powers, "C": np.roll(np.linspace(1, 3, 7), i), "gamma": np.full(7, 0.5)}
        for i, t in enumerate(("scripture", "legal", "music"))
    }
    ran = {"n_params": runs.n_params, "tokens": runs.tokens, "mixtures": runs.weights}
    true_laws(ADDITIVE, params, domains=runs.domains, targets=tuple(params), **ran).save(
        root / "law.json"
    )
    return root


@pytest.mark.parametrize(
    "line", [line for name, line in ALL if name in QUICK and "--interval" not in line]
)
def test_quick_examples_run(run, folder, tmp_path, monkeypatch, line):
    for name in ("runs.csv", "law.json"):
        shutil.copy(folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    result = run(*shlex.split(line)[1:])
    assert result.status == 0 and result.err.count("error") == 0, result.err


@pytest.mark.parametrize("place", ["before", "behind"])
def test_quiet_leaves_out_notes_and_keeps_errors(run, study, place):
    words = ("optimize", study.law, "--n-params", "1e12", "--tokens", "1e14")
    loud = run(*words)
    words = ("--quiet", *words) if place == "before" else (*words, "--quiet")
    quiet = run(*words)
    assert loud.err.startswith("note: ") and quiet.err == "" and quiet.out == loud.out
    refused = run(*words[:3], "--n-params", "x", "--quiet")
    assert refused.status == 2 and refused.err.count("\n") == 1
