"""Options that the commands which train share, and the types of their values."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.runs import RunTable


class SizeType(click.ParamType):
    """PRESET=TOKENS, as tiny-64=1M."""

    name = "PRESET=TOKENS"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, float]:
        """Text to preset and tokens."""
        preset, equals, tokens = str(value).partition("=")
        if not equals or not preset.strip():
            self.fail(f"'{value}' is not PRESET=TOKENS; write tiny-64=1M", param, ctx)
        return preset.strip(), common.Quantity().convert(tokens, param, ctx)


class MixtureType(click.ParamType):
    """NAME:domain=weight,..."""

    name = "NAME:a=0.5,b=0.5"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, dict[str, float]]:
        """Text to a name and weights."""
        name, colon, weights = str(value).partition(":")
        if not colon or not name.strip():
            self.fail(f"'{value}' has no name; write best:web=0.7,code=0.3", param, ctx)
        return name.strip(), common.NamedNumbers().convert(weights, param, ctx)


class Baseline(MixtureType):
    """A known mixture by name, or NAME:domain=weight,..."""

    name = "uniform|proportional|NAME:a=0.5,b=0.5"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, dict[str, float] | None]:
        """Text to a name and weights; None for a mixture that the table defines."""
        if str(value) in ("uniform", "proportional"):
            return str(value), None
        return super().convert(value, param, ctx)


class Shard(click.ParamType):
    """I/N."""

    name = "I/N"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """Text to (i, n)."""
        if isinstance(value, tuple):
            return value
        first, _, second = str(value).partition("/")
        if not (first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
            self.fail(f"'{value}' is not I/N with I from 1 to N; write 1/4", param, ctx)
        return int(first), int(second)


def corpus_options(command: Any) -> Any:
    """Adds the options that say which data to train on."""
    options = (
        click.option(
            "--corpus", required=True, metavar="NAME", help="A recipe or a prepared corpus."
        ),
        click.option(
            "--tokenizer",
            metavar="bytes|bpe-N",
            help="Prepares the recipe with it.  [default: bpe-4096 for a recipe]",
        ),
        click.option("--max-bytes", type=common.Quantity(), help="Cap of every domain's data."),
        click.option(
            "--picture-size",
            type=click.IntRange(16, 1024),
            help="Of a recipe's kept pictures, in pixels.  [default: 48]",
        ),
    )
    return _with(command, options)


RUN_SETTINGS = ("checkpoints", "batch", "length", "held_windows", "schedule", "forbid_repeat")


def run_options(command: Any) -> Any:
    """Adds the options that every run has; RUN_SETTINGS names them."""
    count = click.IntRange(min=1)
    schedules = click.Choice(["constant", "cosine"])
    options = (
        click.option("--checkpoints", type=count, default=8, show_default=True),
        click.option("--batch", type=count, default=16, show_default=True, help="Records a step."),
        click.option(
            "--length",
            type=click.IntRange(min=2),
            help="Tokens and patches of a record.  [default: 128; with pictures what they take]",
        ),
        click.option("--held-windows", type=click.IntRange(min=2), default=64, show_default=True),
        click.option("--schedule", type=schedules, default="constant", show_default=True),
        click.option("--forbid-repeat", is_flag=True, help="Refuse to read any window twice."),
    )
    return _with(command, options)


def _with(command: Any, options: Sequence[Any]) -> Any:
    for option in reversed(options):
        command = option(command)
    return command


def corpus_spec(options: Mapping[str, Any]) -> Any:
    """The corpus that the options name."""
    from jaxmix.data import RECIPES
    from jaxmix.studies import CorpusSpec

    corpus, tokenizer, most = (options[name] for name in ("corpus", "tokenizer", "max_bytes"))
    size = options["picture_size"]
    if corpus in RECIPES:
        return CorpusSpec(corpus, tokenizer or "bpe-4096", int(most) if most else None, size)
    if tokenizer or most or size:
        raise JaxmixError(
            f"--corpus {corpus}: is no recipe, so --tokenizer, --max-bytes and --picture-size do "
            "not apply; prepare it first with jaxmix data prepare"
        )
    return CorpusSpec(corpus)


def run_settings(options: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """What `run_options` say, for `Study`; the length is the preset's where none is given."""
    from jaxmix.studies import default_length

    found = {name: options[name] for name in RUN_SETTINGS}
    return found | {"length": found["length"] or default_length(preset)}


def named_baselines(
    given: Sequence[tuple[str, dict[str, float] | None]],
    table: "RunTable",
    domains: tuple[str, ...],
) -> dict[str, dict[str, float]] | None:
    """Baselines by name; None where none was asked for."""
    found = {}
    for name, weights in given:
        if name in found:
            raise JaxmixError(f"--baseline: '{name}' is given twice")
        known = {"uniform": lambda: dict.fromkeys(domains, 1.0 / len(domains))}
        known["proportional"] = lambda: _proportional(table, domains)
        found[name] = known[name]() if weights is None else weights
    return found or None


def _proportional(table: "RunTable", domains: tuple[str, ...]) -> dict[str, float]:
    """Weights in proportion to the unique tokens of the domains."""
    missing = [d for d in domains if f"unique_{d}" not in table.frame.columns]
    if missing:
        raise JaxmixError(
            f"{table.source}: --baseline proportional needs column 'unique_{missing[0]}'; add it, "
            "or give the mixture as NAME:domain=weight,..."
        )
    unique = {d: max(table.frame[f"unique_{d}"].dropna().tolist(), default=0.0) for d in domains}
    return {d: u / sum(unique.values()) for d, u in unique.items()}
