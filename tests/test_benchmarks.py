"""The benchmarks' arithmetic, and that they run; never a time."""

import importlib
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    """Imports a module of benchmarks/ as its scripts do."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


def run(*arguments, **environment):
    command = [sys.executable, str(FOLDER / "bench_fit.py"), *arguments]
    keep = {k: v for k, v in os.environ.items() if k != "JAXMIX_PUBLIC_RUNS"}
    return subprocess.run(command, capture_output=True, text=True, env=keep | environment)


def unit(bench, seconds, *found):
    return bench("peers").Unit(found=list(found), seconds=seconds)


def test_expected_time_counts_units_until_they_reach_the_goal(bench):
    units = [
        unit(bench, 4.0, (1.0, 9.0), (4.0, 5.0)),
        unit(bench, 3.0, (2.0, 1.0)),
        unit(bench, 3.0, (1.0, 2.0), (3.0, 1.0)),
    ]
    expected = bench("targets").expected_seconds
    assert expected(units, 2.0) == ((4.0 + 2.0 + 1.0) / 2, 2)
    assert expected(units, 0.5) == (10.0, 0)


def test_arrival_adds_up_the_units_before(bench):
    units = [unit(bench, 4.0, (4.0, 5.0)), unit(bench, 3.0, (2.0, 1.0))]
    trial = bench("targets").Trial(units, cpu_seconds=0.0)
    assert trial.arrival(1.0) == 6.0
    assert trial.arrival(5.0) == 4.0
    assert trial.arrival(0.5) is None


def test_interval_of_no_hits_is_one_sided(bench):
    low, high = bench("targets").interval(600.0, 0)
    assert high == float("inf")
    assert low == pytest.approx(600.0 / 3.689, rel=1e-3)  # -log(0.025)
    low, high = bench("targets").interval(10.0, 8)
    assert low < 10.0 < high


def test_half_the_sum_of_squares_that_optimistix_sees_is_the_objective(bench):
    from jaxmix.fitting.objective import Objective, Rows
    from jaxmix.laws import get_law

    rng, k = np.random.default_rng(0), 3
    rows = Rows(
        x={
            "n_params": rng.uniform(0.5, 2, 20),
            "tokens": rng.uniform(0.5, 2, 20),
            "weights": rng.dirichlet(np.ones(k), 20),
        },
        own={},
        losses=np.concatenate([rng.uniform(2, 3, 20)]),
        row_weights=np.full(20, 1 / 20),
    )
    objective = Objective(get_law("joint"), k, delta=0.5)
    z = 0.1 * rng.normal(size=objective.law.count(k))
    bent = bench("peers").root_huber(objective, rows, z)
    scaled = 0.5 * np.sum(np.asarray(bent) ** 2) * bench("peers").SCALE
    assert scaled == pytest.approx(float(objective.value(z, rows)), rel=1e-5)


def test_a_missing_folder_is_one_line_and_status_2():
    done = run("--quick", "--only", "speed")
    assert done.returncode == 2
    assert "JAXMIX_PUBLIC_RUNS is unset" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_quick_run_needs_no_data_for_the_optimum(tmp_path):
    done = run("--quick", "--only", "optimum", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "bench_fit_quick.json").read_text())
    assert written["optimum"]["result"]["one target"]["converged"] == 1.0
    assert written["optimum"]["machine"]["cores"] >= 1


@pytest.mark.slow
def test_a_quick_run_on_the_published_data(public_runs, tmp_path):
    done = run(
        *("--quick", "--only", "speed,gpu", "--out", str(tmp_path)),
        JAXMIX_PUBLIC_RUNS=str(public_runs),
    )
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "bench_fit_quick.json").read_text())
    assert written["speed"]["result"]["joint"]["mean_iterations"] > 1
