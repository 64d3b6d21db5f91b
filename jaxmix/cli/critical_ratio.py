"""``jaxmix critical-ratio``: how much new data a model takes before it gets worse on the old."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.intervals import interval_options, refitted
from jaxmix.cli.limits import known_mixture, limit_options, load_within
from jaxmix.cli.values import QUANTITIES, MixtureType, Quantity
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.mixtures import CriticalRatio


@click.command("critical-ratio", cls=common.Command)
@click.argument("law")
@click.option("--target", required=True, metavar="NAME", help="The old target.")
@click.option(
    "--limit",
    type=Quantity(),
    required=True,
    help="Its largest loss allowed, nats: that of the model before the new training.",
)
@click.option("--old", type=MixtureType(), required=True, help="Mixture of old data, at ratio 0.")
@click.option("--new", type=MixtureType(), required=True, help="Mixture of new data, at ratio 1.")
@click.option("--tokens", type=QUANTITIES, required=True, help="Tokens of the new training.")
@click.option("--n-params", type=Quantity(), help="N.  [default: the largest that was fitted]")
@limit_options
@interval_options
@opt.out
@opt.json
def command(
    law: str,
    target: str,
    limit: float,
    old: str | Mapping[str, float],
    new: str | Mapping[str, float],
    tokens: tuple[float, ...],
    n_params: float | None,
    level: float | None,
    fitted: str | None,
    resamples: int | None,
    out: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Find the largest share of new data at which an old target's loss stays below a limit.

    For continued training: LAW was fitted on runs that start from one model, and mixtures go from
    --old to --new. The largest ratio that keeps the limit is the critical mixture ratio.
    """
    common.check_table(out, law)
    from jaxmix.mixtures import critical_ratio
    from jaxmix.runs import resolve_name

    laws, limits, at = load_within(law, given)
    one = laws[resolve_name(target, laws.targets, "target")]
    stock = limits.available
    ends = [
        known_mixture(mixture, laws.domains, stock, option) or {}
        for mixture, option in ((old, "--old"), (new, "--new"))
    ]
    if ends[0] == ends[1]:
        raise JaxmixError("--old and --new are one mixture; give two different ones")
    more: dict[str, Any] = {"constraints": limits, "others": tuple(laws), "at": at}
    if level is not None:
        more |= {"refits": refitted(law, laws[[one.target]], fitted, resamples), "level": level}
    found = critical_ratio(one, limit, ends[0], ends[1], tokens, n_params=n_params, **more)
    notes = [f"{n} allow no ratio" for n in _none(found)]
    held = {
        "target": one.target,
        "limit": limit,
        "ratios": [_row(answer) | {"intervals": answer.intervals} for answer in found],
        "notes": notes,
    }
    common.answer(
        as_json,
        held,
        lambda: [_table(found, level)],
        notes,
        out=out,
        rows=lambda: [_row(answer) for answer in found],
    )


def _none(found: "tuple[CriticalRatio, ...]") -> list[str]:
    from jaxmix.quantities import amount

    return [f"{amount(one.tokens)} tokens" for one in found if not one.intervals]


def _row(one: "CriticalRatio") -> dict[str, float]:
    return common.pick(one, "tokens", "ratio", "low", "high")


def _table(found: "tuple[CriticalRatio, ...]", level: float | None) -> Any:
    from jaxmix.quantities import amount

    ends = () if level is None else (f"{100 * level:g}%, from", "to")
    title = f"largest share of new data that keeps {found[0].target} at {found[0].limit:g} nats"
    made = common.table(title, "tokens", "ratio", *ends, "all ratios that keep it")
    for one in found:
        kept = ", ".join(f"{low:.3f} to {high:.3f}" for low, high in one.intervals)
        edges = () if level is None else (common.fixed(one.low, 3), common.fixed(one.high, 3))
        made.add_row(amount(one.tokens), common.fixed(one.ratio, 3), *edges, kept or "none")
    return made
