"""``jaxmix simulate``: a study drawn from a known law, for tests and for planning."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli.imports import write_table
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaw

_Options = Mapping[str, Any]


@click.command("simulate", cls=common.Command, short_help="Draw a study from a known law.")
@click.option("--law", default="joint", show_default=True, help="Law to draw parameters of.")
@click.option("--from", "source", metavar="LAW.json", help="Take this file's laws as true.")
@click.option("--domains", default="3", show_default=True, help="How many, or names a,b,c.")
@click.option("--targets", help="How many, or names; the default is the domains.")
@click.option(
    "--design",
    type=click.Choice(["dirichlet", "grid", "vertices"]),
    default="dirichlet",
    show_default=True,
)
@click.option(
    "--mixtures",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Mixtures of the dirichlet design.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Intervals along every edge of the grid design.",
)
@click.option("--n-params", type=common.Numbers(), default="1e7,3e7,1e8,3e8", show_default=True)
@click.option("--tokens", type=common.Numbers(), default="1e9,3e9,1e10,3e10", show_default=True)
@click.option(
    "--noise",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Relative standard deviation of every loss.",
)
@click.option("--replicates", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--unique",
    multiple=True,
    type=common.NamedNumbers(),
    help="Unique tokens of domains, for a law NAME+repetition: d1=1e9.",
)
@click.option("--out", required=True, metavar="RUNS.csv", help="Run table to write.")
@click.option("--truth", metavar="LAW.json", help="Law file of the true parameters to write.")
@common.json_option
def simulate_command(out: str, truth: str | None, as_json: bool, **options: Any) -> None:
    """Draw a study: every size on every mixture, evaluated at every token count."""
    inputs = [options["source"]] if options["source"] else []
    common.check_out(out, *inputs)
    if truth is not None:
        common.check_out(truth, out, *inputs)
    from jaxmix.fitting.files import save_laws
    from jaxmix.fitting.simulate import simulate_laws

    laws, mixtures = _given(options) if options["source"] else _drawn(options)
    names = ("n_params", "tokens", "noise", "seed", "replicates")
    unique = common.merged(options["unique"], "--unique")
    settings = {name: options[name] for name in names}
    table = simulate_laws(laws, mixtures=mixtures, unique=unique, **settings)
    if truth is not None:
        reference = options["law"] if ".py:" in options["law"] else None
        save_laws(truth, laws, {"simulated": options}, law_ref=reference)
    write_table(table, out, as_json)


def _given(options: _Options) -> "tuple[tuple[FittedLaw, ...], Any]":
    """The laws of a file, taken as true, and the design over their domains."""
    from jaxmix.fitting.files import load_laws

    laws = load_laws(options["source"])
    return laws, _design(options, len(laws[0].domains))


def _drawn(options: _Options) -> "tuple[tuple[FittedLaw, ...], Any]":
    """Plausible true parameters of the law asked for, and the design."""
    from jaxmix.fitting.simulate import random_truth, true_laws
    from jaxmix.laws import get_law

    law = get_law(options["law"])
    domains = _names(options["domains"], "w_", "d")
    targets = _names(options["targets"], "loss_", "t") if options["targets"] else domains
    mixtures = _design(options, len(domains))
    scale = {name: (min(options[name]), max(options[name])) for name in ("n_params", "tokens")}
    drawn = random_truth(law, len(domains), options["seed"], count=len(targets), **scale)
    laws = true_laws(
        law,
        dict(zip(targets, drawn, strict=True)),
        domains=domains,
        targets=targets,
        mixtures=mixtures,
        n_params=options["n_params"],
        tokens=options["tokens"],
    )
    return laws, mixtures


def _names(text: str, prefix: str, stem: str) -> tuple[str, ...]:
    """Names from a comma-separated list, or ``stem1`` to ``stemK`` from a count K."""
    from jaxmix.runs import bare

    if text.strip().isdigit():
        if not 1 <= int(text) <= 1000:
            raise JaxmixError(f"'{text}' domains or targets: name a count from 1 to 1000")
        return tuple(f"{stem}{i}" for i in range(1, int(text) + 1))
    names = tuple(bare(name.strip(), prefix) for name in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise JaxmixError(f"'{text}': every name must be there, once")
    return names


def _design(options: _Options, k: int) -> Any:
    """Mixtures [q, k]."""
    from jaxmix.mixtures import designs

    if options["design"] == "vertices":
        return designs.vertices(k)
    if options["design"] == "grid":
        return designs.grid_design(k, options["steps"])
    return designs.dirichlet_design(k, options["mixtures"], seed=options["seed"])
