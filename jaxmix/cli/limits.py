"""The options that constrain a mixture, shared by ``optimize`` and ``pareto``."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaw
    from jaxmix.mixtures import Constraints

Parts = Sequence[Mapping[str, float]]


class Amounts(click.ParamType):
    """Token counts by name: ``books=25B,code=3e9``."""

    name = "name=tokens,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, float]:
        """Text to a dictionary."""
        found: dict[str, float] = {}
        for part in str(value).split(","):
            name, equals, text = part.rpartition("=")
            if not equals or not name.strip():
                self.fail(f"'{part}' is not name=tokens; write books=25B,code=3e9", param, ctx)
            if name.strip() in found:
                self.fail(f"'{name.strip()}' is given twice", param, ctx)
            found[name.strip()] = common.Quantity().convert(text, param, ctx)
        return found


class Epochs(click.ParamType):
    """One number, or numbers by name: ``4`` or ``books=8,code=2``."""

    name = "number | name=number,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Text to a number or a dictionary."""
        if isinstance(value, float | dict):
            return value
        if "=" in str(value):
            return common.NamedNumbers().convert(value, param, ctx)
        return common.Quantity().convert(value, param, ctx)


def _numbers(option: str, text: str) -> Any:
    name = option.strip("-").replace("-", "_") + "_"
    return click.option(option, name, multiple=True, type=common.NamedNumbers(), help=text)


_MIXTURE = "uniform, proportional (to --unique), or name=weight,... ."
_OPTIONS = (
    _numbers("--min", "Smallest weights of domains."),
    _numbers("--max", "Largest weights of domains."),
    _numbers("--pin", "Weights of domains that are given."),
    click.option(
        "--group", "group_", multiple=True, metavar="SUM", help='Budget of a group: "a+b<=0.3".'
    ),
    click.option(
        "--linear", "linear_", multiple=True, metavar="EXPR", help='Inequality: "2*a + b <= 0.5".'
    ),
    click.option(
        "--unique", "unique_", multiple=True, type=Amounts(), help="Unique tokens: books=25B,... ."
    ),
    click.option(
        "--max-epochs",
        "max_epochs_",
        type=Epochs(),
        help="Most passes over the unique tokens.  [default: 4]",
    ),
    _numbers("--guard", "By how many nats a target may exceed its loss at --reference."),
    click.option(
        "--reference", "reference_", metavar="MIXTURE", help=f"To compare with: {_MIXTURE}"
    ),
    click.option("--prior", "prior_", metavar="MIXTURE", help=f"To stay near to: {_MIXTURE}"),
    click.option("--kl-max", "kl_max_", type=float, help="Largest KL(mixture‖prior), nats."),
)


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; their values go to ``read_limits``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def load_mixture_laws(path: str) -> "tuple[FittedLaw, ...]":
    """The laws in a file, which must look at the mixture."""
    from jaxmix.fitting.files import load_laws

    laws = load_laws(path)
    if not laws[0].law.reads("weights") or not laws[0].domains:
        name = laws[0].law.name
        raise JaxmixError(f"{path}: law '{name}' does not look at the mixture; fit one that does")
    return laws


def read_limits(
    domains: tuple[str, ...], targets: Sequence[str], given: Mapping[str, Any], pull: float = 0.0
) -> "Constraints":
    """Constraints from the values of the options.

    Args:
        domains: bare names.
        targets: bare names.
        given: what click passed for the options.
        pull: strength of a pull to the prior.
    """
    from jaxmix.mixtures import constraints

    for option in ("min", "max", "pin"):
        _one_spelling(common.merged(given[f"{option}_"], f"--{option}") or {}, domains)
    for text in given["group_"]:
        if not any(mark in text for mark in "<>="):
            raise JaxmixError(f"--group: '{text}' compares nothing; write \"a+b<=0.3\"")
    unique = common.merged(given["unique_"], "--unique")
    if given["unique_"] and any(v == float("inf") for v in (unique or {}).values()):
        raise JaxmixError("--unique: a domain with infinitely many tokens needs no entry")
    if isinstance(given["max_epochs_"], float) and unique is None:
        raise JaxmixError("--max-epochs counts passes over unique tokens; give --unique")
    guards = common.merged(given["guard_"], "--guard")
    if guards and given["reference_"] is None:
        raise JaxmixError("--guard compares with a mixture; give --reference")
    for name in guards or {}:
        _known_target(name, targets)
    prior = _mixture(given["prior_"], "--prior", domains, unique)
    if prior is not None and given["kl_max_"] is None and not pull:
        raise JaxmixError("--prior does nothing by itself; give --kl-max, or --pull to optimize")
    return constraints(
        domains,
        minimum=common.merged(given["min_"], "--min"),
        maximum=common.merged(given["max_"], "--max"),
        pinned=common.merged(given["pin_"], "--pin"),
        linear=[*given["group_"], *given["linear_"]],
        unique_tokens=unique,
        max_epochs=4.0 if given["max_epochs_"] is None else given["max_epochs_"],
        guards=guards,
        reference=_mixture(given["reference_"], "--reference", domains, unique),
        prior=prior,
        kl_max=given["kl_max_"],
    )


def _one_spelling(values: Mapping[str, float], domains: tuple[str, ...]) -> None:
    from jaxmix.runs import resolve_names

    bare = [resolve_names([name], domains, "domain")[0] for name in values]
    if len(set(bare)) != len(bare):
        raise JaxmixError(f"a domain is named in both spellings: {', '.join(values)}")


def _known_target(name: str, targets: Sequence[str]) -> None:
    from jaxmix.runs import resolve_names

    resolve_names([name], tuple(targets), "target")


def _mixture(
    text: str | None, option: str, domains: tuple[str, ...], unique: Mapping[str, float] | None
) -> Mapping[str, float] | None:
    """A mixture by name or by its weights."""
    if text is None:
        return None
    if text == "uniform":
        return dict.fromkeys(domains, 1 / len(domains))
    if text == "proportional":
        from jaxmix.runs import resolve_names

        known = unique or {}
        bare = {resolve_names([n], domains, "domain")[0]: v for n, v in known.items()}
        missing = [name for name in domains if name not in bare]
        if missing:
            raise JaxmixError(f"{option} proportional needs --unique of {', '.join(missing)} too")
        total = sum(bare.values())
        return {name: value / total for name, value in bare.items()}
    try:
        return common.NamedNumbers().convert(text, None, None)
    except click.UsageError as error:
        raise JaxmixError(f"{option}: {error.format_message()}, or uniform, proportional") from None
