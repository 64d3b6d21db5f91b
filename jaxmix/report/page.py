"""The report as one HTML file that needs nothing else."""

import base64
import hashlib
import os
from collections.abc import Sequence
from importlib import resources
from typing import Any

from jaxmix import __version__
from jaxmix.files import write_text
from jaxmix.fitting import FittedLaw
from jaxmix.mixtures import Optimum, Recommendation
from jaxmix.report import decision, questions
from jaxmix.report.contents import Report, make_report
from jaxmix.report.findings import budget
from jaxmix.report.markup import text, words
from jaxmix.report.payload import payload, steps_of
from jaxmix.report.rows import FittedRows
from jaxmix.runs import RunTable
from jaxmix.runs.reading import Table

_BARE = "header>div,footer,nav,#decision,.skip{display:none!important}"
_SCRIPTS = ("program.js", "charts.js", "page.js", "explore.js")


def write_report(
    path: str | os.PathLike[str],
    optimum: Optimum | Recommendation | Sequence[FittedLaw],
    runs: Table | RunTable | FittedRows,
    **options: Any,
) -> Report:
    """Writes a report on a recommended mixture as one HTML file, whole or not at all.

    The file opens offline: styles, scripts and data are in it, and its content policy lets it load
    nothing else and run no other scripts. What is proposed, at what losses and within which
    constraints is the optimum's; nothing of it is optimized anew.

    Args:
        path: the file.
        optimum: a recommendation; or an optimum, for which one is made within the range that was
            run; or fitted laws, if their law does not read the mixture.
        runs: the run table, the rows that were fitted and others; of ``read_rows``, these are
            marked already.
        **options: keywords of ``make_report``:

            - ``where``: holds for the rows that were fitted; None if all of them were.
            - ``ensemble``: refits of the laws on the fitted rows; None to make them.
            - ``uncertainty``: of the optimum; None to compute it from the refits.
            - ``baselines``: mixtures to compare with, by name; None for the uniform one and the
              best mixture that was run, by its measured loss.
            - ``level``: probability that an interval is to cover (.9).
            - ``compare_laws``: laws to fit too, on all sizes but the largest, and to score there.
            - ``resamples``: refits to make; 0 for none, None for as many as intervals need.
            - ``weighting``: of rows, as in the fit.
            - ``n_params``, ``tokens``: budget of the page if ``optimum`` is fitted laws; None for
              the largest that was run.
            - ``provenance``: where laws and rows come from, by name, shown as it is.
            - ``seed``: of the resampling.
            - ``progress``: called with a stage, what is done and its total.

    Returns:
        What the page says.

    Raises:
        JaxmixError: an unknown target or domain, a baseline that is no mixture, an uncertainty of
            another optimum, a table that lacks all targets or the rows that were fitted, or a file
            that cannot be written.
    """
    report = make_report(optimum, runs, **options)
    write_text(path, render(report))
    return report


def render(report: Report, only: Sequence[str] | None = None) -> str:
    """The page's HTML.

    Args:
        report: what it says.
        only: ids of the parts to show, without the recommendation and the page's frame; None for
            the whole page.
    """
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    data = "".join(
        f'<script type="application/json" id="{name}">{value}</script>\n'
        for name, value in payload(report).items()
    )
    law, source = report.laws.law.name, os.path.basename(report.rows.table.source)
    made = [s for s in _sections(report) if only is None or s[0] in only]
    filled = {
        "policy": _policy(script),
        "style": _asset("page.css") + (_BARE if only is not None else ""),
        "title": text(f"{law} law of {source}"),
        "heading": "Which mixture to train on",
        "lead": words(f"For {budget(report)}, by the {law} law fitted on {source}"),
        "decision": decision.recommended(report) if only is None else "",
        "contents": "".join(f'<li><a href="#{s[0]}">{s[1]}</a></li>' for s in made),
        "sections": "\n".join(_section(*s) for s in made),
        "version": text(__version__),
        "data": data,
        "script": script,
    }
    head, *rest = _asset("page.html").split("{{")  # in one pass: what was filled in is not read
    parts = [head]
    for piece in rest:
        name, _, after = piece.partition("}}")
        parts += [filled[name], after]
    return "".join(parts)


def _asset(name: str) -> str:
    return (resources.files("jaxmix.report") / "assets" / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


_Section = tuple[str, str, str, str]


def _sections(report: Report) -> Sequence[_Section]:
    """Id, title, answer and content of each part that there is something to say in."""
    _, reason = steps_of(report)
    made = (
        ("alone", "What the law alone would choose", *decision.alone(report)),
        ("warnings", "What could make this wrong", *decision.warned(report)),
        ("sure", "How sure is this?", *questions.sure(report)),
        ("sizes", "What if the size or the tokens change?", *questions.sizes(report)),
        ("moves", "What if I move a weight or a limit?", *questions.moves(report, reason)),
        ("covered", "What do the runs cover?", *questions.covered(report)),
        ("next", "What should I run next?", *questions.run_next(report)),
        ("fits", "How well does the law fit?", *questions.fits(report)),
        ("origin", "How was this made?", *questions.origin(report)),
    )
    return [s for s in made if s[3]]


def _section(name: str, title: str, answer: str, content: str) -> str:
    return (
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>'
        f'<p class="answer">{words(answer)}</p>{content}</section>'
    )
