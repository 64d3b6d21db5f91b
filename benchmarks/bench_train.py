"""Training throughput: one run, a fleet, and eager PyTorch on the same model, in one run.

    python benchmarks/bench_train.py --torch-python DIR/bin/python [--family text] [--smoke] ...

Last result of the text family, 2026-11-25, two shared cores of an AMD EPYC (others used 0.01 of
them), Python 3.11.7, JAX 0.10.2, PyTorch 2.13.0+cpu (all figures of a family in
``results/bench_train_<family>.json``). Llama-style models of depth 3 and 1,024 tokens, 16 windows
of 128 tokens a step, float32, AdamW and clipping; jaxmix works through a batch in parts of about
256 tokens, as it does by default on a CPU. Tokens per second, medians of three rounds of 3 s in
which all take turns:

    width                                     32       64       96
    PyTorch, one process on both cores    49,729   40,494   28,396
    PyTorch, a process on each core       91,782   53,635   34,257
    jaxmix, one run on both cores        113,180   52,141   34,838
    jaxmix, a fleet of 8                 136,295   63,251   36,092

    one run / PyTorch's one process         2.28     1.29     1.23
    fleet / PyTorch's one process           2.74     1.56     1.27
    fleet / PyTorch's process a core        1.48     1.18     1.05

With whole batches the last two rows were 1.40, .96, 1.08 and .87, .76, .78 half an hour earlier.
Where another program holds a core, PyTorch's two threads can fall to a fiftieth of their speed:
a loaded run's ratios to it mean nothing.

PyTorch chooses for itself, by a trial at each width, between fused and written-out attention and
between its two AdamWs. It is the same model: from one set of parameters both give the same loss
within 2e-6, then and over five steps.

Batches of the image families are even mixtures of the prepared corpora `nmm` and `lvm` (bpe-1024),
or of made pictures where there are none. Early fusion: 8 packed rows of 128 positions; vision: 32
records of 16 patches and 16 places for a caption, whose positions all count as tokens. From one
set of parameters and one such batch of real pictures PyTorch's losses are ours within 2e-6 at all
three widths, then and over five steps. Early fusion, the same day (others used .17 cores on
average; at width 32 the first of three rounds was disturbed, and medians are of all three):

    width                                     32       64       96
    PyTorch, one process on both cores    35,793   36,108   21,282
    PyTorch, a process on each core       65,203   44,798   28,352
    jaxmix, one run on both cores         70,159   39,567   25,935
    jaxmix, a fleet of 8                 103,291   47,374   29,227

    one run / PyTorch's one process         2.07     1.04     1.15
    fleet / PyTorch's one process           2.89     1.30     1.28
    one run / PyTorch's process a core      1.13      .88      .93
    fleet / PyTorch's process a core        1.62     1.06      .99

Vision, the same day (others used .00 cores):

    width                                     32       64       96
    PyTorch, one process on both cores    57,485   38,121   27,397
    PyTorch, a process on each core       83,416   50,343   34,964
    jaxmix, one run on both cores         64,376   42,142   25,795
    jaxmix, a fleet of 8                 135,845   61,579   31,039

    one run / PyTorch's one process         1.12     1.08      .93
    fleet / PyTorch's one process           2.48     1.53     1.12
    one run / PyTorch's process a core       .78      .84      .76
    fleet / PyTorch's process a core        1.67     1.17      .91

These are a CPU's figures; `h200.py` has a GPU's.
"""

import argparse
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

# Before JAX is imported: members of a fleet go to the cores one by one, also beside a GPU.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
from bench_fit import RESULTS, machine, say
from packing import trained
from pictures import VOCABULARY
from torch_process import Peer, agreement, ask, peers, torch_python, torch_version
from turns import UNOPTIMIZED, Neighbors, in_turn, summary
from workloads import WORKLOADS, Batch, Workload

from jaxmix.models import Model, VisionConfig, get_preset
from jaxmix.training import Fleet, Member, OptimizerConfig, fleet_layout, single_layout
from jaxmix.training.program import Program

MEMBERS = 8
RATE, CHECKED = 1e-3, 5  # learning rate and steps of the check that both train the same model


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Training throughput of jaxmix and of PyTorch.")
    parser.add_argument(
        "--smoke", action="store_true", help="does all of it run? no numbers to quote"
    )
    parser.add_argument(
        "--family", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS), help="default: all"
    )
    parser.add_argument(
        "--torch-python",
        metavar="PATH",
        help="interpreter that has torch; default: this one, where it has",
    )
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 64, 96], metavar="D")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="of a measurement")
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="DIR", help="default: results/, with --smoke nowhere"
    )
    args = parser.parse_args(arguments)
    if args.smoke:
        args.widths, args.rounds, args.seconds = [32], 1, 0.3
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {UNOPTIMIZED}"
        os.environ["JAXMIX_CACHE"] = str(pathlib.Path(__file__).parent)  # holds no corpus
    elif args.out is None:
        args.out = RESULTS
    args.depth = 1 if args.smoke else 3
    args.torch_python = torch_python(args.torch_python)
    return args


def write_start(model: Model, batch: Batch, positions: int, path: pathlib.Path) -> dict[str, Any]:
    """Writes a model's first parameters and a batch; losses and norms of its first steps."""
    fleet = Fleet((Member("check", 0, RATE),), (1,), positions, OptimizerConfig(1, 0))
    program = Program(model, fleet, single_layout())
    state = program.init()
    leaves = jax.tree_util.tree_leaves_with_path(state.params)
    arrays: dict[str, Any] = {f"batch.{name}": value[0] for name, value in batch.items()}
    arrays |= {".".join(["params", *(k.key for k in keys)]): np.array(x[0]) for keys, x in leaves}
    np.savez(path, **arrays)
    losses, norms = [], []
    for number in range(CHECKED):
        state, metrics = program.step(state, program.place(batch), number)
        losses.append(float(metrics.loss[0]))
        norms.append(float(metrics.gradient_norm[0]))
    return {"losses": losses, "norms": norms}


def load(
    torch: dict[str, list[Peer]], work: Workload, config: Any, batch: Batch, seconds: float
) -> dict[str, Any]:
    """Gives torch our start and batch, checks that it trains the same model, and tunes it."""
    settings = {"heads": config.heads, "length": work.length}
    if isinstance(config, VisionConfig):
        assert config.decoder_heads == config.heads
        settings |= {"patches": config.grid.patches, "alpha": config.alpha}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "start.npz"
        ours = write_start(work.model(config), batch, work.batch * work.length, path)
        message = {"file": str(path), "family": work.family, "rate": RATE, "settings": settings}
        for name, group in torch.items():
            ask(group, do="load", **message)
            found["check"] = agreement(ours, ask(group, do="check", steps=CHECKED)[0])
            found[name] = ask(group, do="tune", seconds=seconds / 6)[0]
    return found


def contest(
    args: argparse.Namespace, work: Workload, width: int, torch: dict[str, list[Peer]]
) -> dict[str, Any]:
    """One width: rates of every contestant, round after round."""
    preset, seconds = f"{work.prefix}{width}", args.seconds
    config = get_preset(preset, VOCABULARY, depth=args.depth)
    model = work.model(config)
    result = {"preset": preset, "n_params": model.count().n_params, "batches": work.origin}
    result |= load(torch, work, config, work.make(config, 1), seconds)

    def jaxmix(members: int, layout: Any) -> Callable[[], float]:
        return trained(model, work.make(config, members), work.length, layout, seconds)

    def eager(group: list[Peer]) -> Callable[[], float]:
        return lambda: sum(ask(group, do="rate", seconds=seconds))

    contestants = {name: eager(group) for name, group in torch.items()}
    contestants["jaxmix single"] = jaxmix(1, single_layout())
    contestants[f"jaxmix fleet of {MEMBERS}"] = jaxmix(MEMBERS, fleet_layout())
    return result | summary(in_turn(contestants, args.rounds))


def on_cpu(args: argparse.Namespace, work: Workload) -> list[dict[str, Any]]:
    """The section that needs a CPU's devices: every width in turn."""
    results = []
    with peers(args.torch_python) as torch:
        for width in args.widths:
            say(f"{work.family}, width {width}")
            results.append(contest(args, work, width, torch))
            print(line(results[-1]), flush=True)
    return results


def line(result: Mapping[str, Any]) -> str:
    """A width's rates and ratios, to read."""
    rates = [f"{name} {rate:,.0f}" for name, rate in result["tokens_per_second"].items()]
    ratios = [f"{name} {ratio['median']:.2f}" for name, ratio in result["ratios"].items()]
    return f"{result['preset']}, tokens/s: {'; '.join(rates)}\n  {'; '.join(ratios)}"


def main(arguments: list[str] | None = None) -> None:
    """Measures every family, and replaces the figures in ``bench_train_<family>.json``."""
    args = parse(arguments)
    torch = torch_version(args.torch_python)
    apart = ("out", "torch_python", "family")
    settings = {name: value for name, value in vars(args).items() if name not in apart}
    with tempfile.TemporaryDirectory() as cache:
        # Every round compiles the same programs again; nothing of that is timed.
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        for family in args.family:
            here, neighbors = machine() | {"torch": torch}, Neighbors()
            result = on_cpu(args, WORKLOADS[family])
            here["cores_of_others"] = neighbors.cores()
            print(json.dumps(here), flush=True)
            if args.out is not None:
                entry = {"machine": here, "settings": settings, "result": result}
                write(args.out / f"bench_train_{family}.json", "cpu", entry)


def write(path: pathlib.Path, section: str, entry: dict[str, Any]) -> None:
    """Replaces a section of the results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(results | {section: entry}, indent=1) + "\n")


if __name__ == "__main__":
    main()
