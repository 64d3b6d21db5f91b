"""``jaxmix optimize``: the mixture that minimizes a fitted law at a budget."""

from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.limits import decay_option
from jaxmix.cli.proposal import proposal_options, propose

if TYPE_CHECKING:
    from jaxmix.mixtures import Optimum


@click.command("optimize", cls=common.Command, short_help="Find the best mixture for a budget.")
@click.argument("law")
@proposal_options()
@decay_option
@opt.json
def command(law: str, as_json: bool, **given: Any) -> None:
    """Find the mixture that minimizes the laws in the file LAW for a model of N and D.

    Limits are checked first: if no mixture meets them, those that clash are named, with what they
    must give. Those that bind are listed with what loosening them is worth.
    """
    found = propose(law, given)
    common.answer(as_json, found.to_dict(), lambda: parts(found), found.notes)


def parts(optimum: "Optimum") -> list[Any]:
    """The mixture, what it predicts, what holds it, and how good it is known to be."""
    title = f"mixture for N = {optimum.n_params:.4g}, D = {optimum.tokens:.4g}"
    weights = ((name, f"{weight:.4f}") for name, weight in optimum.weights.items())
    losses = (
        (name, f"{optimum.target_weights[name]:.3f}", f"{value:.4f}")
        for name, value in optimum.predicted.items()
    )
    gap = common.number(optimum.gap, 2)
    return [
        common.table(title, "domain", "weight", rows=weights),
        common.table("predicted losses", "target", "weight", "nats per token", rows=losses),
        *([_binding(optimum)] if optimum.active else []),
        f"objective {optimum.objective:.6g}, duality gap {gap}: {optimum.status}",
    ]


def _binding(optimum: "Optimum") -> Any:
    rows = (
        (label, common.number(optimum.prices[label], 3), optimum.worth.get(label, ""))
        for label in optimum.active
    )
    columns = ("constraint", "price, nats per unit", "that is")
    return common.table("constraints that bind", *columns, text=("that is",), rows=rows)
