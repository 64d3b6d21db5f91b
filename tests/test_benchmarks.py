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


@pytest.mark.parametrize("kind", ["skills", "repetition", "interactions", "tasks"])
def test_simulated_studies_have_realistic_losses_and_know_their_best_mixture(bench, kind):
    truths = bench("truths")
    for design, k in (("spread", 5), ("narrow", 3), ("few", 4)):
        study = truths.make_study(kind, design, k, seed=1)
        losses = study.frame.filter(regex="^loss_").to_numpy()
        assert losses.shape == (4 * 3 * (10 if design == "few" else 20), k)
        assert np.all((losses > 1.0) & (losses < 8.0))
        assert 0.01 <= study.attainable <= 0.1 + 1e-9
        others = np.random.default_rng(0).dirichlet(np.full(k, 0.5), 500)
        assert study.regret(others).min() >= -1e-9
        assert study.regret(study.best_measured) > 0
        again = truths.make_study(kind, design, k, seed=1)
        assert again.frame.equals(study.frame)


def test_truths_are_of_their_kinds(bench):
    truths = bench("truths")
    drawn = {kind: truths.draw_truth(kind, 4, np.random.default_rng(3)) for kind in truths.KINDS}
    n, vertex = 1e8, np.eye(4)
    repeated = drawn["repetition"]
    scarce = int(np.argmin(repeated.stock))
    tokens = repeated.stock[scarce] * np.array([1.0, 2.0, 6.0, 12.0])
    parts = repeated.mixture_part(n * np.ones(4), tokens, vertex[scarce])
    harmless = truths.replace(repeated, harm=0 * repeated.harm)
    without = harmless.mixture_part(n * np.ones(4), tokens, vertex[scarce])
    np.testing.assert_allclose(parts[:2], without[:2])
    assert np.all(np.diff((parts - without)[1:].mean(1)) > 0)
    fresh = truths.replace(harmless, stock=np.full(4, np.inf))
    assert np.all(without[2:] > fresh.mixture_part(n * np.ones(2), tokens[2:], vertex[scarce]))
    pair = drawn["interactions"]
    curved = pair.pairs[:, 0, 1]
    plain = truths.replace(pair, pairs=0 * pair.pairs)
    both = np.array([0.5, 0.5, 0.0, 0.0])
    added = pair.loss(n, 1e10, both) - plain.loss(n, 1e10, both)
    np.testing.assert_allclose(added, 0.25 * curved, rtol=1e-9)
    # Two domains that teach one skill replace each other; the taught amounts alone count.
    skills = drawn["skills"]
    twins = truths.replace(skills, teaches=skills.teaches[:, [0, 0, 2, 3]])
    np.testing.assert_allclose(
        twins.loss(n, 1e10, np.array([0.4, 0.1, 0.2, 0.3])),
        twins.loss(n, 1e10, np.array([0.1, 0.4, 0.2, 0.3])),
    )
    assert drawn["tasks"].teaches.sum(0).min() < 0.1 * drawn["tasks"].teaches.sum(0).max()


def test_half_of_the_noise_is_shared_along_a_trajectory(bench):
    truths = bench("truths")
    study = truths.make_study("tasks", "spread", 3, seed=0)
    f = study.frame
    clean = study.truth.loss(f["n_params"], f["tokens"], f.filter(regex="^w_").to_numpy())
    errors = np.log(f.filter(regex="^loss_").to_numpy() / clean).reshape(80, 3, 3) / study.noise
    assert np.mean(errors**2) == pytest.approx(1.0, abs=0.15)
    assert np.mean(errors[:, 0] * errors[:, 2]) == pytest.approx(0.5, abs=0.15)


def test_the_table_of_regrets_counts_what_is_worse_than_the_best_measured(bench):
    import pandas as pd

    regret = bench("regret")
    plain = dict.fromkeys(regret.ROWS, 0.01) | {"attainable": 0.02, "noise": 0.001}
    rows = [
        plain | {"design": "spread", "recommended": 0.0, "in uniform": True},
        plain | {"design": "narrow", "recommended": 0.014, "in uniform": False},
    ]
    printed = regret.table(pd.DataFrame(rows))
    line = next(x for x in printed.splitlines() if "all (2)" in x and "recommended" in x)
    assert line.split()[2:] == ["recommended", "0.0070", "0.0140", "0.35", "0.50", "0.50"]


def test_published_cases_fit_neither_the_size_nor_the_mixtures_set_aside(bench):
    import pandas as pd

    from jaxmix.runs import read_runs

    weights = np.random.default_rng(0).dirichlet(np.ones(3), 8)
    grid = [
        (f"{i}-{n:g}", n, d, *h, 3.0)
        for i, h in enumerate(weights)
        for n in (5e7, 1e8, 2e8, 3e8)
        for d in (1e10, 3.15e10)
    ]
    names = ["run", "n_params", "tokens", "w_a", "w_b", "w_c", "loss_mean"]
    found = list(
        bench("regret_published")._by_size("T", read_runs(pd.DataFrame(grid, columns=names)))
    )
    assert len({case.name for case in found}) == len(found) == 9
    for case in found:
        assert case.fitted.n_params.max() < case.pool.n_params.min()
        assert len(case.pool) == 8
        assert len(np.unique(case.fitted.weights, axis=0)) == 4


@pytest.mark.slow
def test_a_small_study_is_proposed_for_and_judged(bench, tmp_path):
    regret, truths = bench("regret"), bench("truths")
    study = truths.make_study("skills", "spread", 3, seed=0)
    runs = bench("jaxmix.runs").read_runs(study.frame)
    made, read = (
        bench("refitting").refitted(runs, "additive", 20, tmp_path, "one") for _ in range(2)
    )
    assert made.laws[0].labelled == read.laws[0].labelled
    row = regret.judge(study, read)
    assert all(row[name] >= -1e-9 for name in regret.ROWS)
    assert row["recommended"] < row["uniform"]
