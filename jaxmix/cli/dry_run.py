"""What ``train --dry-run`` and ``study plan --target`` say of programs for an accelerator."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli.values import Value

if TYPE_CHECKING:
    from jaxmix.studies.dry_run import DryRun


# What libtpu and the CUDA plugin need if no device is present.
COMPILERS = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_MIN_LOG_LEVEL": "3",
    "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
}


class TargetType(Value):
    """A kind of chip and how many."""

    name = "v5e-8|h200|..."

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Text to a target; compilers for it are found when JAX is imported, so before that."""
        os.environ.update(COMPILERS)
        from jaxmix.errors import JaxmixError
        from jaxmix.training.targets import Target

        try:
            return value if isinstance(value, Target) else Target.named(str(value))
        except JaxmixError as error:
            self.fail(str(error), param, ctx)


def dry_run_table(found: "Iterable[DryRun]") -> list[Any]:
    """A table of programs, and what its figures are."""
    columns = ("target", "GiB a device", "of", "largest batch", "MB moved", "ms a step", "MFU", "h")
    made = common.table("compiled, not run", "preset", *columns, text=("target",))
    for run in found:
        compiled, target = run.compiled, run.compiled.target
        moved = sum(compiled.cost.collectives.values()) / 1e6
        made.add_row(
            f"{run.wave.preset} x {len(run.wave.runs)}",
            target.name,
            f"{compiled.peak / 2**30:.1f}" + ("" if compiled.fits else " (too much)"),
            f"{target.spec.memory / 2**30:.0f}",
            "-" if run.largest is None else f"{run.largest:,}",
            f"{moved:,.0f}",
            f"{compiled.seconds * 1e3:.1f}",
            f"{run.mfu:.2f}",
            common.number(run.hours, 3),
        )
    return [
        made,
        "memory and communication are the compiler's; times are modeled from arithmetic and memory "
        "traffic, without evaluations and waiting for data",
    ]


target_option = click.option(
    "--dry-run",
    "target",
    type=TargetType(),
    help="Compile the step for these chips, without having them, and print its memory, "
    "communication and modeled time. Nothing is trained or written.",
)
plan_target_option = click.option(
    "--target",
    type=TargetType(),
    help="Compile a wave of every size for these chips, without having them, and print its memory, "
    "communication and modeled time.",
)
