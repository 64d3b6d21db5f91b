"""Throughput of the host's data pipeline, and how many times a consumer's need that is.

    python benchmarks/bench_data.py [--family text] [--smoke] [--threads 1] ...

Last result of text, 2026-11-25, two shared cores of an AMD EPYC (others used one of them), Python
3.11.7, NumPy 2.4 (all figures in ``results/bench_data.json``). Seven domains of 20M tokens on disk
and in the page cache, a mixture for each member, one thread that reads ahead. Millions of tokens
per second, medians of three rounds of 1 s; each is also the ratio to a GPU that trains on 1M tokens
per second:

    batch x length     8 x 128   8 x 1024   64 x 128   64 x 1024
    1 member               8.7         67         54         347
    16 members              17        140        101         597

The fastest trainer on this machine (bench_train.py, 136,295) is 64 times slower than the slowest of
these, and 125 times slower than that with 16 members. Disks and the other core's training are not
in these figures.

The image families' sections measure images per second, decoded for the first time and later,
augmented and cut into patches, on an even mixture, in turns with the fleets of tiny models that
consume them on both cores. The ratio is to be 3 or more. Early fusion, the corpus `nmm`, the same
day (others used .28 cores on average, and most in the first round), medians of three rounds of 1 s:

    members, threads     images/s    times what is consumed by nmm-tiny-
                                       24      32      48      64
     1, 1                  10,591     7.0     8.2    10.1    14.4
     1, 2                   9,187     6.1     7.0     9.3    13.7
    16, 1                  13,801     5.2     7.1    11.8    16.7
    16, 2                  12,125     4.5     6.3     9.4    14.1

A second thread does not help. Decoded for the first time it is 2,220 images/s with one thread, .8
times what 16 members of nmm-tiny-24 consume. Of the positions of `nmm`'s packed captions (rows of
128) 97% are used and 34% predict text; in rows of 41, the longest caption's, with one picture each,
56% and 20%. Packed, a fleet of 16 trains on 1.58 times as many predicted tokens per second (1.55 to
1.61).

Vision, the corpus `lvm`, the same day (others used .00 cores):

    members, threads     images/s    times what is consumed by lvm-tiny-
                                       24      32      48      64
     1, 1                  12,670     5.3     5.6     7.5     9.6
     1, 2                   7,470     3.0     3.2     4.5     5.7
    16, 1                  15,440     2.5     3.3     6.0     8.4
    16, 2                   8,576     1.4     1.8     3.4     4.8

One thread, which is the default, falls short of 3 for 16 members of the narrowest model; two
hinder each other. Decoded for the first time it is 4,128 images/s with one thread. Of a record's
places for a caption 40% are used.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import tempfile
from functools import partial
from itertools import product
from typing import Any

# Before JAX is imported: members of a fleet go to the cores one by one.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")

import jax
import numpy as np
from bench_fit import RESULTS, machine, say
from image_data import Extent, captions, image_section, large_rates, lines, slots, stream_rate
from turns import UNOPTIMIZED, Neighbors, in_turn
from workloads import WORKLOADS

from jaxmix.data import MixtureSource, TokenWindows

DOMAINS, VOCABULARY = 7, 50_432
GPU_CONSUMER = 1e6  # tokens per second that a GPU's fleet might read


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Throughput of the host's data pipeline.")
    parser.add_argument("--smoke", action="store_true", help="does it run? no numbers to quote")
    parser.add_argument(
        "--family", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS), help="default: all"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="of a measurement")
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="that read text ahead; images: 1 and 2"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="DIR", help="default: results/, with --smoke nowhere"
    )
    args = parser.parse_args(arguments)
    args.tokens = 20_000_000  # a domain
    if args.smoke:
        args.rounds, args.seconds, args.tokens = 1, 0.1, 200_000
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {UNOPTIMIZED}"
        os.environ["JAXMIX_CACHE"] = str(pathlib.Path(__file__).parent)  # holds no corpus
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
    return stream_rate(sources, length, threads, seconds)


def fastest_consumer(path: pathlib.Path) -> tuple[str, float] | None:
    """Who trained fastest in bench_train_text.json, and at how many tokens per second."""
    if not path.is_file():
        return None
    sections = json.loads(path.read_text())
    results = sections.get("cpu", {"result": []})["result"]
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


def text(args: argparse.Namespace) -> dict[str, Any]:
    """Windows of tokens, beside a GPU as one might be and this machine's fastest trainer."""
    consumers = {"GPU, as stated": GPU_CONSUMER}
    trained = fastest_consumer(RESULTS / "bench_train_text.json")
    if trained is None:
        say("results/bench_train_text.json is not there: no consumer on this machine to compare")
    else:
        consumers[trained[0]] = trained[1]
    rows = table(args)
    for row in rows:
        row["ratios"] = {who: row["tokens_per_second"] / need for who, need in consumers.items()}
        ratios = "; ".join(f"{ratio:.1f} x {who}" for who, ratio in row["ratios"].items())
        shape = f"{row['members']:2} x {row['batch']:2} x {row['length']:4}"
        print(f"{shape}  {row['tokens_per_second']:14,.0f} tokens/s  {ratios}", flush=True)
    return {"consumers": consumers, "result": rows}


def pictures(args: argparse.Namespace, family: str) -> dict[str, Any]:
    """Images of a family, beside what its tiny models consume."""
    extent = Extent(rounds=args.rounds, seconds=args.seconds)
    if args.smoke:
        extent = dataclasses.replace(extent, members=(1, 2), widths=(16,), depth=1)
    found = image_section(family, extent)
    print("\n".join(lines(found)), flush=True)
    if family == "multimodal":
        also: dict[str, Any] = {"packing": captions(extent)}
    else:
        also = {"slots": slots(extent), "large": large_rates(3 * extent.seconds)}
    print(json.dumps(also), flush=True)
    return {"extent": dataclasses.asdict(extent), "result": found | also}


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints, and replaces the families' sections of ``bench_data.json``."""
    args = parse(arguments)
    with tempfile.TemporaryDirectory() as cache:
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        for family in args.family:
            say(family)
            here, neighbors = machine(), Neighbors()
            found = text(args) if family == "text" else pictures(args, family)
            here["cores_of_others"] = neighbors.cores()
            print(json.dumps(here), flush=True)
            if args.out is not None:
                settings = {k: v for k, v in vars(args).items() if k not in ("out", "family")}
                write(args.out, family, {"machine": here, "settings": settings} | found)


def write(folder: pathlib.Path, section: str, entry: dict[str, Any]) -> None:
    """Replaces a section of the results."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench_data.json"
    results = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(results | {section: entry}, indent=1) + "\n")


if __name__ == "__main__":
    main()
