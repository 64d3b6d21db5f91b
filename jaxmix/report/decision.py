"""The first parts of the page: the recommendation, the law's own optimum, and the warnings."""

import re
from collections.abc import Callable

import numpy as np

from jaxmix.fitting import Interval
from jaxmix.mixtures import Optimum
from jaxmix.quantities import chance
from jaxmix.report import findings
from jaxmix.report.contents import Report
from jaxmix.report.limits import broken_limits, limits
from jaxmix.report.markup import Cell, figure, number, paragraphs, percent, size, table, text
from jaxmix.report.warnings import TITLES, warnings

Made = tuple[str, str]  # an answer in one sentence, and HTML


def recommended(report: Report) -> str:
    """The proposal: its weights, its gains, and the limits that it obeys."""
    said = "".join(f"<p>{text(line)}</p>" for line in findings.verdict(report))
    top = f'<p class="answer">{text(findings.train_on(report))}</p>{said}'
    if report.proposed is None:
        return top
    gray = " Gray: the weights that were run." if report.laws.support else ""
    picture = figure("proposal", f"Blue: the recommended weights.{gray} Marks: other mixtures.")
    sides = picture + gains(report), _weights(report) + _limits(report)
    return f'{top}<div class="wide"><div>{sides[0]}</div><div>{sides[1]}</div></div>'


def _weights(report: Report) -> str:
    best, h = report.supported, report.proposed
    if best is None or h is None:
        return ""
    stock = best.constraints.available
    finite = np.isfinite(report.tokens)
    head = ["domain", "weight", *(["tokens"] if finite else []), *(["passes"] if stock else [])]
    head += report.compared
    rows: list[list[str | Cell]] = []
    for i, domain in enumerate(report.laws.domains):
        row: list[str | Cell] = [domain, Cell(percent(float(h[i])), "strong")]
        row += [size(round(float(h[i] * report.tokens)))] if finite else []
        if stock:
            passes = h[i] * report.tokens / stock[domain] if domain in stock else np.nan
            row.append(number(float(passes), 2))
        row += [percent(float(b[i])) for b in report.compared.values()]
        rows.append(row)
    return table("Weights, and the tokens that they are of the whole run", head, rows)


def gains(report: Report) -> str:
    """What the recommendation gains over every baseline."""
    found = report.recommendation
    if found is None:
        return ""
    rows: list[list[str | Cell]] = []
    for name, g in found.gains.items():
        if np.allclose(found.h, found.baselines[name]):
            rows.append([name, "the same mixture", "–", "–"])
            continue
        shown = "shown" if g.low > 0 else "worse" if g.high < 0 else "not shown"
        rows.append([name, Cell(number(g.estimate, 2), "strong"), ends(g), shown])
    head = ["gain over", findings.unit(report), f"{100 * report.level:g}% interval", "by the runs"]
    what = findings.objective_name(report)
    return table(f"By how much the {what} is lower than with other mixtures", head, rows)


def ends(interval: Interval, shown: Callable[[float], str] = lambda x: number(x, 2)) -> str:
    """An interval in words."""
    return f"{shown(interval.low)} to {shown(interval.high)}"


def _limits(report: Report) -> str:
    best = report.supported
    if best is None:
        return ""
    within = best.constraints.within
    region = {
        "range": "Every weight stays between the least and the most that were run.",
        "hull": "The mixture stays among blends of those that were run (their convex hull).",
    }
    said = [*([region[within]] if within in region else []), *limits(best).values()]
    broken = {n: ", ".join(broken_limits(best, h)) for n, h in report.compared.items()}
    said += [
        f"The {findings.mixture_name(n)} does not obey {labels}." for n, labels in broken.items()
        if labels
    ]  # fmt: skip
    return f"<h3>Limits obeyed</h3>{paragraphs(said, 'notes limits')}" if said else ""


def alone(report: Report) -> Made:
    """The law's own optimum beside the recommendation: a diagnostic."""
    best = report.recommendation.law_optimum if report.recommendation else report.optimum
    if best is None or report.proposed is None:
        return "", ""
    sure = report.uncertainty if report.uncertainty and report.optimum is best else None
    support = best.counted.laws.support
    head = ["domain", "recommended", "law alone", *(["interval"] if sure else [])]
    head += ["least run", "most run"] if support is not None else []
    rows: list[list[str | Cell]] = []
    for i, (domain, h) in enumerate(best.weights.items()):
        own = percent(float(report.proposed[i]))
        row: list[str | Cell] = [domain, own, Cell(percent(h), "strong")]
        row += [ends(sure.intervals[domain], percent)] if sure else []
        row += [percent(float(e[i])) for e in (support.low, support.high)] if support else []
        rows.append(row)
    made = table("The law alone, beside what was run", head, rows)
    why = (
        "This is a diagnostic, not a recipe: where a law's loss is lowest is also where its errors "
        "help it most. If it differs much from the recommendation, runs there would tell more "
        "than any other."
    )
    return findings.alone(report), f"<p>{why}</p>{made}{_promised(report, best)}"


def _promised(report: Report, best: Optimum) -> str:
    sure = report.uncertainty
    if sure is None or report.optimum is not best:
        return ""
    rows: list[list[str | Cell]] = [
        [
            g.baseline,
            number(g.predicted, 2),
            number(g.optimism, 2),
            Cell(number(g.corrected, 2), "strong"),
            f"{number(g.low, 2)} to {number(g.high, 2)}",
            chance(g.probability),
        ]
        for g in sure.gains
    ]
    level = f"{100 * sure.level:g}% interval"
    head = ["gain over", "promised", "optimism", "gain", level, "probably better"]
    title = f"Gain of the law's optimum, {findings.unit(report)}, with its optimism removed"
    return table(title, head, rows)


def _options(remedy: str) -> str:
    """Text whose options stand in one piece."""
    return re.sub(r"--[a-z-]+( \d+)?", r"<code>\g<0></code>", text(remedy))


def warned(report: Report) -> Made:
    """Warnings by consequence, each with its remedy."""
    parts: list[str] = []
    found = warnings(report)
    for rank, title in enumerate(TITLES):
        mine = [w for w in found if w.rank == rank]
        items = "".join(
            f"<li><p>{text(w.found)}</p>"
            + (f'<p class="remedy"><b>Do:</b> {_options(w.remedy)}</p>' if w.remedy else "")
            + "</li>"
            for w in mine
        )
        if mine:
            parts.append(f'<h3>{title}</h3><ul class="warnings rank-{rank}">{items}</ul>')
    return findings.wrong(report), "".join(parts) or "<p>Every check was passed.</p>"
