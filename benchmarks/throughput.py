"""Speed and memory of many fits: fits a second, 10,000 restarts, every target, a GPU."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from problem import pose, random_jobs, read_table

from jaxmix.fitting import DEFAULT_SOLVER, fit
from jaxmix.fitting.problem import Problem
from jaxmix.fitting.solvers.lanes import Jobs, Results
from jaxmix.fitting.solvers.multistart import SEARCHES, run_jobs, run_search

CONVERGED_GOAL, LARGE_GOAL_GB, ALL_GOAL_SECONDS = 25.0, 4.0, 120.0


def _timed(run: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds, processor seconds, result."""
    began, cpu = time.perf_counter(), time.process_time()
    result = jax.block_until_ready(run())
    return time.perf_counter() - began, time.process_time() - cpu, result


def _solve(problem: Problem, jobs: Jobs) -> Results:
    solver = SEARCHES["gauss-newton"].solver
    return run_jobs(solver, problem.objective, problem.rows, jobs)


def fits_per_second(restarts: int, repeats: int = 3) -> dict[str, Any]:
    """Gauss-Newton from random starts, each run until its own criterion stops it."""
    out: dict[str, Any] = {"restarts": restarts, "goal_joint": CONVERGED_GOAL}
    for law in ("joint", "additive"):
        problem = pose(law)
        _timed(lambda p=problem: _solve(p, random_jobs(p, 10**6, 0, restarts)))
        runs = [
            _timed(lambda p=problem, s=seed: _solve(p, random_jobs(p, s, 0, restarts)))
            for seed in range(repeats)
        ]
        iterations = np.concatenate([np.asarray(result.iterations) for *_, result in runs])
        out[law] = {
            "per_second": [restarts / seconds for seconds, *_ in runs],
            "median_per_second": float(np.median([restarts / seconds for seconds, *_ in runs])),
            "cores": sum(cpu for _, cpu, _ in runs) / sum(seconds for seconds, *_ in runs),
            "mean_iterations": float(iterations.mean()),
            "share_at_budget": float(np.mean(iterations >= iterations.max())),
            "search_per_second": _search_rate(problem, restarts, repeats),
        }
    return out


def _search_rate(problem: Problem, restarts: int, repeats: int) -> float:
    """Restarts a second of the default search, most of which leave their lanes early."""
    search = SEARCHES[DEFAULT_SOLVER]
    run_search(search, problem, restarts, 10**6)
    runs = [
        _timed(lambda s=s: run_search(search, problem, restarts, s).value) for s in range(repeats)
    ]
    return float(np.median([restarts / seconds for seconds, *_ in runs]))


def large(restarts: int = 10_000) -> dict[str, Any]:
    """The default search at many restarts, in a process of its own."""
    command = [sys.executable, __file__, str(restarts)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def _large_here(restarts: int) -> dict[str, Any]:
    began = time.perf_counter()
    (fitted,) = fit(read_table(), "joint", targets=["github"], restarts=restarts)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "restarts": restarts,
        "seconds": time.perf_counter() - began,
        "peak_gb": kilobytes * 1024 / 1e9,
        "goal_gb": LARGE_GOAL_GB,
        "objective": fitted.report.objective,
        "agreeing": fitted.report.agreeing,
    }


def all_targets(restarts: int = 64) -> dict[str, Any]:
    """``fit`` of every RedPajama loss, both laws; the second pass does not compile."""
    table = read_table()
    passes = []
    for seed in range(2):
        seconds = {}
        for law in ("additive", "joint"):
            seconds[law] = _timed(lambda v=law, s=seed: fit(table, v, restarts=restarts, seed=s))[0]
        passes.append(seconds)
    return {
        "targets": len(table.targets),
        "restarts": restarts,
        "with_compilation": sum(passes[0].values()),
        "seconds": sum(passes[1].values()),
        "laws": passes,
        "goal_seconds": ALL_GOAL_SECONDS,
    }


def gpu() -> dict[str, Any]:
    """Fits a second at 1,000 and 10,000 restarts on a GPU, and the ratio to this machine's CPU."""
    if jax.default_backend() != "gpu":
        return {"waits_for": "a GPU: none here"}
    out: dict[str, Any] = {"device": jax.devices()[0].device_kind}
    for restarts in (1000, 10_000):
        speed = fits_per_second(restarts, repeats=1)
        out[str(restarts)] = {law: speed[law]["median_per_second"] for law in ("joint", "additive")}
    with jax.default_device(jax.devices("cpu")[0]):
        speed = fits_per_second(256, repeats=1)
    out["cpu"] = {law: speed[law]["median_per_second"] for law in ("joint", "additive")}
    return out


if __name__ == "__main__":
    print(json.dumps(_large_here(int(sys.argv[1]))))
