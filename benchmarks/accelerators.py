"""Training steps compiled for TPUs and GPUs on a machine without one, beside the last figures.

    python benchmarks/accelerators.py [--only NAME,...] [--write]

Needs libtpu, or jax-cuda13-plugin and jax-cuda13-pjrt, of the version that fits JAX; programs whose
compiler is missing are left out. A figure that is 5% worse than the committed one ends with
status 1; --write replaces the committed figures.
"""

import argparse
import json
import os
import pathlib
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from jaxmix.cli.dry_run import COMPILERS

if __name__ == "__main__":  # before JAX is imported; tests use the cases
    os.environ.update(COMPILERS)

import jax
import jax.numpy as jnp

from jaxmix.errors import JaxmixError
from jaxmix.models import (
    family_of,
    get_preset,
    multimodal_model,
    text_model,
    vision_model,
)
from jaxmix.training import Fleet, Member, OptimizerConfig
from jaxmix.training.targets import Compiled, Target, compile_step

FIGURES = pathlib.Path(__file__).parent / "results" / "accelerators.json"
MAKERS = {"text": text_model, "multimodal": multimodal_model, "vision": vision_model}
VOCABULARY = 50_432
WORSE = 1.05


@dataclass(frozen=True)
class Case:
    """A training step: `members` runs of a preset with `batch` records each, on a target."""

    preset: str
    target: str
    batch: int
    length: int
    members: int = 1
    fsdp: int | None = None
    vocabulary: int = VOCABULARY
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        runs = f"{self.members}x" if self.members > 1 else ""
        return f"{runs}{self.preset} {self.target} B{self.batch} T{self.length}"


def fleet(preset: str, target: str, members: int, length: int) -> Case:
    return Case(preset, target, 16, length, members, None, 4096, {"compute": "bfloat16"})


CASES = (
    Case("llama-412m", "h200", 32, 1024, fsdp=1),
    Case("nmm-275m", "h200", 32, 1024, fsdp=1),
    Case("lvm-89m", "h200", 64, 272, fsdp=1),
    Case("llama-412m", "h200-8", 64, 1024, fsdp=8),
    Case("nmm-275m", "h200-4", 32, 1024, fsdp=4),
    Case("lvm-89m", "h200-4", 64, 272, fsdp=4),
    fleet("tiny-128", "h200", 64, 128),
    fleet("nmm-tiny-128", "h200", 16, 128),
    fleet("lvm-tiny-128", "h200", 16, 32),
    Case("llama-412m", "v5e-1", 8, 1024, fsdp=1),
    Case("llama-412m", "v5e-8", 64, 1024, fsdp=8),
    Case("nmm-275m", "v5e-8", 32, 1024, fsdp=8),
    Case("lvm-89m", "v5e-8", 64, 272, fsdp=8),
    Case("llama-412m", "v6e-8", 64, 1024, fsdp=8),
    fleet("tiny-128", "v5e-1", 16, 128),
)


def config_of(case: Case) -> Any:
    return get_preset(case.preset, case.vocabulary, length=case.length, **case.overrides)


def records(preset: str, members: int, count: int, config: Any, length: int) -> dict[str, Any]:
    """Shapes of a step's records, [M, B, ...], as the family's readers make them."""
    family = family_of(preset)
    if family == "text":
        return {"tokens": jax.ShapeDtypeStruct((members, count, length + 1), jnp.int32)}
    patches, size = config.grid.patches, config.grid.patch_dim
    if family == "vision":
        length -= patches
        held = {"patches": ((patches, size), jnp.uint8), "prefix": ((), jnp.int32)}
    else:
        held = {"patches": ((length, size), jnp.uint8), "is_patch": ((length,), jnp.uint8)}
        held |= {name: ((length,), jnp.int32) for name in ("key_start", "key_end")}
    held |= {name: ((length,), jnp.int32) for name in ("tokens", "targets")}
    held |= {"counted": ((length,), jnp.uint8)}
    return {
        name: jax.ShapeDtypeStruct((members, count, *shape), kind)
        for name, (shape, kind) in held.items()
    }


def run(case: Case) -> dict[str, Any]:
    """The figures of one case."""
    target, config = Target.named(case.target), config_of(case)
    model = MAKERS[family_of(case.preset)](config)
    members = tuple(Member(str(i), i, 1e-3) for i in range(case.members))
    records_all = case.members * case.batch
    runs = Fleet(members, (1,), case.batch * case.length, OptimizerConfig(1, 0))
    batch = records(case.preset, case.members, case.batch, config, case.length)
    attention = records_all * model.attention_flops(case.length)
    begun = time.monotonic()
    made = compile_step(target, model, runs, batch, case.fsdp, attention)
    flops = records_all * case.length * model.flops_per_token(case.length)
    return figures(made, flops) | {"compile_seconds": round(time.monotonic() - begun)}


def figures(made: Compiled, flops: float) -> dict[str, Any]:
    return {
        "fits": made.fits,
        "state_gib": round(made.state / 2**30, 2),
        "peak_gib": round(made.peak / 2**30, 2),
        "collective_mb": {k: round(v / 1e6) for k, v in made.cost.collectives.items() if v > 5e5},
        "modeled_ms": round(made.seconds * 1e3, 1),
        "modeled_mfu": round(made.mfu(flops), 3),
        "kernels": sorted(made.cost.opaque),
    }


def worse(new: dict[str, Any], old: dict[str, Any]) -> list[str]:
    """The figures that are more than 5% worse than before."""
    pairs = [(name, new[name], old[name]) for name in ("peak_gib", "modeled_ms")]
    moved = [sum(held["collective_mb"].values()) for held in (new, old)]
    pairs.append(("collective_mb", *moved))
    return [f"{name} {b} -> {a}" for name, a, b in pairs if a > WORSE * b + 0.01]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose names hold one of these")
    parser.add_argument("--write", action="store_true", help="replace the committed figures")
    asked = parser.parse_args()
    wanted = [part for part in asked.only.split(",") if part]
    before = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    found, bad = dict(before), False
    for case in CASES:
        if wanted and not any(part in case.name for part in wanted):
            continue
        try:
            found[case.name] = run(case)
        except JaxmixError as error:
            print(f"{case.name}: {error}", flush=True)
            bad |= "does not compile" in str(error)
            continue
        slower = worse(found[case.name], before[case.name]) if case.name in before else []
        bad |= bool(slower)
        print(case.name, json.dumps(found[case.name]), *slower, flush=True)
        if asked.write:
            FIGURES.write_text(json.dumps(found, indent=1) + "\n")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
