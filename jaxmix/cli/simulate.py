"""``jaxmix simulate``: a study drawn from a known law, for tests and for planning."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.imports import write_table
from jaxmix.cli.values import AMOUNTS, QUANTITIES, named_option
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaws

_Options = Mapping[str, Any]


@click.command("simulate", cls=common.Command)
@opt.setting("--law", str, "joint", "Law to draw parameters of.")
@click.option("--from", "source", metavar="LAW.json", help="Take this file's laws as true.")
@opt.setting("--domains", str, "3", "How many, or names a,b,c.")
@click.option("--targets", help="How many, or names; the default is the domains.")
@opt.setting("--design", ("dirichlet", "grid", "vertices"), "dirichlet", "How mixtures are chosen.")
@opt.count("--mixtures", 20, "Mixtures of the dirichlet design.")
@opt.count("--steps", 4, "Intervals along every edge of the grid design.")
@opt.setting("--n-params", QUANTITIES, "1e7,3e7,1e8,3e8", "Sizes N of the models.")
@opt.setting("--tokens", QUANTITIES, "1e9,3e9,1e10,3e10", "D at which losses are recorded.")
@opt.setting("--noise", click.FloatRange(min=0), 0.0, "Relative standard deviation of a loss.")
@opt.count("--replicates", 1, "Runs of each size and mixture.")
@opt.seed
@named_option(
    "--available",
    "--unique",
    "available",
    kind=AMOUNTS,
    help="Tokens that exist of a domain, for a law NAME+repetition: d1=1B.",
)
@click.option("--out", required=True, metavar="RUNS.csv", help="Run table to write.")
@click.option("--truth", metavar="LAW.json", help="Law file of the true parameters to write.")
@opt.json
def command(out: str, truth: str | None, as_json: bool, **options: Any) -> None:
    """Draw a study: every size on every mixture, evaluated at every token count."""
    inputs = [options["source"]] if options["source"] else []
    common.check_out(out, *inputs)
    if truth is not None:
        common.check_out(truth, out, *inputs)
    from jaxmix.fitting.simulate import simulate_laws
    from jaxmix.runs import resolve

    laws, mixtures = _given(options) if options["source"] else _drawn(options)
    names = ("n_params", "tokens", "noise", "seed", "replicates")
    settings = {name: options[name] for name in names}
    stock = resolve(options["available"], laws.domains, "domain")
    table = simulate_laws(laws, mixtures=mixtures, unique=stock, **settings)
    if truth is not None:
        reference = options["law"] if ".py:" in options["law"] else None
        laws.save(truth, provenance={"simulated": options}, law_ref=reference)
    write_table(table, out, as_json)


def _given(options: _Options) -> "tuple[FittedLaws, Any]":
    """The laws of a file, taken as true, and the design over their domains."""
    from jaxmix.fitting.files import load_laws

    laws = load_laws(options["source"])
    return laws, _design(options, len(laws.domains))


def _drawn(options: _Options) -> "tuple[FittedLaws, Any]":
    """Plausible true parameters of the law asked for, and the design."""
    from jaxmix.fitting.simulate import random_truth, true_laws
    from jaxmix.laws import get_law

    law = get_law(options["law"])
    domains = _names(options["domains"], "w_", "d")
    targets = _names(options["targets"], "loss_", "t") if options["targets"] else domains
    mixtures = _design(options, len(domains))
    sizes, tokens = options["n_params"], options["tokens"]
    scale = {"n_params": (min(sizes), max(sizes)), "tokens": (min(tokens), max(tokens))}
    drawn = random_truth(law, len(domains), options["seed"], count=len(targets), **scale)
    laws = true_laws(
        law,
        dict(zip(targets, drawn, strict=True)),
        domains=domains,
        targets=targets,
        mixtures=mixtures,
        n_params=sizes,
        tokens=tokens,
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
        raise JaxmixError(f"'{text}': give every name once")
    return names


def _design(options: _Options, k: int) -> Any:
    """Mixtures [q, k]."""
    from jaxmix.mixtures import designs

    if options["design"] == "vertices":
        return designs.vertices(k)
    if options["design"] == "grid":
        return designs.grid_design(k, options["steps"])
    return designs.dirichlet_design(k, options["mixtures"], seed=options["seed"])
