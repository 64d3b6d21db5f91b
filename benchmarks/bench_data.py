"""Throughput of the host's data pipeline, and how many times a consumer's need that is.

    python benchmarks/bench_data.py [--smoke] [--threads 1] ...

Last result, 2026-11-25, two shared cores of an AMD EPYC (others used one of them), Python 3.11.7,
NumPy 2.4 (all figures in ``results/bench_data.json``). Seven domains of 20M tokens on disk and in
the page cache, a mixture for each member, one thread that reads ahead. Millions of tokens per
second, medians of three rounds of 1 s; each is also the ratio to a GPU that trains on 1M tokens per
second:

    batch x length     8 x 128   8 x 1024   64 x 128   64 x 1024
    1 member               8.7         67         54         347
    16 members              17        140        101         597

The fastest trainer on this machine (bench_train.py, 136,295) is 64 times slower than the slowest of
these, and 125 times slower than that with 16 members. Disks and the other core's training are not
in these figures.
"""

import argparse
import json
import pathlib
import statistics
import tempfile
import time
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from bench_fit import RESULTS, machine, say
from bench_train import Neighbors, in_turn

from jaxmix.data import MixtureSource, TokenWindows, batches

DOMAINS, VOCABULARY = 7, 50_432
GPU_CONSUMER = 1e6  # tokens per second that a GPU's fleet might read


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Throughput of the host's data pipeline.")
    parser.add_argument("--smoke", action="store_true", help="does it run? no numbers to quote")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="of a measurement")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="that read ahead")
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="DIR", help="default: results/, with --smoke nowhere"
    )
    args = parser.parse_args(arguments)
    args.tokens = 20_000_000  # a domain
    if args.smoke:
        args.rounds, args.seconds, args.tokens = 1, 0.1, 200_000
    elif args.out is None:
        args.out = RESULTS
    return args


def streams(folder: pathlib.Path, tokens: int) -> dict[str, np.ndarray]:
    """Domains of random tokens on disk, as a corpus opens them."""
    rng = np.random.default_rng(0)
    found = {}
    for i in range(DOMAINS):
        path = folder / f"domain{i}.train.bin"
        rng.integers(0, VOCABULARY, tokens, np.uint16).tofile(path)
        found[f"domain{i}"] = np.memmap(path, np.uint16, "r")
    return found


def rate(
    domains: dict[str, np.ndarray],
    members: int,
    batch: int,
    length: int,
    threads: int,
    seconds: float,
) -> float:
    """Tokens per second of all members, every one with a mixture of its own."""
    windows = {name: TokenWindows(stream, length) for name, stream in domains.items()}
    drawn = np.random.default_rng(1).dirichlet(np.ones(DOMAINS), members)
    mixtures = [dict(zip(windows, h, strict=True)) for h in drawn.tolist()]
    sources = [MixtureSource(windows, h, seed, batch) for seed, h in enumerate(mixtures)]
    iterator = batches(sources, threads=threads)
    for _ in range(5):  # threads start, and the steps that were read ahead are used up
        next(iterator)
    steps, begun = 0, time.monotonic()
    while not steps or time.monotonic() - begun < seconds:
        assert next(iterator)["tokens"].shape == (members, batch, length + 1)
        steps += 1
    return steps * members * batch * length / (time.monotonic() - begun)


def fastest_consumer(path: pathlib.Path) -> tuple[str, float] | None:
    """Who trained fastest in bench_train.json, and at how many tokens per second."""
    if not path.is_file():
        return None
    sections = json.loads(path.read_text())
    results = [*sections.get("cpu", {"result": []})["result"]]
    results += sections.get("gpu", {"result": {"proxies": []}})["result"]["proxies"]
    found = [
        (f"{name}, {result['preset']}", value)
        for result in results
        for name, value in result["tokens_per_second"].items()
    ]
    return max(found, key=lambda pair: pair[1], default=None)


def table(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Rates by members, batch and length, measured in turns."""
    grid = list(product((1, 16), (8, 64), (128, 1024)))
    with tempfile.TemporaryDirectory() as folder:
        domains = streams(pathlib.Path(folder), args.tokens)
        runs = {
            repr(point): partial(rate, domains, *point, args.threads, args.seconds)
            for point in grid
        }
        rates = in_turn(runs, args.rounds)
    return [
        {
            "members": members,
            "batch": batch,
            "length": length,
            "tokens_per_second": statistics.median(values),
            "rounds": values,
        }
        for (members, batch, length), values in zip(grid, rates.values(), strict=True)
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints, and writes ``bench_data.json``."""
    args = parse(arguments)
    here, neighbors = machine(), Neighbors()
    rows = table(args)
    here["cores_of_others"] = neighbors.cores()
    consumers = {"GPU, as stated": GPU_CONSUMER}
    trained = fastest_consumer(RESULTS / "bench_train.json")
    if trained is None:
        say("results/bench_train.json is not there: no consumer on this machine to compare with")
    else:
        consumers[trained[0]] = trained[1]
    for row in rows:
        row["ratios"] = {who: row["tokens_per_second"] / need for who, need in consumers.items()}
        ratios = "; ".join(f"{ratio:.1f} x {who}" for who, ratio in row["ratios"].items())
        shape = f"{row['members']:2} x {row['batch']:2} x {row['length']:4}"
        print(f"{shape}  {row['tokens_per_second']:14,.0f} tokens/s  {ratios}")
    print(json.dumps(here))
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        settings = {name: value for name, value in vars(args).items() if name != "out"}
        entry = {"machine": here, "settings": settings, "consumers": consumers}
        text = json.dumps(entry | {"result": rows}, indent=1)
        (args.out / "bench_data.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
