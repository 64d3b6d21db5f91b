"""Reading the run tables that ship with the package.

``text``: seven text domains and nine targets; ``multimodal``: text, captions and interleaved
documents; ``vision``: pictures of four domains and six targets. Every row is a checkpoint of a
model that ``experiments/`` trained on a mixture of these domains.
"""

from importlib import resources
from typing import TYPE_CHECKING

from jaxmix.errors import JaxmixError, hint

if TYPE_CHECKING:
    from jaxmix.runs import RunTable

EXAMPLES = ("text", "multimodal", "vision")


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
