"""What a GPU shows in eight minutes: a JSON line for every measurement, the most valuable first.

    python benchmarks/h200.py [--toy] [--seconds 480] [--out FILE]

Rates and MFU of one large run of each family (attention counted as causal, or by its exact ranges
of keys), how far bfloat16 is from float32 in loss and gradient, fleets of proxies, and fits a
second beside the CPU's. It needs jaxmix's models, training and fitting, but no package that reads
data. What fails is written down, and the next measurement begins; nothing begins after the
deadline. --toy runs all of it on any machine, at sizes that show nothing.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # it is not installed there
if "--toy" in sys.argv:  # before JAX is imported: nobody waits for these programs
    quick = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {quick}"
# What is compiled once is there for a second call, after the first was cut short.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), "jaxmix-h200")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix import fit, load_example
from jaxmix.models import (
    Model,
    MultimodalConfig,
    batch_flops,
    family_of,
    get_preset,
    multimodal_model,
    text_model,
    vision_model,
)
from jaxmix.training import fleet_layout, measure_rate, mfu, peak_flops, single_layout

MAKERS: Mapping[str, Callable[[Any], Model]] = {
    "text": text_model,
    "multimodal": multimodal_model,
    "vision": vision_model,
}
Batch = dict[str, Any]
Found = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        large: preset, records and positions of the large runs.
        vocabulary: of all models.
        checked: depth and records in the comparison of bfloat16 with float32.
        proxy: preset, records and positions of the members of fleets.
        members: of the fleets.
        law: that is fitted.
        restarts: of the fits.
        seconds: of a measurement.
        overrides: of the large presets.
    """

    large: tuple[tuple[str, int, int], ...]
    vocabulary: int
    checked: tuple[int, int]
    proxy: tuple[str, int, int]
    members: tuple[int, ...]
    law: str
    restarts: tuple[int, ...]
    seconds: float
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)


# Pictures of 224 pixels have 256 patches, behind which captions have 64 places.
FULL = Sizes(
    large=(("llama-412m", 32, 1024), ("nmm-275m", 32, 1024), ("lvm-89m", 96, 320)),
    vocabulary=50_432,
    checked=(4, 4),
    proxy=("tiny-128", 16, 128),
    members=(1, 8, 64),
    law="additive",
    restarts=(1_000, 10_000),
    seconds=4.0,
)
TOY = Sizes(
    large=(("tiny-16", 2, 32), ("nmm-tiny-16", 2, 64), ("lvm-tiny-16", 2, 24)),
    vocabulary=64,
    checked=(1, 2),
    proxy=("tiny-16", 2, 16),
    members=(1, 2),
    law="additive-fixed-nd",
    restarts=(8,),
    seconds=0.05,
    overrides={"depth": 1, "compute": "bfloat16", "scan": False, "remat": "none"},
)


def made(preset: str, sizes: Sizes, length: int, **overrides: Any) -> tuple[Model, Any]:
    """A model and its configuration."""
    settings = dict(sizes.overrides) | overrides
    if family_of(preset) == "vision" and "depth" in settings:
        settings["decoder_depth"] = settings["depth"]
    config = get_preset(preset, sizes.vocabulary, length=length, **settings)
    return MAKERS[family_of(preset)](config), config


def records(preset: str, config: Any, members: int, count: int, length: int) -> Batch:
    """A step's random records [M, B, ...], as the family's readers make them."""
    rng, shape = np.random.default_rng(0), (members, count, length)
    family, batch = family_of(preset), {}
    if family == "text":
        tokens = rng.integers(0, config.vocab_size, (members, count, length + 1))
        return {"tokens": tokens.astype(np.uint16)}
    patches, pixels = config.grid.patches, config.grid.patch_dim
    if family == "vision":
        shape = (members, count, length - patches)
        batch["prefix"] = rng.integers(1, patches, shape[:2]).astype(np.int32)
        held, counted = (members, count, patches, pixels), np.ones(shape[2])
    else:
        ranges, held = documents(length, patches), (*shape, pixels)
        counted = np.ones(length) - ranges["is_patch"]
        batch |= {name: np.broadcast_to(x, shape).copy() for name, x in ranges.items()}
    for name in ("tokens", "targets"):
        batch[name] = rng.integers(0, config.vocab_size, shape).astype(np.uint16)
    batch["counted"] = np.broadcast_to(counted, shape).astype(np.uint8)
    return batch | {"patches": rng.integers(0, 256, held, np.uint8)}


def documents(length: int, patches: int) -> Batch:
    """Who sees whom in a row of documents, each a picture between halves of as much text."""
    at = np.arange(length)
    start = at - at % (2 * patches)
    first = start + patches // 2  # of the picture
    is_patch = (at >= first) & (at < first + patches)
    end = np.minimum(np.where(is_patch, first + patches, at + 1), length)
    found = {"key_start": start.astype(np.int32), "key_end": end.astype(np.int32)}
    return found | {"is_patch": is_patch.astype(np.uint8)}


def large(sizes: Sizes, which: int) -> Found:
    """Tokens per second and MFU of one run, over all devices."""
    preset, count, length = sizes.large[which]
    model, config = made(preset, sizes, length)
    layout = single_layout()
    devices = layout.mesh.size
    batch = records(preset, config, 1, count * devices, length)
    positions = count * devices * length
    flops = model.flops_per_token(length)
    if isinstance(config, MultimodalConfig):
        flops = batch_flops(config, batch) / positions
    rate = measure_rate(model, batch, length, layout, seconds=sizes.seconds)
    peak = peak_flops()
    return {
        "tokens_per_second": round(rate),
        "ms": round(1e3 * positions / rate, 2),
        "mfu": mfu(rate, flops, peak and peak * devices),
        "flops_per_token": flops,
        "batch": count * devices,
        "length": length,
        "compute": config.compute,
        "peak_gib": peak_gib(),
    }


def peak_gib() -> float | None:
    """Memory that one device has taken so far, in any measurement; None on a CPU."""
    told = jax.local_devices()[0].memory_stats() or {}
    return round(told["peak_bytes_in_use"] / 2**30, 2) if "peak_bytes_in_use" in told else None


def agreement(sizes: Sizes, which: int) -> Found:
    """How far bfloat16's loss and gradient are from float32's, a few layers deep."""
    preset, _, length = sizes.large[which]
    depth, count = sizes.checked
    sides = []
    for compute in ("float32", "bfloat16"):
        model, config = made(preset, sizes, length, depth=depth, compute=compute)
        whole = records(preset, config, 1, count, length)
        batch = {name: jnp.asarray(value[0]) for name, value in whole.items()}
        sides.append(loss_and_gradient(model, batch))
    (wide, a), (narrow, b) = sides
    error = float(jnp.linalg.norm(a - b) / jnp.linalg.norm(a))
    cosine = float(a @ b / (jnp.linalg.norm(a) * jnp.linalg.norm(b)))
    found: Found = {"loss_float32": wide, "loss_bfloat16": narrow}
    found["loss_error"] = abs(narrow / wide - 1)
    return found | {"gradient_error": error, "gradient_cosine": cosine, "depth": depth}


def loss_and_gradient(model: Model, batch: Mapping[str, jax.Array]) -> tuple[float, jax.Array]:
    """The mean loss of a batch at the first parameters, and its gradient as one vector."""

    def mean(params: Any) -> jax.Array:
        losses = model.losses(params, batch)
        return losses.sums.sum() / losses.counts.sum()

    # Otherwise float32 products are of TF32 on a GPU.
    with jax.default_matmul_precision("highest"):
        loss, gradient = jax.jit(jax.value_and_grad(mean))(jax.jit(model.init)(jax.random.key(0)))
    leaves = [leaf.astype(jnp.float32).ravel() for leaf in jax.tree.leaves(gradient)]
    return float(loss), jnp.concatenate(leaves)


def proxies(sizes: Sizes, members: int) -> Found:
    """Tokens per second of a fleet on one device."""
    preset, count, length = sizes.proxy
    model, config = made(preset, sizes, length, compute="bfloat16")
    batch = records(preset, config, members, count, length)
    rate = measure_rate(model, batch, length, fleet_layout(1), seconds=sizes.seconds)
    return {"tokens_per_second": round(rate), "batch": count, "length": length}


def fits(law: str, restarts: int, platform: str) -> Found:
    """Local solves a second of one target, in float64, once all is compiled."""
    runs = load_example("multimodal")
    device: Any = contextlib.nullcontext()
    if platform == "cpu":
        device = jax.default_device(jax.devices("cpu")[0])
    with device:
        ask = functools.partial(fit, runs, law, targets=runs.targets[:1], restarts=restarts)
        ask()
        begun = time.monotonic()
        (fitted,) = ask()
    taken = time.monotonic() - begun
    report = fitted.report
    found: Found = {"fits_per_second": restarts / taken, "seconds": taken}
    return found | {"objective": report.objective, "agreeing": report.agreeing}


def measurements(sizes: Sizes) -> dict[str, Callable[[], Found]]:
    """All of them by name, the most valuable first."""
    found: dict[str, Callable[[], Found]] = {}
    for i, (preset, *_) in enumerate(sizes.large):
        found[f"train {preset}"] = functools.partial(large, sizes, i)
        found[f"bfloat16 {preset}"] = functools.partial(agreement, sizes, i)
    for count in sizes.members:
        found[f"fleet {count} x {sizes.proxy[0]}"] = functools.partial(proxies, sizes, count)
    for restarts in sizes.restarts:
        for platform in ("accelerator", "cpu"):
            name = f"fit {restarts} restarts, {platform}"
            found[name] = functools.partial(fits, sizes.law, restarts, platform)
    return found


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises TimeoutError in the block once so much time is over."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"the deadline, after {seconds:.0f} s")

    usual = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)


def told(name: str, measure: Callable[[], Found], deadline: float) -> Found:
    """A measurement's line, also if it fails or there is no time for it."""
    begun = time.monotonic()
    if begun >= deadline:
        return {"name": name, "skipped": "the deadline"}
    try:
        with limited(deadline - begun):
            line = {"name": name} | measure()
    except Exception as error:  # whatever it is, the next measurement may be worth its time
        line = {"name": name, "error": f"{type(error).__name__}: {error}"[:500]}
    return line | {"took": round(time.monotonic() - begun, 1)}


def machine() -> Found:
    devices = jax.devices()
    kind, count = devices[0].device_kind, len(devices)
    found = {"device": kind, "devices": count, "jax": jax.__version__, "cores": os.cpu_count()}
    return found | {"python": sys.version.split()[0], "date": time.strftime("%Y-%m-%d")}


def main(arguments: list[str] | None = None) -> None:
    """Measures until the deadline."""
    parser = argparse.ArgumentParser(description="Training and fits on a GPU, as JSON lines.")
    parser.add_argument("--toy", action="store_true", help="does all of it run?")
    parser.add_argument("--seconds", type=float, default=480.0, help="the deadline")
    parser.add_argument("--out", type=pathlib.Path, help="default: h200.jsonl in $OUT, if set")
    args = parser.parse_args(arguments)
    deadline = time.monotonic() + args.seconds
    out = args.out or (
        pathlib.Path(os.environ["OUT"], "h200.jsonl") if "OUT" in os.environ else None
    )
    with out.open("a") if out else contextlib.nullcontext() as file:

        def write(line: Found) -> None:
            print(json.dumps(line), file=sys.stdout, flush=True)
            if file:
                print(json.dumps(line), file=file, flush=True)

        write(told("machine", machine, deadline))
        for name, measure in measurements(TOY if args.toy else FULL).items():
            write(told(name, measure, deadline))


if __name__ == "__main__":
    main()
