"""The report as one HTML file that needs nothing else."""

import base64
import hashlib
import os
from collections.abc import Sequence
from importlib import resources

from jaxmix import __version__
from jaxmix.files import write_text
from jaxmix.report import sections
from jaxmix.report.contents import Report
from jaxmix.report.findings import budget, find
from jaxmix.report.markup import paragraphs, percent, text
from jaxmix.report.payload import interactive, payload

_SCRIPTS = ("laws.js", "simplex.js", "charts.js", "page.js", "explore.js")


def write_report(report: Report, path: str | os.PathLike[str]) -> None:
    """Writes a report as one HTML file, whole or not at all.

    The file opens offline: styles, scripts and data are in it, and its content policy lets it load
    nothing else. Scripts of its own are the only ones that run.

    Args:
        report: what ``make_report`` returned.
        path: the file.

    Raises:
        JaxmixError: the file cannot be written.
    """
    write_text(path, render(report))


def render(report: Report) -> str:
    """The page's HTML."""
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    data = "".join(
        f'<script type="application/json" id="{name}">{value}</script>\n'
        for name, value in payload(report).items()
    )
    filled = {
        "policy": _policy(script),
        "style": _asset("page.css"),
        "title": text(f"{report.laws[0].law.name} law of {_source(report)}"),
        "heading": "Which mixture to train on",
        "lead": text(
            f"{report.laws[0].law.name} law fitted on {_source(report)}, for {budget(report)}"
        ),
        "findings": _findings(report),
        "contents": _contents(_sections(report)),
        "sections": "\n".join(_section(*s) for s in _sections(report)),
        "version": text(__version__),
        "data": data,
        "script": script,
    }
    page = _asset("page.html")
    head, *rest = page.split("{{")  # filled in one pass: what is filled in is never looked at again
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


def _source(report: Report) -> str:
    return os.path.basename(report.rows.table.source)


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
    """The proposal as bars, the largest weight first; screen readers have the sentence."""
    if report.optimum is None:
        return ""
    order = sorted(report.optimum.mixture.items(), key=lambda item: -item[1])[:10]
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
        ("mixture", "The mixture and how sure it is", *sections.mixture(report)),
        ("explore", "Try another budget", *sections.explore(report, interactive(report))),
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


def _contents(made: Sequence[_Section]) -> str:
    return "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title, _, _ in made)
