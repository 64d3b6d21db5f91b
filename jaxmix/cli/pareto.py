"""``jaxmix pareto``: mixtures that trade the losses of several targets."""

from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli.limits import limit_options, load_mixture_laws, read_limits

if TYPE_CHECKING:
    from jaxmix.mixtures import Front


@click.command("pareto", cls=common.Command, short_help="Trade the losses of several targets.")
@click.argument("law")
@click.option("--n-params", type=common.Quantity(), required=True, help="N: 7e9, 7B or inf.")
@click.option("--tokens", type=common.Quantity(), required=True, help="D: 150e9, 150B or inf.")
@click.option("--targets", metavar="A,B,...", help="Targets to trade; the default is all.")
@click.option("--points", type=click.IntRange(min=2), default=11, show_default=True)
@limit_options
@click.option("--starts", type=click.IntRange(min=1), help="Starting points of each point.")
@click.option("--seed", type=int, default=0, show_default=True)
@common.json_option
def pareto_command(
    law: str,
    n_params: float,
    tokens: float,
    targets: str | None,
    points: int,
    starts: int | None,
    seed: int,
    as_json: bool,
    **given: Any,
) -> None:
    """Find mixtures that lower no target's loss without raising another's.

    Each is listed with the target weights for which ``jaxmix optimize`` would find it.
    """
    from jaxmix.runs import resolve_names

    laws = load_mixture_laws(law)
    known = tuple(fit.target for fit in laws)
    limits = read_limits(laws[0].domains, known, given)
    from jaxmix.mixtures import pareto

    front = pareto(
        laws,
        n_params,
        tokens,
        limits,
        targets=resolve_names(common.split(targets), known, "target"),
        points=points,
        starts=starts,
        key=seed,
    )
    if as_json:
        common.emit(as_dict(front))
    else:
        show_front(front)
    common.say([] if front.proven else [f"not proven to be the whole front: {front.reason}"])


def as_dict(front: "Front") -> dict[str, Any]:
    """The front by names."""
    points = [
        {
            "weights": dict(zip(front.domains, front.weights[i], strict=True)),
            "losses": dict(zip(front.targets, front.losses[i], strict=True)),
            "target_weights": dict(zip(front.targets, front.target_weights[i], strict=True)),
            "multipliers": front.multipliers[i],
        }
        for i in range(len(front))
    ]
    return {"points": points, "proven": front.proven, "reason": front.reason}


def show_front(front: "Front") -> None:
    """One row for each point: losses, the target weights that find it, and the mixture."""
    title = f"Pareto front for N = {front.n_params:.4g}, D = {front.tokens:.4g}"
    losses = [f"loss {name}" for name in front.targets]
    weights = [f"weight {name}" for name in front.targets]
    table = common.table(title, "point", *losses, *weights, *front.domains)
    for i in range(len(front)):
        row = [*(f"{x:.4f}" for x in front.losses[i])]
        row += [f"{x:.3f}" for x in (*front.target_weights[i], *front.weights[i])]
        table.add_row(str(i + 1), *row)
    common.show(table)
