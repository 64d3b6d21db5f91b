"""Training throughput: one run, a fleet, and eager PyTorch on the same model, in one run.

    python benchmarks/bench_train.py --torch-python DIR/bin/python [--smoke] [--widths 32 64 96] ...

Last result, 2026-11-25, two shared cores of an AMD EPYC (others used 0.01 of them), Python 3.11.7,
JAX 0.10.2, PyTorch 2.13.0+cpu (all figures in ``results/bench_train.json``). Llama-style models of
depth 3 and 1,024 tokens, 16 windows of 128 tokens a step, float32, AdamW and clipping; jaxmix works
through a batch in parts of about 256 tokens, as it does by default on a CPU. Tokens per second,
medians of three rounds of 3 s in which all take turns:

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

PyTorch chooses for itself, by a trial at
each width, between fused and written-out attention and between its two AdamWs. It is the same
model: from one set of parameters both give the same loss within 2e-6, then and over five steps.

The GPU's section (llama-412m, MFU; 64 proxies against one at a time) has not met a GPU yet. Where
JAX finds one it runs instead of the CPU's; JAX_PLATFORMS=cpu brings that back.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

# Before JAX is imported: members of a fleet go to the cores one by one.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")

import jax
import numpy as np
from bench_fit import RESULTS, machine, say

from jaxmix.models import Model, get_preset, text_model
from jaxmix.training import (
    Fleet,
    Member,
    OptimizerConfig,
    fleet_layout,
    measure_rate,
    mfu,
    peak_flops,
    single_layout,
)
from jaxmix.training.program import Program

CORES, VOCABULARY, BATCH, LENGTH, MEMBERS = 2, 1024, 16, 128, 8
RATE, CHECKED = 1e-3, 5  # learning rate and steps of the check that both train the same model
INSTALL = (
    "no torch, so no peer: python -m venv DIR && DIR/bin/pip install torch numpy, then pass "
    "--torch-python DIR/bin/python"
)
# Compiles in half the time, for programs that nobody waits for.
UNOPTIMIZED = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
Rates = dict[str, list[float]]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Training throughput of jaxmix and of PyTorch.")
    parser.add_argument(
        "--smoke", action="store_true", help="does all of it run? no numbers to quote"
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
        "--gpu-batch", type=int, default=32, metavar="B", help="a device's windows, large model"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="DIR", help="default: results/, with --smoke nowhere"
    )
    args = parser.parse_args(arguments)
    if args.smoke:
        args.widths, args.rounds, args.seconds = [32], 1, 0.3
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {UNOPTIMIZED}"
    elif args.out is None:
        args.out = RESULTS
    args.depth = 1 if args.smoke else 3
    if args.torch_python is None and importlib.util.find_spec("torch"):
        args.torch_python = sys.executable
    return args


class Peer:
    """A process that trains with PyTorch; see torch_text.py."""

    def __init__(self, python: str, threads: int) -> None:
        script = str(pathlib.Path(__file__).with_name("torch_text.py"))
        self._process = subprocess.Popen(
            [python, script, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Products go to as many threads as torch is told, whatever jax's libraries were.
            env={k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"},
        )

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def send(self, **message: Any) -> None:
        """Asks without waiting for the reply."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def reply(self) -> Any:
        """The next reply."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the torch process ended; its error stands above")
        return json.loads(line)


def ask(peers: Sequence[Peer], **message: Any) -> list[Any]:
    """Asks all at once and waits for all."""
    for peer in peers:
        peer.send(**message)
    return [peer.reply() for peer in peers]


@contextmanager
def peers(python: str | None) -> Iterator[dict[str, list[Peer]]]:
    """PyTorch as one process with all cores, and as a process for each core."""
    with ExitStack() as stack:
        if python is None:
            say(INSTALL)
            yield {}
        else:
            start = lambda threads: stack.enter_context(Peer(python, threads))  # noqa: E731
            several = [start(1) for _ in range(CORES)]
            yield {"torch single": [start(CORES)], "torch one a core": several}


def write_start(model: Model, path: pathlib.Path) -> dict[str, list[float]]:
    """Writes a model's first parameters and a batch; losses and norms of its first steps."""
    fleet = Fleet((Member("check", 0, RATE),), (1,), BATCH * LENGTH, OptimizerConfig(1, 0))
    program = Program(model, fleet, single_layout())
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (BATCH, LENGTH + 1))
    state = program.init()
    leaves = jax.tree_util.tree_leaves_with_path(state.params)
    named = {".".join(key.key for key in path): np.array(x[0]) for path, x in leaves}
    np.savez(path, tokens=tokens.astype(np.uint16), **named)
    losses, norms = [], []
    for number in range(CHECKED):
        batch = program.place({"tokens": tokens[None].astype(np.uint16)})
        state, metrics = program.step(state, batch, number)
        losses.append(float(metrics.loss[0]))
        norms.append(float(metrics.gradient_norm[0]))
    return {"losses": losses, "norms": norms}


def agreement(ours: Mapping[str, Any], theirs: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Largest differences from torch's losses and norms, either form of attention.

    Raises:
        RuntimeError: the first loss differs by more than 1e-4: it is another model.
    """

    def off(what: str, steps: int) -> float:
        pairs = [(ours[what][:steps], form[what][:steps]) for form in theirs.values()]
        return max(float(np.abs(np.subtract(*pair)).max()) for pair in pairs)

    found = {
        "first_loss": off("losses", 1),
        "first_norm": off("norms", 1),
        "losses": off("losses", CHECKED),
    }
    if found["first_loss"] > 1e-4 or found["losses"] > 1e-3:
        raise RuntimeError(f"torch trains another model: {found}")
    return found


def contest(args: argparse.Namespace, width: int, torch: dict[str, list[Peer]]) -> dict[str, Any]:
    """One width: rates of every contestant, round after round."""
    config = get_preset(f"tiny-{width}", VOCABULARY, depth=args.depth)
    model, seconds = text_model(config), args.seconds
    result: dict[str, Any] = {"preset": f"tiny-{width}", "n_params": model.count().n_params}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "start.npz"
        ours = write_start(model, path)
        for name, group in torch.items():
            ask(group, do="load", file=str(path), heads=config.heads, rate=RATE)
            result["check"] = agreement(ours, ask(group, do="check", steps=CHECKED)[0])
            result[name] = ask(group, do="tune", seconds=seconds / 6)[0]

    def jaxmix(members: int, layout: Any) -> Callable[[], float]:
        batch = random_tokens(members, BATCH, LENGTH, VOCABULARY)
        return lambda: measure_rate(model, batch, LENGTH, layout, seconds=seconds)

    def eager(group: list[Peer]) -> Callable[[], float]:
        return lambda: sum(ask(group, do="rate", seconds=seconds))

    contestants = {name: eager(group) for name, group in torch.items()}
    contestants["jaxmix single"] = jaxmix(1, single_layout())
    contestants[f"jaxmix fleet of {MEMBERS}"] = jaxmix(MEMBERS, fleet_layout())
    return result | summary(in_turn(contestants, args.rounds))


def random_tokens(members: int, batch: int, length: int, vocabulary: int) -> dict[str, np.ndarray]:
    """A fleet's batch of random tokens, [M, B, T + 1]."""
    shape = (members, batch, length + 1)
    return {"tokens": np.random.default_rng(0).integers(0, vocabulary, shape).astype(np.uint16)}


def in_turn(contestants: Mapping[str, Callable[[], float]], rounds: int) -> Rates:
    """Rates of contestants that take turns, each round beginning with another one."""
    rates: Rates = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds):
        for i in range(len(names)):
            name = names[(number + i) % len(names)]
            rates[name].append(contestants[name]())
    return rates


def summary(rates: Rates) -> dict[str, Any]:
    """Medians, and ratios of what was measured in the same round."""
    ours = [name for name in rates if name.startswith("jaxmix")]
    theirs = [name for name in rates if name not in ours]
    if not theirs:
        theirs = ours[:1]
    ratios = {}
    for a, b in ((a, b) for a in ours for b in theirs if a != b):
        each = [x / y for x, y in zip(rates[a], rates[b], strict=True)]
        ratios[f"{a} / {b}"] = {"median": statistics.median(each), "rounds": each}
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {"tokens_per_second": medians, "rounds": rates, "ratios": ratios}


@dataclass(frozen=True)
class Accelerated:
    """What is measured on a GPU.

    Attributes:
        preset: of the large model.
        vocabulary: of the large model.
        batch: windows a step and device of the large model.
        length: of its windows.
        proxy: preset of the proxies.
        members: of their fleet.
        lengths: of their windows, BATCH a step.
        overrides: of both presets.
    """

    preset: str = "llama-412m"
    vocabulary: int = 50_432
    batch: int = 32
    length: int = 1024
    proxy: str = "tiny-128"
    members: int = 64
    lengths: tuple[int, ...] = (128, 512)
    overrides: Mapping[str, Any] = field(default_factory=lambda: {"compute": "bfloat16"})


# Shows anywhere that the code runs.
TOY = Accelerated("tiny-16", 64, 2, 32, "tiny-16", 4, (16,), {"compute": "bfloat16", "depth": 1})


def large_model(plan: Accelerated, rounds: int, seconds: float) -> dict[str, Any]:
    """Tokens per second and MFU of one large run over all devices, bfloat16."""
    config = get_preset(plan.preset, plan.vocabulary, plan.length, **plan.overrides)
    model, devices = text_model(config), jax.device_count()
    batch = random_tokens(1, plan.batch * devices, plan.length, plan.vocabulary)

    def run() -> float:
        return measure_rate(model, batch, plan.length, single_layout(), seconds=seconds)

    rates = in_turn({plan.preset: run}, rounds)[plan.preset]
    rate, flops, peak = statistics.median(rates), model.flops_per_token(plan.length), peak_flops()
    return {
        "preset": plan.preset,
        "devices": devices,
        "batch": plan.batch * devices,
        "length": plan.length,
        "n_params_total": model.count().n_params_total,
        "tokens_per_second": rate,
        "rounds": rates,
        "flops_per_token": flops,
        "peak_flops": peak,
        "mfu": mfu(rate, flops, peak and peak * devices),
    }


def proxies(plan: Accelerated, length: int, rounds: int, seconds: float) -> dict[str, Any]:
    """A fleet against one run at a time, on one device, bfloat16."""
    model = text_model(get_preset(plan.proxy, VOCABULARY, **plan.overrides))

    def rate(members: int, layout: Any) -> Callable[[], float]:
        batch = random_tokens(members, BATCH, length, VOCABULARY)
        return lambda: measure_rate(model, batch, length, layout, seconds=seconds)

    contestants = {
        "jaxmix single": rate(1, single_layout(devices=1)),
        f"jaxmix fleet of {plan.members}": rate(plan.members, fleet_layout(1)),
    }
    what: dict[str, Any] = {"preset": plan.proxy, "length": length, "batch": BATCH}
    what["n_params_total"] = model.count().n_params_total
    return what | summary(in_turn(contestants, rounds))


def on_gpu(plan: Accelerated, rounds: int, seconds: float) -> dict[str, Any]:
    """The section that needs a GPU."""
    found: dict[str, Any] = {"large": large_model(plan, rounds, seconds)}
    found["proxies"] = [proxies(plan, length, rounds, seconds) for length in plan.lengths]
    return found


def on_cpu(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The section that needs a CPU's devices: every width in turn."""
    results = []
    with peers(args.torch_python) as torch:
        for width in args.widths:
            say(f"width {width}")
            results.append(contest(args, width, torch))
            print(line(results[-1]), flush=True)
    return results


def line(result: Mapping[str, Any]) -> str:
    """A width's rates and ratios, to read."""
    rates = [f"{name} {rate:,.0f}" for name, rate in result["tokens_per_second"].items()]
    ratios = [f"{name} {ratio['median']:.2f}" for name, ratio in result["ratios"].items()]
    return f"{result['preset']}, tokens/s: {'; '.join(rates)}\n  {'; '.join(ratios)}"


class Neighbors:
    """How many cores were busy with something other than this benchmark."""

    def __init__(self) -> None:
        self._start = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Wall, the machine's busy and our own seconds; our children's once they have ended."""
        stat = pathlib.Path("/proc/stat")
        fields = stat.read_text().split()[1:9] if stat.is_file() else []
        idle = (3, 4)  # idle, and waiting for input and output
        ticks = sum(int(field) for i, field in enumerate(fields) if i not in idle)
        return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4])

    def cores(self) -> float:
        """Since this object was made; meaningless where there is no /proc/stat."""
        wall, busy, own = np.subtract(self._now(), self._start)
        return round(max(0.0, float((busy - own) / wall)), 2)


def torch_version(python: str | None) -> str | None:
    """Of the peer."""
    if python is None:
        return None
    command = [python, "-c", "import torch; print(torch.__version__)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main(arguments: list[str] | None = None) -> None:
    """Runs the section of this machine's device; its entry in ``bench_train.json`` is replaced."""
    args = parse(arguments)
    kind = jax.default_backend()
    here = machine() | {"torch": torch_version(args.torch_python) if kind == "cpu" else None}
    neighbors = Neighbors()
    with tempfile.TemporaryDirectory() as cache:
        # Every round compiles the same programs again; nothing of that is timed.
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        if kind != "cpu":
            plan = TOY if args.smoke else Accelerated(batch=args.gpu_batch)
            result: Any = on_gpu(plan, args.rounds, args.seconds)
            print(json.dumps(result, indent=1), flush=True)
        else:
            result = on_cpu(args)
            if args.smoke:
                say("the GPU's section, at the size of a toy")
                on_gpu(TOY, 1, 0.1)
    here["cores_of_others"] = neighbors.cores()
    print(json.dumps(here))
    if args.out is not None:
        paths = ("out", "torch_python")
        settings = {name: value for name, value in vars(args).items() if name not in paths}
        write(args.out, kind, {"machine": here, "settings": settings}, result)


def write(folder: pathlib.Path, section: str, about: dict[str, Any], result: Any) -> None:
    """Replaces a section of the results."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench_train.json"
    results = json.loads(path.read_text()) if path.is_file() else {}
    results[section] = about | {"result": result}
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
