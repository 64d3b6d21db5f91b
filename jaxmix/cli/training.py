"""Options that the commands which train share: the corpus, the models, the runs."""

from collections.abc import Mapping
from typing import Any

import click

from jaxmix.cli import options as opt
from jaxmix.cli.values import Quantity, Value
from jaxmix.errors import JaxmixError


class Shard(Value):
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


corpus_options = opt.several(
    click.option("--corpus", required=True, metavar="NAME", help="A recipe or a prepared corpus."),
    click.option(
        "--tokenizer",
        metavar="bytes|bpe-N",
        help="Prepares the recipe with it.  [default: bpe-4096 for a recipe]",
    ),
    click.option("--max-bytes", type=Quantity(), help="Most bytes of every domain's data."),
    click.option(
        "--picture-size",
        type=click.IntRange(16, 1024),
        help="Shorter side of a recipe's pictures, in pixels.  [default: 48]",
    ),
)

_SETTINGS = ("checkpoints", "batch", "length", "held_windows", "schedule", "forbid_repeat")

run_options = opt.several(
    opt.count("--checkpoints", 8, "Evaluations of each run."),
    opt.count("--batch", 16, "Records a step."),
    click.option(
        "--length",
        type=click.IntRange(min=2),
        help="Tokens and patches of a record.  [default: 128; with pictures what they take]",
    ),
    opt.setting("--held-windows", click.IntRange(min=2), 64, "Held-out records of every target."),
    opt.setting("--schedule", ("constant", "cosine"), "constant", "Of the learning rate."),
    click.option("--forbid-repeat", is_flag=True, help="Refuse to read any window twice."),
)


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
    """What ``run_options`` say, for ``Study``; the length is the preset's if none is given."""
    from jaxmix.studies import default_length

    found = {name: options[name] for name in _SETTINGS}
    return found | {"length": found["length"] or default_length(preset)}
