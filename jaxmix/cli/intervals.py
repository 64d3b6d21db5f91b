"""Intervals of predicted losses on the command line: the option, and the refits behind it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.fitting import Ensemble, FittedLaws

interval_options = opt.several(
    click.option(
        "--interval",
        "level",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        metavar="LEVEL",
        help="Add intervals that a measured loss is in with this probability: 0.9.",
    ),
    click.option(
        "--runs",
        "fitted",
        metavar="FILE",
        help="Run table that the laws were fitted on, for --interval; by default the one that LAW "
        "names.",
    ),
    opt.resamples("Number of refits behind --interval"),
)


def refitted(
    path: str,
    laws: "FittedLaws",
    fitted: str | None,
    resamples: int | None,
    others: Sequence[str] = (),
) -> "Ensemble":
    """Refits of the laws in a file.

    Args:
        path: the law file.
        laws: those of its laws to refit.
        fitted: the run table of the fit; None for the one that the file names.
        resamples: refits per target; None for as many as are needed.
        others: run tables at hand that may be the one of the fit, under another name.

    Raises:
        JaxmixError: no table is at hand that is the one of the fit.
    """
    from jaxmix.fitting import bootstrap
    from jaxmix.fitting.files import read_fitted_rows

    runs = fitted or _named_runs(path, others)
    table, weighting = read_fitted_rows(path, runs)
    with common.progress("refitting") as report:
        return bootstrap(laws, table, resamples=resamples, weighting=weighting, progress=report)


def _named_runs(path: str, others: Sequence[str]) -> str:
    """The run table that a law file names, if it is unchanged."""
    from jaxmix.files import file_hash
    from jaxmix.fitting.files import read_provenance

    origin: dict[str, Any] = read_provenance(path)
    name, known = origin.get("runs"), origin.get("runs_sha256")
    if not name or not known:
        raise JaxmixError(
            f"{path}: does not say what runs it was fitted on; name them: --runs FILE"
        )
    beside = Path(path).parent / Path(str(name)).name
    found = [str(p) for p in (name, beside, *others) if Path(str(p)).is_file()]
    for runs in found:
        if file_hash(runs) == known:
            return runs
    what = "has changed since" if found[:1] == [str(name)] else "is not there"
    raise JaxmixError(
        f"{path}: the run table of its fit, {name}, {what}; name it with --runs FILE, or fit again"
    )
