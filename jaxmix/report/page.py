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
from jaxmix.report import sections
from jaxmix.report.contents import Report, make_report
from jaxmix.report.findings import budget, find
from jaxmix.report.markup import paragraphs, percent, text
from jaxmix.report.payload import payload, why_no_sliders
from jaxmix.report.rows import FittedRows
from jaxmix.runs import RunTable
from jaxmix.runs.reading import Table

_SCRIPTS = ("laws.js", "simplex.js", "charts.js", "page.js", "explore.js")


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


def render(report: Report) -> str:
    """The page's HTML."""
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    data = "".join(
        f'<script type="application/json" id="{name}">{value}</script>\n'
        for name, value in payload(report).items()
    )
    law, source = report.laws.law.name, os.path.basename(report.rows.table.source)
    made = _sections(report)
    filled = {
        "policy": _policy(script),
        "style": _asset("page.css"),
        "title": text(f"{law} law of {source}"),
        "heading": "Which mixture to train on",
        "lead": text(f"{law} law fitted on {source}, for {budget(report)}"),
        "findings": _findings(report),
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


def _findings(report: Report) -> str:
    found = find(report)
    beware = found.distrust or ("None of the checks below found anything to warn of.",)
    cards = (
        ("Train on", f"<p>{text(found.train_on)}</p>{_bars(report)}"),
        ("How sure", paragraphs(found.how_sure, "plain")),
        ("Do not trust blindly", paragraphs(beware, "plain")),
    )
    return "".join(f'<div class="card"><h3>{title}</h3>{body}</div>' for title, body in cards)


def _bars(report: Report) -> str:
    """The mixture as bars, the largest weight first; screen readers have the sentence."""
    shown = report.recommendation or report.optimum
    if shown is None:
        return ""
    order = sorted(shown.weights.items(), key=lambda item: -item[1])[:10]
    longest = order[0][1]
    items = "".join(
        f'<li>{text(d)}<i style="width:{100 * h / longest:.1f}%"></i><b>{text(percent(h))}</b></li>'
        for d, h in order
    )
    return f'<ul class="bars" aria-hidden="true">{items}</ul>'


_Section = tuple[str, str, str, str]


def _sections(report: Report) -> Sequence[_Section]:
    """Id, title, one sentence and content of each section that there is something to say in."""
    made = (
        ("recommended", "The recommended mixture", *sections.recommended(report)),
        ("mixture", "What the law alone would choose", *sections.mixture(report)),
        ("explore", "Try another budget", *sections.explore(report, why_no_sliders(report))),
        ("scale", "The mixture over scale", *sections.scale(report)),
        ("effects", "What each domain does to each target", *sections.effects(report)),
        ("fit", "How well the law describes the runs", *sections.fit(report)),
        ("parameters", "Parameters", *sections.parameters(report)),
        ("laws", "Other laws", *sections.comparison(report)),
        ("data", "The runs", *sections.data(report)),
        ("origin", "How this was made", *sections.origin(report)),
    )
    return [s for s in made if s[3]]


def _section(name: str, title: str, lead: str, content: str) -> str:
    return (
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>'
        f'<p class="lead">{text(lead)}</p>{content}</section>'
    )
