"""``jaxmix budget``: the model size, the tokens and the mixture for a budget of FLOPs."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaw
    from jaxmix.mixtures.budget import Plan

_Parts = Sequence[Mapping[str, float]]
_named = {"multiple": True, "type": common.NamedNumbers()}


@click.command("budget", cls=common.Command, short_help="Plan the best run for a FLOP budget.")
@click.argument("law")
@click.option("--flops", type=common.Numbers(), required=True, help="Budgets: 1e21 or 1e21,1e22.")
@click.option(
    "--inference-tokens",
    type=common.Quantity(),
    help="Tokens the model will serve, at 2N FLOPs each within the budget: 1T.",
)
@click.option("--unique", **_named, help="Unique tokens there are of domains: books=25e9.")
@click.option(
    "--r-star",
    type=click.FloatRange(min=0, min_open=True),
    help="R*_D to assume where the law was fitted without repeated data.  [default: 15.39]",
)
@click.option("--target-weights", **_named, help="Weights of the targets; the default is equal.")
@click.option("--min", "min_", **_named, help="Smallest weights of domains.")
@click.option("--max", "max_", **_named, help="Largest weights of domains.")
@click.option("--sizes", type=common.Numbers(), help="Smallest and largest N to search: 100M,100B.")
@click.option("--plot", metavar="FILE.png", help="Draw the isoFLOP curves and the frontier.")
@common.json_option
def budget_command(
    law: str,
    flops: tuple[float, ...],
    unique: _Parts,
    r_star: float | None,
    plot: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the N, D and mixture that minimize the laws in the file LAW at a budget of FLOPs.

    Training costs 6 N D FLOPs. With --unique, tokens beyond one epoch of a domain count less.
    """
    if plot is not None:
        _check_plot(plot, law)
    from jaxmix.fitting.files import load_laws

    laws = _available(load_laws(law), common.merged(unique, "--unique"), r_star)
    settings = _settings(laws, options)
    from jaxmix.mixtures.budget import frontier

    plans = frontier(laws, flops, **settings)
    if plot is not None:
        from jaxmix.report.frontier import plot_frontier

        plot_frontier(plans, plot)
    notes = [*_assumptions(laws), *_plan_notes(plans)]
    if as_json:
        common.emit({"plans": [as_dict(plan) for plan in plans], "notes": notes})
    else:
        common.show(*_tables(plans), *([f"written to {plot}"] if plot else []))
    common.say(notes)


def _available(
    laws: "Sequence[FittedLaw]", unique: Mapping[str, float] | None, r_star: float | None
) -> "Sequence[FittedLaw]":
    """The laws tied to the unique tokens, with an assumed decay where they know none."""
    from jaxmix.laws import R_D_STAR, is_bound
    from jaxmix.mixtures.repetition import assume_repetition, with_unique

    knows = "unique" in laws[0].law.uses or is_bound(laws[0].law)
    if r_star is not None and (unique is None or knows):
        why = "the law has its own" if knows else "it takes --unique as well"
        raise JaxmixError(f"--r-star: {why}; leave it out" if knows else f"--r-star: {why}")
    if unique is None:
        return laws
    if knows:
        return with_unique(laws, unique)
    return assume_repetition(laws, unique, R_D_STAR if r_star is None else r_star)


def _settings(laws: "Sequence[FittedLaw]", options: Mapping[str, Any]) -> dict[str, Any]:
    sizes = options["sizes"]
    if sizes is not None and not (len(sizes) == 2 and sizes[0] < sizes[1]):
        raise JaxmixError("--sizes: give the smallest and the largest N, as 100M,100B")
    served = options["inference_tokens"] or 0.0
    if math.isinf(served):
        raise JaxmixError("--inference-tokens: must be finite")
    names = {"target_weights": "--target-weights", "min_": "--min", "max_": "--max"}
    weights, low, high = (common.merged(options[key], name) for key, name in names.items())
    return {
        "inference_tokens": served,
        "sizes": sizes,
        "target_weights": weights,
        "minimum": low,
        "maximum": high,
    }


def _check_plot(plot: str, law: str) -> None:
    if not plot.lower().endswith((".png", ".svg", ".pdf")):
        raise JaxmixError(f"{plot}: --plot draws PNG, SVG or PDF; name the file .png")
    common.check_out(plot, law)


def _assumptions(laws: "Sequence[FittedLaw]") -> list[str]:
    """What the laws say about repetition, each once, and whether they see the mixture."""
    notes = [note for law in laws for note in law.report.notes if "repeated tokens" in note]
    if "unique" in laws[0].law.uses:
        notes.append("no unique tokens are given, so nothing repeats; give them with --unique")
    if "weights" not in laws[0].law.uses:
        notes.append(f"law '{laws[0].law.name}' does not look at the mixture: any is as good")
    return list(dict.fromkeys(notes))


def _plan_notes(plans: "Sequence[Plan]") -> list[str]:
    label = len(plans) > 1
    return [
        f"{plan.flops:.4g} FLOPs: {note}" if label else note
        for plan in plans
        for note in plan.notes
    ]


def as_dict(plan: "Plan") -> dict[str, Any]:
    """A plan as ``--json`` prints it."""
    optimum = plan.optimum
    return {
        "flops": plan.flops,
        "inference_tokens": plan.inference_tokens,
        "n_params": plan.n_params,
        "tokens": plan.tokens,
        "tokens_per_param": plan.tokens_per_param,
        "weights": optimum.mixture,
        "epochs": plan.epochs,
        "objective": plan.objective,
        "predicted": optimum.predicted,
        "at_edge": plan.at_edge,
        "gap": optimum.gap,
        "proven": optimum.proven,
        "notes": plan.notes,
    }


def _tables(plans: "Sequence[Plan]") -> list[Any]:
    made = common.table(
        "compute-optimal runs", "FLOPs", "parameters N", "tokens D", "D/N", "loss, nats"
    )
    for plan in plans:
        cells = (plan.flops, plan.n_params, plan.tokens, plan.tokens_per_param)
        made.add_row(*(f"{cell:.4g}" for cell in cells), f"{plan.objective:.4f}")
    columns = [f"{plan.flops:.4g} FLOPs" for plan in plans]
    weights = common.table("mixtures (epochs)", "domain", *columns)
    for domain in plans[0].optimum.domains:
        weights.add_row(domain, *(_weight(plan, domain) for plan in plans))
    return [made, weights]


def _weight(plan: "Plan", domain: str) -> str:
    epochs = plan.epochs.get(domain)
    passes = "" if epochs is None else f" ({epochs:.2g})"
    return f"{plan.optimum.mixture[domain]:.4f}{passes}"
