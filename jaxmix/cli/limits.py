"""Limits on a mixture and other inputs of a law: one set of options for every command."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import options as opt
from jaxmix.cli.values import AMOUNTS, MixtureType, NumberOrNamed, named_option
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaws
    from jaxmix.laws import Law
    from jaxmix.mixtures import Constraints

limit_options = opt.several(
    named_option("--min", help="Smallest weights of domains."),
    named_option("--max", help="Largest weights of domains."),
    named_option("--pin", help="Fixed weights of domains."),
    click.option(
        "--linear",
        "--group",
        "linear",
        multiple=True,
        metavar="EXPR",
        help='Inequality between weights: "a + b <= 0.3", "2*a <= b".',
    ),
    named_option(
        "--available",
        "--unique",
        "available",
        kind=AMOUNTS,
        help="Tokens that exist of a domain: books=25B. A law that knows repetition reads them; "
        "for other laws they cap the weight at --max-epochs passes.",
    ),
    click.option(
        "--max-epochs",
        type=NumberOrNamed(),
        help="Most passes over available tokens.  [default: 4; none if the law knows repetition]",
    ),
    named_option(
        "--guard",
        help="By how many nats (a task: bits per byte) a target may exceed its loss at "
        "--reference: web=0.01,task_*=0.",
    ),
    click.option(
        "--reference",
        type=MixtureType(),
        help="Mixture that --guard and --worst-case gap compare with.",
    ),
    click.option(
        "--prior", type=MixtureType(), help="Mixture to stay near, with --kl-max or --pull."
    ),
    click.option(
        "--kl-max",
        type=click.FloatRange(min=0, min_open=True),
        help="Largest KL divergence of the mixture from --prior, nats.  [prior: uniform]",
    ),
    click.option(
        "--within",
        type=click.Choice(["range", "hull", "anywhere"]),
        help="range keeps every weight between the smallest and the largest that were run, hull "
        "keeps the mixture in the convex hull of those that were run, anywhere allows every "
        "mixture.  [default: only what the runs never varied stays as it was]",
    ),
    named_option(
        "--at",
        help="Other inputs of the law, by column: learning_rate=3e-4; of a domain: quality_web=2.",
    ),
)

decay_option = click.option(
    "--r-star",
    type=click.FloatRange(min=0, min_open=True),
    help="Assume this decay R*_D of repeated tokens for a law that was fitted without repetition; "
    "15.39 is the published one. Commands that refit laws cannot assume it.",
)


def load_within(
    path: str, given: Mapping[str, Any], mixed: bool = True
) -> "tuple[FittedLaws, Constraints, dict[str, Any]]":
    """The laws in a file, with the limits and inputs that the options of a command give.

    Args:
        path: a law file.
        given: values of ``limit_options`` by parameter, and of ``pull`` if the command has it.
        mixed: whether the law must read the mixture; one that does not takes no limits.

    Returns:
        The laws, the constraints, and inputs of the law other than N, D, weights and stocks.

    Raises:
        JaxmixError: the law does not read the mixture, an unknown domain or target, or options
            that do not go together.
    """
    from jaxmix.fitting.files import load_laws
    from jaxmix.mixtures import Constraints, assume_repetition

    laws = load_laws(path)
    check_limits(given, laws.law)
    if given.get("r_star") is not None:
        laws = assume_repetition(laws, given["r_star"])
    limits = constraints_of(given, laws.domains, laws.targets)
    if not laws.law.reads("weights") and (mixed or limits != Constraints()):
        name = laws.law.name
        raise JaxmixError(f"{path}: law '{name}' does not look at the mixture; fit one that does")
    return laws, limits, inputs_of(given["at"], laws.law, laws.domains)


def check_limits(given: Mapping[str, Any], law: "Law | None" = None) -> None:
    """Refuses options that do nothing without another one; the law may not be chosen yet."""
    stock, knows = given["available"], law is not None and law.reads("unique")
    if given["max_epochs"] is not None and not stock:
        raise JaxmixError("--max-epochs counts passes over available tokens; give --available")
    if given.get("r_star") is not None and (knows or not stock):
        why = "the law has its own; leave it out" if knows else "it needs --available as well"
        raise JaxmixError(f"--r-star: {why}")
    for name, value in given["guard"].items():
        if name.endswith("<"):
            raise JaxmixError(
                f"--guard {name}={value:g}: a guard compares with a mixture; write by how much the "
                f"target may exceed its loss at --reference, as {name[:-1].strip()}=0.01"
            )
    if given["guard"] and given["reference"] is None:
        raise JaxmixError("--guard compares with a mixture; give --reference")
    if given.get("worst_case") == "gap" and given["reference"] is None:
        raise JaxmixError("--worst-case gap compares with a mixture; give --reference")
    if given["prior"] is not None and given["kl_max"] is None and not given.get("pull"):
        raise JaxmixError("--prior needs --kl-max (or, in commands that have it, --pull)")


def constraints_of(
    given: Mapping[str, Any], domains: tuple[str, ...], targets: tuple[str, ...]
) -> "Constraints":
    """The constraints that options give, with bare names."""
    from jaxmix.mixtures import Constraints

    stock = {name: tokens for name, tokens in given["available"].items() if tokens < float("inf")}
    reference, prior = (
        known_mixture(given[name], domains, stock, f"--{name}") for name in ("reference", "prior")
    )
    limits = Constraints(
        minimum=given["min"],
        maximum=given["max"],
        pinned=given["pin"],
        linear=given["linear"],
        available=stock,
        max_epochs=given["max_epochs"],
        guards=given["guard"],
        reference=reference,
        prior=prior,
        kl_max=given["kl_max"],
        within=given["within"],
    )
    return limits.over(domains, targets)


def known_mixture(
    given: str | Mapping[str, float] | None,
    domains: tuple[str, ...],
    stock: Mapping[str, float],
    option: str,
) -> Mapping[str, float] | None:
    """A mixture by its weights, or by the word uniform or proportional (to the stock)."""
    from jaxmix.runs import resolve_names

    if given == "uniform":
        return dict.fromkeys(domains, 1 / len(domains))
    if given != "proportional":
        return given  # type: ignore[return-value]
    tokens = {resolve_names([n], domains, "domain")[0]: v for n, v in stock.items()}
    missing = [name for name in domains if name not in tokens]
    if missing:
        raise JaxmixError(f"{option} proportional needs --available of {', '.join(missing)} too")
    total = sum(tokens.values())
    return {name: tokens[name] / total for name in domains}


def inputs_of(columns: Mapping[str, float], law: "Law", domains: tuple[str, ...]) -> dict[str, Any]:
    """Inputs of the law by name: a number, or numbers by domain."""
    own = [i for i in law.inputs if i.per != "row"]
    by_domain = {i.column(d): (i.name, d) for i in own for d in domains}
    found: dict[str, Any] = {}
    for column, value in columns.items():
        name, domain = by_domain.get(column, (column, None))
        if domain is None:
            found[name] = value
        else:
            found.setdefault(name, {})[domain] = value
    return found
