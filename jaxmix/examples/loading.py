"""Reading the run tables that ship with the package.

Every row is a checkpoint of a small model that ``experiments/`` trained on a mixture of the
domains. The tables hold measured losses, no text and no pictures.
"""

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from jaxmix.errors import JaxmixError, hint

if TYPE_CHECKING:
    from jaxmix.runs import RunTable


@dataclass(frozen=True, kw_only=True)
class Example:
    """What an example table holds.

    Attributes:
        about: what was trained, in one phrase.
        corpus: the recipe of the training data; ``jaxmix data list`` shows sources and licenses.
        folder: where the repository keeps the code that made it.
        license: of the table.
    """

    about: str
    corpus: str
    folder: str
    license: str = "Apache-2.0"


EXAMPLES = {
    "text": Example(
        about="Llama-style language models; two targets are never trained on",
        corpus="text",
        folder="experiments/text",
    ),
    "multimodal": Example(
        about="early-fusion models of text, captions and illustrated pages",
        corpus="nmm",
        folder="experiments/multimodal",
    ),
    "vision": Example(
        about="image encoders with a caption decoder; two targets are never trained on",
        corpus="lvm",
        folder="experiments/vision",
    ),
}


def load_example(name: str) -> "RunTable":
    """An example run table.

    Args:
        name: one of ``EXAMPLES``.

    Raises:
        JaxmixError: no such example.

    Example:
        >>> load_example("multimodal").domains
        ('text', 'image_caption', 'interleaved')
    """
    if name not in EXAMPLES:
        raise JaxmixError(f"there is no example '{name}'; {hint(name, EXAMPLES)}")
    from jaxmix.runs import read_runs

    with resources.as_file(resources.files("jaxmix.examples") / f"{name}.csv") as path:
        return read_runs(path)
