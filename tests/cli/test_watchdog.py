"""No command hangs, whatever the number of domains: each answers as a process of its own.

A deadlock of threads and compiled programs shows only in a fresh process, and only at some sizes.
"""

import os
import pathlib
import subprocess
import sys

import pytest

BIG = ("--n-params", "7e9", "--tokens", "1e11")
FEW = ("--restarts", "8")
SECONDS = 400  # a command that hangs takes forever; the slowest takes a minute on two cores


@pytest.fixture(scope="module", params=(2, 8, 17, 40))
def study(request, tmp_path_factory):
    """The folder of a simulated study of so many domains, with a law fitted to one target."""
    folder = tmp_path_factory.mktemp(f"k{request.param}")
    call(folder, "simulate", "--law", "additive", "--domains", request.param,
         "--noise", "0.003", "--seed", "1", "--out", "runs.csv")  # fmt: skip
    call(folder, "fit", "runs.csv", "--law", "additive", "--targets", "d1,d2", *FEW,
         "--out", "law.json")  # fmt: skip
    return folder


def call(folder: pathlib.Path, *words: object) -> str:
    """Runs a command that must succeed in time."""
    command = [sys.executable, "-m", "jaxmix", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, cwd=folder, env=environment
    )
    assert done.returncode == 0, f"{words[0]}: {done.stderr}"
    return done.stdout


ON_RUNS = {
    "recommend": ("runs.csv", "--law", "additive", "--targets", "d1", "--resamples", "50", *BIG),
    "compare": (
        *("runs.csv", "--targets", "d1", "--laws", "additive", *FEW),
        *("--train", "n_params < 2e8", "--test", "n_params >= 2e8"),
    ),
    "select": ("runs.csv", "--targets", "d1", "--laws", "additive,ye-m1", *FEW),
    "extrapolate": ("runs.csv", "--targets", "d1", "--out", "at.csv", *BIG),
}
ON_LAWS = {
    "score": ("law.json", "runs.csv", "--interval", "0.9"),
    "predict": ("law.json", "runs.csv", "--out", "predicted.csv"),
    "optimize": ("law.json", *BIG),
    "trust": ("law.json", "runs.csv", "--resamples", "50", *BIG),
    "budget": ("law.json", "--flops", "1e21"),
    "pareto": ("law.json", "--points", "5", *BIG),
    "next": ("law.json", "runs.csv", "--count", "2", *BIG),
    "report": ("law.json", "runs.csv", "--resamples", "50", "--out", "page.html", *BIG),
    "export": ("law.json", "--format", "yaml", *BIG),
    "simulate": ("--from", "law.json", "--out", "more.csv"),
    "sample-size": ("--from", "law.json", "--mixtures", "50", "--truths", "2", *FEW),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", [*ON_RUNS, *ON_LAWS])
def test_it_answers(command, study):
    call(study, command, *(ON_RUNS | ON_LAWS)[command])
