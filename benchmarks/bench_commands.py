"""How long commands take on a published table, first and second call, beside another checkout.

    python benchmarks/bench_commands.py [--against FOLDER] [--law additive] [--only fit,trust]

Each command runs as its own process with a fresh cache of compiled programs (first call) and with
that cache (second call). With --against, the same commands of the other checkout run in turn, so
that both see the same load; what counts is the ratio. Needs JAXMIX_PUBLIC_RUNS.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
TARGETS = "loss_github,loss_pile_cc,loss_arxiv"
BUDGET = ["--n-params", "1e9", "--tokens", "5e10"]
LIMITS = ["--max", "stackexchange=0.2", "--group", "books + wikipedia <= 0.3"]


def commands(runs: str, law: str, kind: str) -> dict[str, list[str]]:
    """Arguments by the name of what is measured."""
    fit = ["fit", runs, "--law", kind, "--targets", TARGETS, "--where", "flags == ''", "--out", law]
    return {
        "fit": fit,
        "optimize": ["optimize", law, *BUDGET],
        "optimize with limits": ["optimize", law, *BUDGET, *LIMITS],
        "trust": ["trust", law, runs, *BUDGET],
        "report": ["report", law, runs, "--out", f"{law}.html"],
    }


def seconds(checkout: pathlib.Path, arguments: list[str], cache: str) -> float:
    """Wall time of one call, or NaN if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "JAXMIX_CACHE": cache}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "jaxmix", *arguments], capture_output=True, env=environment, cwd="/"
    )
    if done.returncode:
        print(done.stderr.decode()[-300:], file=sys.stderr)
        return float("nan")
    return time.perf_counter() - begin


def main() -> None:
    """Prints one line per command and call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=pathlib.Path)
    parser.add_argument("--law", default="additive")
    parser.add_argument("--only")
    chosen = parser.parse_args()
    runs = str(pathlib.Path(os.environ["JAXMIX_PUBLIC_RUNS"]) / "redpajama_70M-410M.csv")
    checkouts = {"here": HERE, **({"other": chosen.against} if chosen.against else {})}
    with tempfile.TemporaryDirectory() as folder:
        plans = {name: commands(runs, f"{folder}/{name}.json", chosen.law) for name in checkouts}
        names = chosen.only.split(",") if chosen.only else list(plans["here"])
        if "fit" not in names:
            names = ["fit", *names]
        print(f"{'command':24} {'call':7} " + " ".join(f"{n:>8}" for n in checkouts) + "    ratio")
        for name in names:
            for call in ("first", "second"):
                took = {
                    where: seconds(path, plans[where][name], f"{folder}/{where}-cache")
                    for where, path in checkouts.items()
                }
                shown = " ".join(f"{t:8.1f}" for t in took.values())
                ratio = f"{took['here'] / took['other']:8.2f}" if "other" in took else ""
                print(f"{name:24} {call:7} {shown} {ratio}", flush=True)


if __name__ == "__main__":
    main()
