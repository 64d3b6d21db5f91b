"""``jaxmix pareto``: mixtures that trade the losses of several targets."""

from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.limits import decay_option, limit_options, load_within
from jaxmix.cli.values import NAMES

if TYPE_CHECKING:
    from jaxmix.mixtures.pareto import Front


@click.command("pareto", cls=common.Command)
@click.argument("law")
@opt.budget()
@click.option("--targets", type=NAMES, help="Targets to trade; the default is all.")
@opt.setting("--points", click.IntRange(min=2), 11, "About how many mixtures to look for.")
@limit_options
@decay_option
@click.option("--starts", type=click.IntRange(min=1), help="Starting points of each mixture.")
@opt.seed
@opt.out
@opt.json
def command(
    law: str,
    n_params: float,
    tokens: float,
    targets: tuple[str, ...] | None,
    points: int,
    starts: int | None,
    seed: int,
    out: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Find mixtures that lower no target's loss without raising another's.

    Each is listed with the target weights for which jaxmix optimize would find it.
    """
    common.check_table(out, law)
    from jaxmix.mixtures.optimum import budget_words
    from jaxmix.mixtures.pareto import pareto
    from jaxmix.runs import resolve_names

    laws, limits, at = load_within(law, given)
    names = resolve_names(targets, laws.targets, "target")
    asked = {"targets": names, "points": points, "at": at, "starts": starts, "seed": seed}
    with common.progress("optimizing") as report:
        front = pareto(laws, n_params, tokens, limits, progress=report, **asked)
    title = f"Pareto front for {budget_words(laws, n_params, tokens)}"
    notes = [*laws.mixture_notes]
    notes += [] if front.proven else [f"not proven to be the whole front: {front.reason}"]
    common.answer(
        as_json,
        front.to_dict(),
        lambda: [f"{front.headline}.", _table(front, title)],
        notes,
        out=out,
        rows=front.to_frame,
    )


def _table(front: "Front", title: str) -> Any:
    """One row for each mixture, with its losses and the target weights that find it."""
    losses = [f"loss of {name}" for name in front.targets]
    found_by = [f"target weight of {name}" for name in front.targets]
    made = common.table(title, "mixture", *front.domains, *losses, *found_by)
    for i in range(len(front)):
        row = [f"{x:.3f}" for x in front.h[i]] + [*map(common.fixed, front.losses[i])]
        row += [f"{x:.3f}" for x in front.target_weights[i]]
        made.add_row(str(i + 1), *row)
    return made
