"""``jaxmix optimize``: the mixture that minimizes a fitted law at a budget."""

from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli.limits import Parts, limit_options, load_mixture_laws, read_limits

if TYPE_CHECKING:
    from jaxmix.mixtures import Optimum


@click.command("optimize", cls=common.Command, short_help="Find the best mixture for a budget.")
@click.argument("law")
@click.option("--n-params", type=common.Quantity(), required=True, help="N: 7e9, 7B or inf.")
@click.option("--tokens", type=common.Quantity(), required=True, help="D: 150e9, 150B or inf.")
@click.option(
    "--target-weights",
    multiple=True,
    type=common.NamedNumbers(),
    help="Weights of the targets in the sum to minimize; the default is their mean.",
)
@click.option(
    "--worst-case",
    type=click.Choice(["loss", "gap"]),
    help="Minimize the largest loss of any target, or its largest gap to --reference.",
)
@click.option("--pull", type=float, default=0.0, help="Add PULL times KL(mixture‖prior).")
@limit_options
@click.option("--starts", type=click.IntRange(min=1), help="Starting points of the search.")
@click.option("--seed", type=int, default=0, show_default=True)
@common.json_option
def optimize_command(
    law: str,
    n_params: float,
    tokens: float,
    target_weights: Parts,
    worst_case: Any,
    pull: float,
    starts: int | None,
    seed: int,
    as_json: bool,
    **given: Any,
) -> None:
    """Find the mixture that minimizes the laws in the file LAW for a model of N and D.

    Constraints are checked first: those that clash are named, with what they must give. Those
    that bind are listed with what loosening them is worth.
    """
    laws = load_mixture_laws(law)
    limits = read_limits(laws[0].domains, [fit.target for fit in laws], given, pull)
    from jaxmix.mixtures import optimize_within

    optimum = optimize_within(
        laws,
        n_params,
        tokens,
        limits,
        target_weights=common.merged(target_weights, "--target-weights"),
        worst_case=worst_case,
        pull=pull,
        starts=starts,
        key=seed,
    )
    if as_json:
        common.emit(as_dict(optimum))
    else:
        show_optimum(optimum)
    common.say(optimum.notes)


def as_dict(optimum: "Optimum") -> dict[str, Any]:
    """The five keys of the contract, and what else an optimum says of itself."""
    names = ("predicted", "objective", "gap", "active", "multipliers", "worth", "target_weights")
    more = ("proven", "reason", "converged", "starts", "agreeing", "hull_distance", "notes")
    return {"weights": optimum.mixture, **{n: getattr(optimum, n) for n in (*names, *more)}}


def show_optimum(optimum: "Optimum") -> None:
    """The mixture, what it predicts, what holds it, and how good it is known to be."""
    title = f"mixture for N = {optimum.n_params:.4g}, D = {optimum.tokens:.4g}"
    mixture = common.table("", "domain", "weight")
    mixture.title = None
    for name, weight in optimum.mixture.items():
        mixture.add_row(name, f"{weight:.4f}")
    losses = common.table("predicted losses", "target", "weight", "nats per token")
    for name, value in optimum.predicted.items():
        losses.add_row(name, f"{optimum.target_weights[name]:.3f}", f"{value:.4f}")
    proof = "proven optimal" if optimum.proven else "best found, not proven"
    gap = common.number(optimum.gap, 2)
    held = [_binding(optimum)] if optimum.active else []
    summary = f"objective {optimum.objective:.6g}, duality gap {gap}: {proof}"
    common.show(title, mixture, losses, *held, summary)


def _binding(optimum: "Optimum") -> Any:
    table = common.table(
        "constraints that bind", "constraint", "price, nats per unit", "that is", text=("that is",)
    )
    for label in optimum.active:
        worth = optimum.worth_of.get(label, "")
        table.add_row(label, common.number(optimum.multipliers[label], 3), worth)
    return table
