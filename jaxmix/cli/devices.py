"""What commands that train share: all cores as devices, and a bar that says how it goes."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from jaxmix.cli import common

if TYPE_CHECKING:
    from jaxmix.studies import Plan, Wave
    from jaxmix.training import Snapshot


def use_all_cores() -> None:
    """One CPU device per core, so that a fleet's members train side by side.

    Through the environment and before JAX is imported; a choice of the user's stands, and
    accelerators are not touched.
    """
    os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(os.cpu_count() or 1))


@contextlib.contextmanager
def training_bar(plan: "Plan") -> "Iterator[Callable[[Wave, Snapshot], None]]":
    """A bar over all waves of a plan, by FLOPs: tokens/s, loss, time left of the wave."""
    runs = {wave.name: len(wave.runs) for wave in plan.waves}
    of_preset: dict[str, int] = {}
    for wave in plan.waves:
        of_preset[wave.preset] = of_preset.get(wave.preset, 0) + runs[wave.name]
    work = {w.name: plan.flops[w.preset] * runs[w.name] / of_preset[w.preset] for w in plan.waves}
    done: dict[str, float] = {}
    with common.progress("training") as report:

        def tell(wave: "Wave", snapshot: "Snapshot") -> None:
            done[wave.name] = work[wave.name] * snapshot.step / snapshot.steps
            report(f"{wave.name}  {describe(snapshot)}", sum(done.values()), sum(work.values()))

        yield tell


def describe(snapshot: "Snapshot") -> str:
    """``loss 4.210  68,000 tokens/s  1:05 left``, the loss being the members' mean.

    Members that are not finite any more do not count.
    """
    sound = [float(x) for x in snapshot.losses if x == x and abs(x) != float("inf")]
    loss = f"loss {sum(sound) / len(sound):.3f}" if sound else "no finite loss"
    left = _clock(snapshot.seconds_left)
    return f"{loss}  {snapshot.tokens_per_second:,.0f} tokens/s  {left} left"


def _clock(seconds: Any) -> str:
    if seconds != seconds:
        return "-:--"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
