"""``jaxmix optimize``: the mixture that minimizes a fitted law at a budget."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.limits import decay_option
from jaxmix.cli.proposal import baseline_option, named_baselines, proposal_options, propose

if TYPE_CHECKING:
    from jaxmix.mixtures import Optimum


@click.command("optimize", cls=common.Command)
@click.argument("law")
@proposal_options()
@decay_option
@baseline_option
@opt.out
@opt.json
def command(
    law: str,
    baselines: Sequence[tuple[str, Any]],
    out: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Find the mixture that minimizes the laws in the file LAW for a model of N and D.

    This is the optimum of the laws; jaxmix recommend asks what the runs support. Limits are checked
    first: if no mixture meets them, those that clash are named, with what they must give. Those
    that bind are listed with what loosening them is worth.
    """
    common.check_table(out, law)
    from jaxmix.mixtures.uncertainty import check_baselines

    found = propose(law, given)
    named = named_baselines(baselines, found.domains, found.constraints) or {}
    mixtures = check_baselines(named, found.domains) if named else {}
    losses = {name: found.predict(h) for name, h in mixtures.items()}
    notes = [*found.notes, *(n for name, at in losses.items() for n in _worse(found, name, at))]
    held = {**found.to_dict(), "notes": notes}
    if losses:
        held["candidates"] = {n: {"predicted": at, "weights": named[n]} for n, at in losses.items()}
    common.answer(
        as_json,
        held,
        lambda: parts(found, losses),
        notes,
        out=out,
        rows=lambda: found.to_frame().reset_index(),
    )


def _worse(found: "Optimum", name: str, at: dict[str, float]) -> list[str]:
    """A note on targets that a mixture of one's own serves better."""
    worse = [
        f"{target} by {found.predicted[target] - loss:.4f}"
        for target, loss in at.items()
        if found.predicted[target] - loss > 5e-4
    ]
    return [f"worse than the {name} mixture on {', '.join(worse)}"] if worse else []


def parts(optimum: "Optimum", others: dict[str, dict[str, float]] | None = None) -> list[Any]:
    """The mixture, what it predicts, what holds it, and how good it is known to be."""
    from jaxmix.runs.names import unit_of

    others = others or {}
    title = f"mixture for {optimum.budget}"
    weights = ((name, f"{weight:.4f}") for name, weight in optimum.weights.items())
    losses = (
        (
            name,
            f"{optimum.target_weights[name]:.3f}",
            common.fixed(value),
            *(common.fixed(at[name]) for at in others.values()),
        )
        for name, value in optimum.predicted.items()
    )
    gap = common.number(optimum.gap, 2)
    units = dict.fromkeys(map(unit_of, optimum.predicted))
    columns = ("target", "weight", " or ".join(units), *others)
    return [
        common.table(title, "domain", "weight", rows=weights),
        common.table("predicted losses", *columns, rows=losses),
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
