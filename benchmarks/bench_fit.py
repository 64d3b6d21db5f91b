"""The fitter beside its peers, all in one run; ratios first, seconds second.

    JAXMIX_PUBLIC_RUNS=<folder> python benchmarks/bench_fit.py [--quick] [--only targets,speed] ...

Last result, 2026-11-29, two free cores of an Intel Xeon, JAX 0.10.2, float64 (all figures in
``results/bench_fit.json``). RedPajama ``loss_github``, joint law, 33 parameters, 1089 rows; the
expected time to within 1% of a minimum, as a multiple of pooled-hopping with 256 restarts a search,
and how many units (searches, starts, chains, batches) reached it:

    method                            1.74611e-5            1.58507e-5
    jaxmix pooled-hopping, 256        1  (.48 s)    8/8     1  (.48 s)    8/8
    jaxmix pooled-hopping, 64         .5          18/18     1.1           8/18
    jaxmix gauss-newton               .6          26/26     2             8/26
    jaxmix gauss-newton-hopping       .8          16/16     1.7           8/16
    jaxmix lbfgs                      2.7         20/20     not in 26 s   0/20
    jaxmix basin-hopping              7.7           7/7     not in 25 s    0/7
    optimistix BFGS                   3.2         17/17     13            4/17
    optimistix LBFGS                  7.6           7/7     not in 25 s    0/7
    optimistix LevenbergMarquardt     14            4/4     58             1/4
    SciPy L-BFGS-B multi-start        6            9/36     not in 26 s   0/36
    SciPy basinhopping                40            1/5     not in 25 s    0/5
    jaxopt LBFGS                      180           1/1     not in 86 s    0/1

Each method had 25 seconds. With 1 or 2 arrivals a time is known within a factor of 4 down and far
more up. A search's value counts from its end, a peer's from the end of its start or batch.

Converged fits a second, each run until its own criterion stops it: joint 234, additive 554, with
1.95 cores; 1.2% of the joint fits stopped at their budget of 300 iterations. Restarts a second of
the default search, which leaves most lanes early: 573 and 913. 10,000 restarts of the joint law:
16 s, .50 GB. With XLA's fusion emitters lanes took longer: 177 and 240 converged fits.

From 2026-11-22: all 23 losses and both laws, 64 solves each, 93 s, with compilation 177 s; 1,000
budgets of 8-domain joint laws, one target .04 s where convex, else .6 s, eight targets 1.1 s. No
GPU yet.
"""

import argparse
import datetime
import json
import math
import os
import pathlib
import platform
import sys
from collections.abc import Callable
from typing import Any

# SciPy's L-BFGS-B factors matrices too small for threads: with one it ran five times faster.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import tables
from bench_optimum import optimum
from problem import pose
from targets import time_to_target
from throughput import all_targets, fits_per_second, gpu, large

from jaxmix.fitting import DEFAULT_SOLVER
from jaxmix.fitting.solvers.multistart import SEARCHES

SECTIONS = ("targets", "speed", "all", "optimum", "gpu", "large")
RESULTS = pathlib.Path(__file__).parent / "results"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Benchmarks of jaxmix's fitter and its peers.")
    parser.add_argument("--quick", action="store_true", help="a minute's look; no numbers to quote")
    parser.add_argument(
        "--only",
        default="",
        metavar="NAME,...",
        help=f"sections ({', '.join(SECTIONS)}) or parts of method names, such as SciPy",
    )
    parser.add_argument(
        "--budget", type=float, default=600.0, metavar="S", help="seconds a method may search"
    )
    parser.add_argument(
        "--seeds", type=int, default=8, metavar="N", help="trials of ours, arrivals of a peer"
    )
    parser.add_argument("--large", action="store_true", help="also 10,000 restarts (minutes)")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS, metavar="DIR")
    return parser.parse_args(arguments)


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "date": datetime.date.today().isoformat(),
    }


def _cpu_model() -> str:
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def plan(args: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """The sections to run, in order."""
    names = [name for name in args.only.split(",") if name]
    methods = [name for name in names if name not in SECTIONS]
    chosen = [name for name in names if name in SECTIONS] + ["targets"] * bool(methods)
    if not names:
        chosen = [name for name in SECTIONS if name != "large"]
    if args.large:
        chosen.append("large")
    seeds, budget = (1, min(args.budget, 3.0)) if args.quick else (args.seeds, args.budget)

    def targets() -> Any:
        return time_to_target(pose(), seeds=seeds, budget=budget, methods=methods, log=say)

    jobs: dict[str, Callable[[], Any]] = {
        "targets": targets,
        "speed": lambda: fits_per_second(*((16, 1) if args.quick else (256, 3))),
        "all": lambda: all_targets(8 if args.quick else 64),
        "optimum": lambda: optimum(50 if args.quick else 1000),
        "gpu": gpu,
        "large": lambda: large(64 if args.quick else 10_000),
    }
    return {name: job for name, job in jobs.items() if name in chosen}


def say(line: str) -> None:
    """Progress, on standard error."""
    print(f"{datetime.datetime.now():%H:%M:%S} {line}", file=sys.stderr, flush=True)


def finite(value: Any) -> Any:
    """The same with None for infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main(arguments: list[str] | None = None) -> None:
    """Runs the chosen sections; each one's entry in ``bench_fit.json`` replaces its last."""
    args = parse(arguments)
    sections = plan(args)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / ("bench_fit_quick.json" if args.quick else "bench_fit.json")
    results = json.loads(path.read_text()) if path.is_file() else {}
    given = sys.argv[1:] if arguments is None else arguments
    with jax.enable_x64(True):
        for name, section in sections.items():
            say(f"section {name}")
            here = machine()
            result = section()
            settings = repr(SEARCHES[DEFAULT_SOLVER])
            entry = {"machine": here, "arguments": given, "default": settings, "result": result}
            results[name] = entry
            path.write_text(json.dumps(finite(results), indent=1) + "\n")
            print(tables.render(name, result), flush=True)
    print(tables.render("machine", machine()))


if __name__ == "__main__":
    main()
