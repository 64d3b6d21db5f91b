"""What commands that train understand of stages and of where runs start."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli.values import NUMBERS, Labelled, Value, as_number
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.studies import Origin, Stage

Parts = tuple[tuple[float, dict[str, float]], ...]


class WeightsType(Value):
    """Weights, or stages of them: ``web=0.9,code=0.1@0.5;web=0.5,code=0.5``."""

    name = "a=0.5,b=0.5[@SHARE;...]"

    def convert(self, value: Any, param: Any, ctx: Any) -> Parts:
        """Text to stages: shares of the tokens and weights; one stage is a constant mixture.

        A last stage without a share has the tokens that the others leave.
        """
        if isinstance(value, tuple):
            return value
        stages: list[tuple[float, dict[str, float]]] = []
        parts = str(value).split(";")
        for i, part in enumerate(parts):
            text, at, share = part.partition("@")
            left = 1.0 - sum(done for done, _ in stages)
            number = as_number(share) if at else left if i + 1 == len(parts) else math.nan
            if not 0 < number <= 1:
                example = "web=0.9,code=0.1@0.5;web=0.5,code=0.5"
                text = f"'{part}' has no share of the tokens between 0 and 1; write {example}"
                self.fail(text, param, ctx)
            stages.append((number, NUMBERS.convert(text, param, ctx)))
        return tuple(stages)


STAGES = Labelled(
    WeightsType(), example="turn:web=1@0.5;code=1", form="NAME:a=0.9,b=0.1@0.5;a=0.5,b=0.5"
)

start_option = click.option(
    "--from",
    "start_from",
    metavar="FOLDER[:RUN]",
    help="Start from the final parameters of a run, which must have been kept.",
)


def find_start(given: str | None) -> "Origin | None":
    """The run that --from names."""
    from jaxmix.studies import find_origin

    if given is None:
        return None
    folder, _, run = (given, "", "") if Path(given).is_dir() else given.rpartition(":")
    return find_origin(folder or given, run or None)


def made_stages(parts: Parts) -> "tuple[Stage, ...]":
    """Stages as studies have them."""
    from jaxmix.studies import Stage

    return tuple(Stage(share, weights) for share, weights in parts)


def read_schedules(path: str) -> "dict[str, tuple[Stage, ...]]":
    """Stages by name from a JSON file: ``{"turn": [{"share": 0.5, "weights": {"web": 1}}, ...]}``.

    Raises:
        JaxmixError: the file does not read so.
    """
    from jaxmix.files import read_json
    from jaxmix.studies import Stage

    remedy = 'write {"name": [{"share": 0.5, "weights": {"web": 1}}, ...]}'
    held = read_json(path, remedy)
    try:
        return {
            name: tuple(
                Stage(float(s["share"]), {d: float(h) for d, h in s["weights"].items()})
                for s in stages
            )
            for name, stages in held.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise JaxmixError(
            f"{path}: holds no schedules ({type(error).__name__}: {error}); {remedy}"
        ) from None
