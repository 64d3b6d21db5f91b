"""``jaxmix budget``: the model size, the tokens and the mixture for a budget of FLOPs."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.limits import decay_option, limit_options, load_within
from jaxmix.cli.values import QUANTITIES, Quantity
from jaxmix.errors import JaxmixError
from jaxmix.quantities import amount

if TYPE_CHECKING:
    from jaxmix.mixtures import BudgetPlan


@click.command("budget", cls=common.Command)
@click.argument("law")
@click.option("--flops", type=QUANTITIES, required=True, help="Budgets: 1e21 or 1e21,1e22.")
@click.option(
    "--inference-tokens",
    type=Quantity(),
    help="Tokens the model will serve, at 2N FLOPs each within the budget: 1T.",
)
@click.option("--sizes", type=QUANTITIES, help="Smallest and largest N to search: 100M,100B.")
@opt.target_weights
@limit_options
@decay_option
@click.option("--starts", type=click.IntRange(min=1), help="Starting points of each mixture.")
@opt.seed
@opt.out
@click.option("--plot", metavar="FILE.png", help="Draw the isoFLOP curves and the frontier.")
@opt.json
def command(
    law: str,
    flops: tuple[float, ...],
    inference_tokens: float | None,
    sizes: tuple[float, ...] | None,
    target_weights: Mapping[str, float],
    starts: int | None,
    seed: int,
    out: str | None,
    plot: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Find the N, D and mixture that minimize the laws in the file LAW at a budget of FLOPs.

    Training costs 6 N D FLOPs. If tokens run out (--available), they cap the weights or, with a law
    that knows repetition or --r-star, count less when they are repeated.
    """
    common.check_table(out, law)
    if plot is not None:
        common.check_out(plot, law, *([out] if out else []), endings=common.PICTURES)
    if sizes is not None and not (len(sizes) == 2 and sizes[0] < sizes[1]):
        raise JaxmixError("--sizes: give the smallest and the largest N, as 100M,100B")
    served = inference_tokens or 0.0
    if math.isinf(served):
        raise JaxmixError("--inference-tokens: must be finite")
    laws, limits, at = load_within(law, given, mixed=False)
    from jaxmix.mixtures.budget import frontier, over_all_data, without_mixture

    one_mixture = not laws.domains and all(i.per == "row" for i in laws.law.inputs)
    with common.progress("optimizing") as report:
        plans = frontier(
            over_all_data(laws) if one_mixture else laws,
            flops,
            limits,
            inference_tokens=served,
            sizes=sizes,
            target_weights=target_weights or None,
            at=at,
            starts=starts,
            seed=seed,
            progress=report,
        )
    if one_mixture:
        plans = [without_mixture(plan, laws) for plan in plans]
    if plot is not None:
        from jaxmix.report import plot_frontier

        plot_frontier(plans, plot)
    labels = [f"{plan.flops:.4g} FLOPs: " if len(plans) > 1 else "" for plan in plans]
    notes = [label + note for label, p in zip(labels, plans, strict=True) for note in p.notes]
    if laws.domains and not laws.law.reads("weights"):
        notes.append(f"law '{laws.law.name}' does not look at the mixture: any is as good")
    held = {"plans": [plan.to_dict() for plan in plans], "notes": notes}
    written = [f"written to {plot}"] if plot else []
    common.answer(
        as_json,
        held,
        lambda: [*_tables(plans), *written],
        notes,
        out=out,
        rows=lambda: [_row(plan) for plan in plans],
    )


def _row(plan: "BudgetPlan") -> dict[str, float]:
    """A plan in the columns of a run table."""
    best, names = plan.optimum, ("flops", "n_params", "tokens", "objective")
    return {
        **common.pick(plan, *names),
        **{f"w_{d}": h for d, h in best.weights.items()},
        **{f"loss_{t}": loss for t, loss in best.predicted.items()},
    }


def _tables(plans: "Sequence[BudgetPlan]") -> list[Any]:
    numbers = ((p, (p.flops, p.n_params, p.tokens, p.tokens_per_param)) for p in plans)
    rows = (
        (f"{cells[0]:.4g}", *map(amount, cells[1:3]), f"{cells[3]:.4g}", f"{p.objective:.4f}")
        for p, cells in numbers
    )
    columns = ("FLOPs", "parameters N", "tokens D", "D/N", "loss, nats")
    domains = plans[0].optimum.domains
    weights = ((domain, *(_weight(plan, domain) for plan in plans)) for domain in domains)
    budgets = (f"{plan.flops:.4g} FLOPs" for plan in plans)
    said = "\n".join(f"{plan.headline}." for plan in plans)
    tables = [said, common.table("compute-optimal runs", *columns, rows=rows)]
    if domains:
        tables.append(common.table("mixtures (epochs)", "domain", *budgets, rows=weights))
    return tables


def _weight(plan: "BudgetPlan", domain: str) -> str:
    epochs = plan.epochs.get(domain)
    passes = "" if epochs is None else f" ({epochs:.2g})"
    return f"{plan.optimum.weights[domain]:.4f}{passes}"
