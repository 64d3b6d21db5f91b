"""One simulated study, its true laws, and a way to run the command line in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from jaxmix.cli import main
from jaxmix.fitting import fit
from jaxmix.fitting.simulate import simulate_laws, true_laws
from jaxmix.laws import ADDITIVE
from jaxmix.mixtures import dirichlet_design
from jaxmix.runs import write_runs

SCALE = {
    "mixtures": np.array([[1, 0], [0.8, 0.2], [0.5, 0.5], [0.3, 0.7], [0, 1.0]]),
    "n_params": [1e7, 3e7, 1e8, 3e8],
    "tokens": [1e9, 3e9, 1e10],
}


def parameters(own: int) -> dict:
    c = np.array([1.0, 1.0])
    c[own] = 3.0
    powers = {"A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34}
    return {"E": 1.5, **powers, "C": c, "gamma": np.array([0.5, 0.6])}


@dataclass(frozen=True)
class Study:
    """Files of a study: ``runs`` and ``law``."""

    runs: str
    law: str


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Study:
    """Domains and targets web and code, and the true law."""
    folder = tmp_path_factory.mktemp("study")
    names = ("web", "code")
    params = {name: parameters(i) for i, name in enumerate(names)}
    laws = true_laws(ADDITIVE, params, domains=names, targets=names, **SCALE)
    runs, law = folder / "runs.csv", folder / "truth.json"
    write_runs(simulate_laws(laws, noise=0.001, **SCALE), runs)
    laws.save(law)
    return Study(str(runs), str(law))


@pytest.fixture(scope="session")
def three(tmp_path_factory) -> Study:
    """Domains a, b and c, targets a and b, mixtures to resample, and a law that was fitted."""
    folder = tmp_path_factory.mktemp("three")
    scale = {"mixtures": dirichlet_design(3, 14, seed=1, minimum=0.05)}
    scale |= {"n_params": [1e7, 1e8], "tokens": [4e9, 2e10]}
    params = {}
    for i, name in enumerate("ab"):
        helps = {"C": np.roll([3.0, 1.2, 1.0], i), "gamma": np.array([0.5, 0.6, 0.7])}
        params[name] = {**parameters(0), **helps}
    laws = true_laws(ADDITIVE, params, domains="abc", targets="ab", **scale)
    runs, law = folder / "runs.csv", folder / "law.json"
    write_runs(simulate_laws(laws, noise=0.004, **scale), runs)
    fit(runs, "additive", restarts=8).save(law)
    return Study(str(runs), str(law))


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


@pytest.fixture
def run(capsys) -> Callable[..., Result]:
    """``run("score", law, runs)``: exit status, standard output and standard error."""

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        status = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return Result(status, out, err)

    return call


@pytest.fixture
def refused(run) -> Callable[..., str]:
    """As ``run``, for input that must be refused: exit 2, one line, nothing on standard output."""

    def call(*arguments: object) -> str:
        result = run(*arguments)
        assert result.status == 2 and result.out == ""
        command, error, _ = result.err.partition(": error: ")
        assert error and command.startswith(f"jaxmix {arguments[0]}")
        assert result.err.count("\n") == 1
        assert result.err.endswith("\n")
        return result.err

    return call
