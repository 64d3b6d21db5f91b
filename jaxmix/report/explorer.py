"""The report's sliders in a notebook: a page of its own in a frame, without widgets or a server."""

import html
import os
from dataclasses import dataclass
from typing import Any

from jaxmix.files import write_text
from jaxmix.mixtures import Optimum, Recommendation
from jaxmix.report.contents import Report, make_report
from jaxmix.report.page import render
from jaxmix.report.rows import FittedRows
from jaxmix.runs import RunTable
from jaxmix.runs.reading import Table

_PARTS = ("sizes", "moves")


@dataclass(frozen=True, eq=False, repr=False)
class Explorer:
    """Sliders for the size, the tokens, the weights and a limit.

    Attributes:
        report: what they are made from.
        height: of the frame in a notebook, pixels.
    """

    report: Report
    height: int = 900

    def __repr__(self) -> str:
        laws = self.report.laws
        return f"Explorer({laws.law.name!r}, {len(laws.domains)} domains; shows in a notebook)"

    @property
    def page(self) -> str:
        """The sliders as one HTML page that needs nothing else."""
        return render(self.report, _PARTS)

    def _repr_html_(self) -> str:
        style = f"width:100%;height:{self.height}px;border:0"
        page = html.escape(self.page)
        # Scripts run in it and see nothing of the notebook.
        return f'<iframe srcdoc="{page}" sandbox="allow-scripts" style="{style}"></iframe>'

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the page, whole or not at all."""
        write_text(path, self.page)


def explore(
    optimum: Optimum | Recommendation,
    runs: Table | RunTable | FittedRows,
    *,
    height: int = 900,
    **options: Any,
) -> Explorer:
    """Sliders over what the laws say, for the last line of a notebook's cell.

    Optima are computed now, within the limits of the optimum; the sliders interpolate them and
    need no Python afterwards.

    Args:
        optimum: a recommendation, or an optimum of the laws.
        runs: the run table, with the rows that were fitted.
        height: of the frame, pixels.
        **options: keywords of ``write_report``. Unless ``resamples`` is given, no refits are made.

    Raises:
        JaxmixError: as ``write_report``.
    """
    return Explorer(make_report(optimum, runs, **{"resamples": 0, **options}), height)
