"""What commands that train share: all cores as devices, and a bar that says how it goes."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
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
def training_bar(
    plan: "Plan", notes: Iterable[str] = ()
) -> "Iterator[Callable[[Wave, Snapshot], None]]":
    """A bar over all waves of a plan, by FLOPs: tokens/s, loss, time left of the wave.

    If standard error is not a terminal, there is a line when training begins, a line a minute, and
    one at the end of every wave; they say the step too.

    Args:
        plan: the plan.
        notes: printed when training begins, that is, after all that could be refused.
    """
    runs = {wave.name: len(wave.runs) for wave in plan.waves}
    of_preset: dict[str, int] = {}
    for wave in plan.waves:
        of_preset[wave.preset] = of_preset.get(wave.preset, 0) + runs[wave.name]
    work = {w.name: plan.flops[w.preset] * runs[w.name] / of_preset[w.preset] for w in plan.waves}
    done: dict[str, float] = {}
    is_log = not common.shows_bars()
    with common.progress("training") as report:

        def tell(wave: "Wave", snapshot: "Snapshot") -> None:
            steps = f"step {snapshot.step:,}/{snapshot.steps:,}  " if is_log else ""
            line = f"{wave.name}  {steps}{describe(snapshot)}"
            if not done:
                common.say(notes)
            if is_log and (not done or snapshot.step == snapshot.steps):
                common.log(line)
            done[wave.name] = work[wave.name] * snapshot.step / snapshot.steps
            report(line, sum(done.values()), sum(work.values()))

        yield tell


def describe(snapshot: "Snapshot") -> str:
    """``loss 4.210  68,000 tokens/s  1:05 left``, the loss being the members' mean.

    Members that are not finite any more do not count.
    """
    sound = [float(x) for x in snapshot.losses if x == x and abs(x) != float("inf")]
    loss = f"loss {sum(sound) / len(sound):.3f}" if sound else "no finite loss"
    rate = snapshot.tokens_per_second
    return f"{loss}  {rate:,.0f} tokens/s  {_clock(snapshot.seconds_left)} left" if rate else loss


def repeats(plan: "Plan") -> dict[str, Any]:
    """The domains that a run of a plan reads more than once, the most often read first.

    Returns:
        By domain, its ``epochs``, the tokens ``read`` of it and those that it ``holds``, of the run
        that repeats it most.
    """
    from jaxmix.studies import most_read

    found = [(n / held, domain, n, held) for domain, (n, held) in most_read(plan).items()]
    more = sorted((one for one in found if one[0] > 1), reverse=True)
    return {d: {"epochs": epochs, "read": n, "holds": held} for epochs, d, n, held in more}


def most_epochs(waves: "Iterable[Wave]") -> dict[str, float]:
    """Epochs by domain in the run of some waves that has its largest weight, the most first."""
    found: dict[str, float] = {}
    for wave in waves:
        for domain, epochs in wave.epochs.items():
            found[domain] = max(found.get(domain, 0.0), epochs)
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def epochs_text(epochs: Mapping[str, float]) -> str:
    """``music 32``: the domain that is repeated most."""
    return next((f"{domain} {_amount(n)}" for domain, n in epochs.items()), "")


def repeats_line(found: Mapping[str, Any]) -> list[str]:
    """One line about repeated domains, or none: ``web: 60.6 epochs of its 3.3M tokens (...)``."""
    told = [
        f"{d}: {_amount(one['epochs'])} epochs of its {_amount(one['holds'])} tokens "
        f"({_amount(one['read'])} are read)"
        for d, one in found.items()
    ]
    more = f"; {len(told) - 4} other domains are repeated too" if len(told) > 4 else ""
    return ["; ".join(told[:4]) + more] if told else []


def _amount(tokens: float) -> str:
    """``3.3M``: a number of tokens or epochs to three digits."""
    units = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"), (1, ""))
    scale, unit = next((one for one in units if tokens >= one[0]), (1, ""))
    return f"{tokens / scale:.3g}{unit}"


def _clock(seconds: Any) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
