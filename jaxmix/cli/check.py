"""``jaxmix check``: what a run table can and cannot tell, in one screen."""

from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.tables import screen

if TYPE_CHECKING:
    from jaxmix.fitting.check import RunCheck

_NOTES = 3  # more would not fit a screen; --json has all


@click.command("check", cls=common.Command)
@click.argument("runs")
@opt.where
@opt.rename
@opt.json
def command(runs: str, where: str | None, as_json: bool) -> None:
    """Say in one screen what the table RUNS can and cannot tell, and what to run next.

    It counts sizes, tokens and mixtures, finds domains that always move together, and compares the
    noise with what mixtures do to the losses. Nothing is fitted.
    """
    from jaxmix.fitting.check import check

    table = common.read_table(runs, where, ("tokenizer", "schedule"))
    found = check(table)
    common.answer(as_json, found.to_dict(), lambda: _parts(found, runs))


def _parts(found: "RunCheck", runs: str) -> list[Any]:
    answers = ((one.question, one.answer, one.why) for one in found.answers)
    more = len(found.notes) - _NOTES
    told = [f"note: {note}" for note in found.notes[:_NOTES]]
    told += [f"note: {more} more; --json has them all"] if more > 0 else []
    told += [f"next: {step}" for step in found.next_steps[:3]]
    lines = (fill(line, min(screen(), 100), subsequent_indent="      ") for line in told)
    return [
        common.table(runs, "what", "found", text=("found",), rows=found.facts.items()),
        common.table("can it tell", "question", "", "why", text=("", "why"), rows=answers),
        "\n".join(lines),
    ]
