"""``jaxmix presets``: the models that can be trained by name."""

from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.quantities import amount

if TYPE_CHECKING:
    from jaxmix.models import Preset

_FAMILIES = ("text", "multimodal", "vision")


@click.command("presets", cls=common.Command)
@click.option("--family", type=click.Choice(_FAMILIES), help="Show only this family.")
@opt.out
@opt.json
def command(family: str | None, out: str | None, as_json: bool) -> None:
    """List the models that jaxmix train and jaxmix study plan know by name.

    N counts parameters without embeddings; of a vision model it counts the encoder. The scale says
    what a preset is for: the paper's models, one GPU, or tiny models for CPU cores.
    """
    common.check_table(out)
    from jaxmix.models import PRESETS

    chosen = [one for one in PRESETS.values() if family in (None, one.family)]
    rows = []
    with common.progress("counting parameters") as report:
        for one in chosen:
            rows.append(_entry(one))
            report(len(rows), len(chosen))
    common.answer(as_json, {"presets": rows}, lambda: [_table(rows)], out=out, rows=lambda: rows)


def _entry(preset: "Preset") -> dict[str, Any]:
    from jaxmix.models import get_preset, multimodal_model, text_model, vision_model

    makers = dict(zip(_FAMILIES, (text_model, multimodal_model, vision_model), strict=True))
    model = makers[preset.family](get_preset(preset.name, vocab_size=1024))  # N has no vocabulary
    return {
        **common.pick(preset, "name", "family", "scale"),
        "n_params": model.count().n_params,
        **common.pick(preset, "width", "depth", "heads", "style", "learning_rate", "source"),
    }


def _table(rows: list[dict[str, Any]]) -> Any:
    words = ("family", "scale")
    columns = (*words, "N", "width", "layers", "heads", "learning rate")
    made = common.table("presets", "name", *columns, text=words)
    for one in rows:
        sizes = (str(one[name]) for name in ("width", "depth", "heads"))
        rate = common.number(one["learning_rate"], 3)
        made.add_row(
            one["name"], one["family"], one["scale"], amount(one["n_params"]), *sizes, rate
        )
    return made
