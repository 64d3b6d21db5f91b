"""``jaxmix optimize``: the mixture that minimizes a fitted law at a budget."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.limits import decay_option
from jaxmix.cli.proposal import (
    baseline_option,
    named_baselines,
    proposal_options,
    propose,
    propose_along,
)
from jaxmix.cli.values import FACTORS
from jaxmix.errors import JaxmixError
from jaxmix.quantities import amount

if TYPE_CHECKING:
    from jaxmix.mixtures import Optimum

_STILL = 1e-4  # change of a weight that is none


@click.command("optimize", cls=common.Command)
@click.argument("law")
@proposal_options()
@decay_option
@baseline_option
@click.option(
    "--path",
    "growth",
    type=click.Choice(["fixed-n", "fixed-d", "linear", "sqrt", "log"]),
    help="Follow the optimum as the run grows from this budget: D alone (fixed-n), N alone "
    "(fixed-d), or D with N, with its square root or with its logarithm.",
)
@click.option(
    "--factors",
    type=FACTORS,
    help="By what N (fixed-n: D) grows along --path; inf is the limit.  [default: 1,3,10,30,100]",
)
@click.option("--plot", metavar="FILE.png", help="Draw the weights along --path.")
@opt.out
@opt.json
def command(
    law: str,
    baselines: Sequence[tuple[str, Any]],
    growth: str | None,
    factors: tuple[float, ...] | None,
    plot: str | None,
    out: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Find the mixture that minimizes the laws in the file LAW for a model of N and D.

    This is the optimum of the laws; jaxmix recommend asks what the runs support. Limits are checked
    first: if no mixture meets them, those that clash are named, with the change that would let them
    meet. Those that bind are listed with what loosening them is worth. --path shows how the optimum
    moves as the run grows.
    """
    common.check_table(out, law)
    if growth is not None:
        _follow(law, given, growth, factors, baselines, plot, out, as_json)
        return
    if factors or plot:
        raise JaxmixError(f"--{'factors' if factors else 'plot'} belongs to --path; give both")
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


def _follow(
    law: str,
    given: Mapping[str, Any],
    growth: str,
    factors: tuple[float, ...] | None,
    baselines: Sequence[Any],
    plot: str | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Shows the optima along a path of budgets."""
    if baselines:
        raise JaxmixError("--baseline compares at one budget; leave it out, or leave --path out")
    if plot is not None:
        common.check_out(plot, law, *([out] if out else []), endings=common.PICTURES)
    found = propose_along(law, given, growth, factors or (1.0, 3.0, 10.0, 30.0, 100.0))
    if plot is not None:
        from jaxmix.report import plot_path

        plot_path(found, plot)
    notes = [*found[-1].notes]
    if max(float(abs(one.h - found[0].h).max()) for one in found) < _STILL:
        name = found[0].laws.law.name
        notes.append(f"the optimum of the law '{name}' does not move within these limits")
    common.answer(
        as_json,
        {"path": [one.to_dict() for one in found], "notes": notes},
        lambda: [_path_table(found), *([f"written to {plot}"] if plot else [])],
        notes,
        out=out,
        rows=lambda: [_row(one) for one in found],
    )


def _row(one: "Optimum") -> dict[str, float]:
    """An optimum in the columns of a run table."""
    return {
        **common.pick(one, "n_params", "tokens", "objective"),
        **{f"w_{d}": h for d, h in one.weights.items()},
        **{f"loss_{t}": loss for t, loss in one.predicted.items()},
    }


def _path_table(found: "Sequence[Optimum]") -> Any:
    made = common.table("optimal mixtures", "N", "D", "objective", *found[0].domains)
    for one in found:
        weights = (f"{weight:.4f}" for weight in one.weights.values())
        made.add_row(amount(one.n_params), amount(one.tokens), f"{one.objective:.4f}", *weights)
    return made


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
    units = dict.fromkeys(map(unit_of, optimum.predicted))
    columns = ("target", "weight", " or ".join(units), *others)
    return [
        f"{optimum.headline}.",
        common.table(title, "domain", "weight", rows=weights),
        common.table("predicted losses", *columns, rows=losses),
        *([_binding(optimum)] if optimum.active else []),
    ]


def _binding(optimum: "Optimum") -> Any:
    rows = (
        (label, common.number(optimum.prices[label], 3), optimum.worth.get(label, ""))
        for label in optimum.active
    )
    columns = ("constraint", "price, nats per unit", "that is")
    return common.table("constraints that bind", *columns, text=("that is",), rows=rows)
