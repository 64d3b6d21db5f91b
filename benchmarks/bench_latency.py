"""What a person waits for: commands on published tables, their first and their second call.

    JAXMIX_PUBLIC_RUNS=<folder> python benchmarks/bench_latency.py [--only fit,trust] [--repeat 3]
        [--against FOLDER]

Every call is a process of its own: the first with an empty cache of compiled programs, the second
with that of the first. With --against, the same calls of another checkout (of commit 107061b for
the figures of ``results/bench_latency.json``) take turns with ours, so that both see the same
load. Medians of all repetitions; CPU seconds are of the process and of all it starts, and cores are
CPU seconds by wall seconds. A command that fails has no figures (null).
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from bench_fit import finite, machine, say

HERE = pathlib.Path(__file__).resolve().parent.parent
RESULTS = pathlib.Path(__file__).parent / "results"
THREE = "loss_github,loss_pile_cc,loss_arxiv"
EIGHT = (
    THREE + ",loss_bookcorpus2,loss_dm_mathematics,loss_freelaw,loss_nih_exporter,loss_openwebtext2"
)
SEVEN = "arxiv,pile_cc,philpapers,pubmed_central,pg19,github,freelaw"
BUDGET = ["--n-params", "1e9", "--tokens", "5e10"]
LIMITS = ["--max", "stackexchange=0.2", "--linear", "books + wikipedia <= 0.3"]
CLEAN = ["--where", "flags == ''"]
CALLS = ("first", "second")


class Took(NamedTuple):
    """One call: wall seconds and CPU seconds, NaN if it failed."""

    wall: float
    cpu: float


def commands(folder: str) -> dict[str, list[str]]:
    """Arguments by the name of what is measured; laws are read that earlier ones have written."""
    public = pathlib.Path(os.environ["JAXMIX_PUBLIC_RUNS"])
    runs, text = str(public / "redpajama_70M-410M.csv"), HERE / "experiments/text/results/runs.csv"
    plans: dict[str, list[str]] = {}
    for kind in ("additive", "joint"):
        law = f"{folder}/{kind}.json"
        fit = ["fit", runs, "--law", kind, "--targets", THREE, *CLEAN, "--out", law]
        plans |= {
            f"fit {kind}": fit,
            f"optimize {kind}": ["optimize", law, *BUDGET],
            f"optimize {kind} with limits": ["optimize", law, *BUDGET, *LIMITS],
            f"trust {kind}": ["trust", law, runs, *BUDGET, "--resamples", "1000"],
            f"report {kind}": ["report", law, runs, "--out", f"{folder}/{kind}.html"],
        }
    plans["recommend eight targets"] = ["recommend", runs, *BUDGET, "--targets", EIGHT, *CLEAN]
    plans["select text study"] = ["select", str(text)]
    seven = ["--targets", SEVEN, "--laws", "additive,joint,simple"]
    plans["select fivemix seven targets"] = ["select", str(public / "fivemix.csv"), *seven]
    return plans


def call(checkout: pathlib.Path, arguments: list[str], cache: str) -> Took:
    """One process to its end."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "JAXMIX_CACHE": cache}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    line = [sys.executable, "-m", "jaxmix", *arguments]
    done = subprocess.run(line, capture_output=True, env=environment, cwd="/")
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        say(done.stderr.decode()[-300:])
        return Took(float("nan"), float("nan"))
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(wall, used)


def in_turn(
    name: str, checkouts: dict[str, pathlib.Path], folder: str, repeat: int
) -> dict[str, dict[str, list[Took]]]:
    """Every call of every checkout, ``repeat`` times."""
    took: dict[str, dict[str, list[Took]]] = {c: {n: [] for n in CALLS} for c in checkouts}
    for turn in range(repeat):
        for where, path in checkouts.items():
            os.makedirs(f"{folder}/{where}", exist_ok=True)
            cache = f"{folder}/{where}/cache-{name.replace(' ', '-')}-{turn}"
            for which in CALLS:
                took[where][which].append(call(path, commands(f"{folder}/{where}")[name], cache))
    return took


def summary(took: list[Took]) -> dict[str, float]:
    """Medians of calls."""
    wall, cpu = (statistics.median(x) for x in zip(*took, strict=True))
    return {"wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "cores": round(cpu / wall, 2)}


def needed(chosen: list[str]) -> list[str]:
    """With the fits that write the laws others read."""
    names = list(commands(""))
    laws = {f"fit {k}" for k in ("additive", "joint") if any(f" {k}" in n for n in chosen)}
    return [n for n in names if n in laws or n in chosen]


def main() -> None:
    """Prints one line per command and call; writes ``results/bench_latency.json``."""
    parser = argparse.ArgumentParser(description="Times of commands, first and second call.")
    parser.add_argument("--against", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--only", default="", metavar="NAME,...", help="parts of names")
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    parts = args.only.split(",")
    chosen = needed([n for n in commands("") if any(part in n for part in parts)])
    checkouts = {"jaxmix": HERE, **({"against": args.against.resolve()} if args.against else {})}
    path = args.out / "bench_latency.json"
    results = json.loads(path.read_text()) if path.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            here = machine()
            took = in_turn(name, checkouts, folder, args.repeat)
            entry = {c: {n: summary(t) for n, t in calls.items()} for c, calls in took.items()}
            results[name] = {"machine": here, "repeat": args.repeat, "result": entry}
            path.write_text(json.dumps(finite(results), indent=1) + "\n")
            for which in CALLS:
                shown = "  ".join(
                    f"{c} {s[which]['wall_s']:7.2f} s {s[which]['cores']:5.2f} cores"
                    for c, s in entry.items()
                )
                print(f"{name:28} {which:7} {shown}", flush=True)


if __name__ == "__main__":
    main()
