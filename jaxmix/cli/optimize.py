"""``jaxmix optimize``: the mixture that minimizes a fitted law at a budget."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import skin

if TYPE_CHECKING:
    from jaxmix.mixtures import Optimum

_Parts = Sequence[Mapping[str, float]]


def _bound(name: str, text: str) -> Any:
    return click.option(f"--{name}", f"{name}_", multiple=True, type=skin.NamedNumbers(), help=text)


@click.command("optimize", cls=skin.Command, short_help="Find the best mixture for a budget.")
@click.argument("law")
@click.option("--n-params", type=skin.Quantity(), required=True, help="N: 7e9, 7B or inf.")
@click.option("--tokens", type=skin.Quantity(), required=True, help="D: 150e9, 150B or inf.")
@click.option(
    "--target-weights",
    multiple=True,
    type=skin.NamedNumbers(),
    help="Weights of the targets in the sum to minimize; the default is their mean.",
)
@_bound("min", "Smallest weights of domains.")
@_bound("max", "Largest weights of domains.")
@_bound("pin", "Weights of domains that are given.")
@click.option("--starts", type=click.IntRange(min=1), help="Starting points of the search.")
@click.option("--seed", type=int, default=0, show_default=True)
@skin.json_option
def optimize_command(
    law: str,
    n_params: float,
    tokens: float,
    target_weights: _Parts,
    min_: _Parts,
    max_: _Parts,
    pin_: _Parts,
    starts: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Find the mixture that minimizes the laws in the file LAW for a model of N and D."""
    from jaxmix.fitting.saving import load_laws

    laws = load_laws(law)
    if "weights" not in laws[0].law.uses or not laws[0].domains:
        name = laws[0].law.name
        raise ValueError(f"{law}: law '{name}' does not look at the mixture; fit one that does")
    minimum, maximum = _bounds(min_, max_, pin_, laws[0].domains)
    from jaxmix.mixtures import optimize

    optimum = optimize(
        laws,
        n_params,
        tokens,
        target_weights=skin.merged(target_weights, "--target-weights"),
        minimum=minimum,
        maximum=maximum,
        starts=starts,
        key=seed,
    )
    if as_json:
        skin.emit(as_dict(optimum))
    else:
        show_optimum(optimum)
    skin.say(optimum.notes)


def _bounds(
    minimum: _Parts, maximum: _Parts, pin: _Parts, domains: tuple[str, ...]
) -> tuple[dict[str, float] | None, dict[str, float] | None]:
    """Minima and maxima by bare name; a pinned weight is both."""
    options = (("--min", minimum), ("--max", maximum), ("--pin", pin))
    low, high, pinned = (_bare(skin.merged(parts, name), domains) for name, parts in options)
    for name in pinned:
        if name in low or name in high:
            raise ValueError(f"--pin: '{name}' has a minimum or maximum as well; give one of them")
    return {**low, **pinned} or None, {**high, **pinned} or None


def _bare(values: Mapping[str, float] | None, domains: tuple[str, ...]) -> dict[str, float]:
    from jaxmix.runs import resolve_names

    given = values or {}
    bare = [resolve_names([name], domains, "w_", "domain")[0] for name in given]
    if len(set(bare)) != len(bare):
        raise ValueError(f"a domain is named in both spellings: {', '.join(given)}")
    return dict(zip(bare, given.values(), strict=True))


def as_dict(optimum: "Optimum") -> dict[str, Any]:
    """The five keys of the contract, and what else an optimum says of itself."""
    names = ("predicted", "objective", "gap", "active", "multipliers", "target_weights", "proven")
    more = ("reason", "converged", "starts", "agreeing", "hull_distance", "notes")
    return {"weights": optimum.mixture, **{n: getattr(optimum, n) for n in (*names, *more)}}


def show_optimum(optimum: "Optimum") -> None:
    """The mixture, what it predicts, and how good it is known to be."""
    title = f"mixture for N = {optimum.n_params:.4g}, D = {optimum.tokens:.4g}"
    mixture = skin.table(
        title, "domain", "weight", "held by", "price, nats per unit", text=("held by",)
    )
    for name, weight in optimum.mixture.items():
        held = [label for label in optimum.active if label.startswith((f"{name}>=", f"{name}<="))]
        price = [skin.number(optimum.multipliers[label], 3) for label in held]
        mixture.add_row(name, f"{weight:.4f}", " ".join(held), " ".join(price))
    losses = skin.table("predicted losses", "target", "weight", "nats per token")
    for name, value in optimum.predicted.items():
        losses.add_row(name, f"{optimum.target_weights[name]:.3f}", f"{value:.4f}")
    proof = "proven optimal" if optimum.proven else "best found, not proven"
    gap = skin.number(optimum.gap, 2)
    skin.show(mixture, losses, f"objective {optimum.objective:.6g}, duality gap {gap}: {proof}")
