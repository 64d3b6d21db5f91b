"""The sections of the page: each a sentence and HTML, which is empty if there is nothing to say."""

from typing import Any

import numpy as np

from jaxmix.fitting import Interval
from jaxmix.mixtures import DomainEffects, Optimum
from jaxmix.quantities import chance, count
from jaxmix.report.contents import Report
from jaxmix.report.findings import best_measured, law_alone, mixture_name, objective_name
from jaxmix.report.limits import broken_limits, limits
from jaxmix.report.markup import Cell, loss, number, paragraphs, percent, size, table, text

Made = tuple[str, str]  # lead, HTML


def figure(kind: str, label: str, axis: str = "") -> str:
    """A place that page.js draws in."""
    return (
        f'<figure data-chart="{kind}" data-axis="{text(axis)}"><div class="drawing"></div>'
        f"<figcaption>{text(label)}</figcaption></figure>"
    )


def recommended(report: Report) -> Made:
    """The supported mixture beside the range that was run, its gains and losses."""
    found = report.recommendation
    if found is None:
        return "", ""
    frame = found.to_frame()
    lead = (
        "Inside the weights that were run, the mixture whose gain over the "
        f"{mixture_name(found.anchor)} has the best lower bound."
    )
    rows: list[list[str | Cell]] = [
        [d, Cell(percent(values[0]), "strong"), *map(percent, values[1:])]
        for d, values in zip(frame.index, frame.to_numpy().tolist(), strict=True)
    ]
    weights = table("Weights", ["domain", *frame.columns], rows)
    gains: list[list[str | Cell]] = [
        [name, Cell(number(g.estimate, 3), "strong"), *_ends(g, lambda x: number(x, 3))]
        for name, g in found.gains.items()
    ]
    over = table("Gain, nats of the objective", ["over", "estimate", "from", "to"], gains)
    losses: list[list[str | Cell]] = [
        [t, loss(i.estimate), *_ends(i, loss), *(number(g[t].estimate, 3) for g in by.values())]
        for by in [found.by_target]
        for t, i in found.predicted.items()
    ]
    head = [
        "target",
        "predicted loss, nats",
        "from",
        "to",
        *(f"gain over {n}" for n in found.by_target),
    ]
    reasons = paragraphs(f"Why this law: {reason}." for reason in found.reasons)
    picture = figure(
        "recommended", "Dots: the recommendation. Bars: the weights that were run. Marks: others."
    )
    made = picture + weights + over + table("Predicted losses", head, losses) + reasons
    return lead, made


def mixture(report: Report) -> Made:
    """h* with its confidence set, the limits that hold it and its gains."""
    best, sure = report.optimum, report.uncertainty
    if best is None:
        return "", ""
    lead = (
        f"Where the predicted {objective_name(report)} is lowest, and which other mixtures the "
        "runs cannot tell from it."
    )
    label = "Dots: the law's optimum."
    if sure:
        label += (
            f" Bars: the {100 * sure.level:g}% confidence set, all mixtures within "
            f"{number(sure.threshold, 3)} nats of the proposal. Faint dots: the optima of "
            f"{len(sure.refit_optima)} refits."
        )
    shapes = figure("intervals", f"{label} Marks: the baselines.")
    if sure and len(best.domains) == 3:
        shapes += figure("ternary", "The confidence set on the simplex of the three domains.")
    held = limits(best).values()
    said = best_measured(report)
    if report.recommendation:
        said = [*law_alone(report), *(sure or best).notes]
    listed = "<h3>Constraints of the proposal</h3>" + paragraphs(held) if held else ""
    return lead, (
        f'<div class="wide">{shapes}</div>{listed}{_weights(report, best)}'
        f"{paragraphs(said)}{_gains(report)}{_losses(report, best)}"
    )


def _weights(report: Report, best: Optimum) -> str:
    sure, others = report.uncertainty, report.baselines
    head = ["domain", "weight", *(["from", "to"] if sure else []), *others]
    rows: list[list[str | Cell]] = []
    for i, (domain, h) in enumerate(best.weights.items()):
        edges = _ends(sure.intervals[domain], percent) if sure else []
        rows.append(
            [domain, Cell(percent(h), "strong"), *edges, *(percent(b[i]) for b in others.values())]
        )
    broken = {name: ", ".join(broken_limits(best, h)) for name, h in others.items()}
    said = [
        f"The {mixture_name(n)} does not obey {labels}." for n, labels in broken.items() if labels
    ]
    return table("Weights of the proposal and of the baselines", head, rows) + paragraphs(said)


def _ends(interval: Interval, shown: Any) -> list[str]:
    return [shown(interval.low), shown(interval.high)]


def _gains(report: Report) -> str:
    if report.uncertainty is None:
        return ""
    rows = [
        [
            g.baseline,
            number(g.predicted, 3),
            number(g.optimism, 3),
            Cell(number(g.corrected, 3), "strong"),
            f"{number(g.low, 3)} to {number(g.high, 3)}",
            chance(g.probability),
        ]
        for g in report.uncertainty.gains
    ]
    head = ["over", "predicted", "optimism", "corrected", "interval", "better with probability"]
    return table(f"Gain of the proposal in nats of the {objective_name(report)}", head, rows)


def _losses(report: Report, best: Optimum) -> str:
    sure = report.uncertainty
    head = ["target", "weight", "predicted loss, nats", *(["from", "to"] if sure else [])]
    rows = [
        [
            t,
            percent(best.target_weights[t]),
            loss(x),
            *(_ends(sure.losses[t], loss) if sure else []),
        ]
        for t, x in best.predicted.items()
    ]
    return table("Predicted losses at the proposal", head, rows)


def explore(report: Report, reason: str | None) -> Made:
    """Sliders, which explore.js makes; or the reason why there are none."""
    if reason:
        more = ' The table under "The mixture over scale" has other sizes.' if report.path else ""
        return (
            "This page has no sliders.",
            f"<p>{text(reason[0].upper() + reason[1:])}, so the numbers here are those of the "
            f"budget above.{more} For another budget, make another report.</p>",
        )
    lead = (
        "Move the sliders: predicted losses and the best mixture are computed here, in the page, "
        "from the law's parameters."
    )
    if report.optimum and limits(report.optimum):
        lead += " The best mixture obeys the limits of the proposal."
    noscript = "<noscript><p>The sliders need JavaScript.</p></noscript>"
    return lead, f'<div id="panel"></div>{noscript}'


def scale(report: Report) -> Made:
    """h* over sizes."""
    path = report.path
    if not path:
        return "", ""
    ratio = report.tokens / report.n_params
    each = f"{number(ratio, 3)} tokens per parameter"
    if not (np.isfinite(ratio) and ratio > 0):
        each = f"D = {size(report.tokens)}"
    lead = f"The best mixture of each size at {each}"
    lead += ", within the limits of the proposal." if limits(path[0]) else "."
    if np.ptp([best.h for best in path], axis=0).max() < 1e-4:
        lead += f" Under the {report.laws.law.name} law it is the same at every size."
    label = "Solid: sizes within those that were run. Dashed: extrapolated."
    last = len(path) - 1
    picks = [path[i] for i in sorted({0, last // 4, last // 2, 3 * last // 4, last})]
    head = ["domain", *(f"N = {size(best.n_params)}" for best in picks)]
    rows = [[d, *(percent(best.weights[d]) for best in picks)] for d in report.laws.domains]
    rows.append([f"{objective_name(report)}, nats", *(loss(best.objective) for best in picks)])
    return lead, figure("path", label) + table("Best weights by size", head, rows)


def effects(report: Report) -> Made:
    """A heat table of slopes."""
    found = report.effects
    if found is None:
        return "", ""
    lead = (
        "Nats by which a target's loss changes if a domain gets ten percentage points more and "
        "the others give them in proportion, at the middle of the mixtures that were run. "
        "Green helps, red harms; a star marks intervals without 0."
    )
    sizes = np.where(np.isfinite(found.slope), np.abs(found.slope), 0.0)
    most = float(sizes.max(initial=0.0)) or 1.0
    rows = [
        [t, *(_effect(found, i, j, most) for j in range(len(found.domains)))]
        for i, t in enumerate(found.targets)
    ]
    made = table("Effect of +10 points of a domain, nats", ["target", *found.domains], rows)
    return lead, f'<div class="heat">{made}</div>'


def _effect(found: DomainEffects, i: int, j: int, most: float) -> Cell:
    value, sure = 0.1 * found.slope[i, j], bool(found.significant[i, j])
    if not np.isfinite(value):
        return Cell(number(value), "unsure", "the law has no slope there")
    shade = min(4, int(np.ceil(4 * min(abs(found.slope[i, j]) / most, 1.0) ** 0.5)))
    low, high = 0.1 * found.low[i, j], 0.1 * found.high[i, j]
    said = f"{100 * found.level:g}% interval {number(low, 2)} to {number(high, 2)}"
    kind = f"{'helps' if value < 0 else 'harms'}-{shade} {'sure' if sure else 'unsure'}"
    shown = "+" if value > 0 else "−" if value < 0 else ""
    mark = "*" if sure else ""
    return Cell(f"{shown}{abs(value):.3f}{mark}", kind, said if np.isfinite(low) else "no interval")


def fit(report: Report) -> Made:
    """Observed against predicted, residuals and scores."""
    fitted, held = int(report.rows.fitted.sum()), int((~report.rows.fitted).sum())
    took = count(held, "took no part and is", "took no part and are")
    more = f"{took} marked as held out" if held else "none were held out"
    options = "".join(
        f'<option value="{i}">{text(t)}</option>' for i, t in enumerate(report.laws.targets)
    )
    chooser = f'<p class="control"><label>Target <select id="target">{options}</select></label></p>'
    plots = figure("observed", "Observed against predicted loss, nats per token.")
    for axis, label in (("n", "parameters N"), ("d", "tokens D")):
        plots += figure("residual", f"Relative error against {label}.", axis)
    small = "".join(
        figure("residual", f"Relative error against the weight of {d}.", str(i))
        for i, d in enumerate(report.laws.domains)
        if report.laws.law.reads("weights")
    )
    grid = f'<div class="grid">{plots}</div><div class="grid small">{small}</div>'
    return f"{count(fitted, 'row was', 'rows were')} fitted, {more}.", chooser + grid + _scores(
        report
    )


def _scores(report: Report) -> str:
    head = ["target", "rows", "MRE %", "R²", "held-out rows", "held-out MRE %", "held-out R²"]
    rows = []
    for t in report.laws.targets:
        found = (report.fitted_scores.get(t), report.held_out_scores.get(t))
        cells = [
            [str(s.rows), number(s.mre, 3), number(s.r2, 4)] if s else ["–"] * 3 for s in found
        ]
        rows.append([t, *cells[0], *cells[1]])
    return table("Scores: mean relative error and explained variance", head, rows)


def parameters(report: Report) -> Made:
    """Every parameter with its interval, a fold per target."""
    known: dict[str, dict[str, Interval]] = {}
    lead, formula = "In natural units.", report.laws.law.formula
    if report.ensemble:
        lead = f"In natural units, with {100 * report.level:g}% intervals of the refits."
        known = report.ensemble.parameter_intervals(report.level)
    folds = []
    for f in report.laws:
        rows = []
        for name, value in f.labelled.items():
            edge = known.get(f.target, {}).get(name)
            ends = _ends(edge, lambda x: number(x, 3)) if edge else ["–", "–"]
            note = "at the edge of its range" if name in f.report.at_bound else ""
            rows.append([name, note, number(value), *ends])
        made = table(f"Parameters of {f.target}", ["parameter", "", "value", "from", "to"], rows, 2)
        summary = (
            f"{f.target}: objective {number(f.report.objective)}, {f.report.agreeing} of "
            f"{f.report.restarts} starts agree, condition {number(f.report.condition, 2)}"
        )
        folds.append(f"<details><summary>{text(summary)}</summary>{made}</details>")
    shown = f'<p class="formula">{text(formula)}</p>' if formula else ""
    return lead, shown + "".join(folds)


def comparison(report: Report) -> Made:
    """Other laws, fitted on all sizes but the largest."""
    if report.comparison is None:
        return "", ""
    found, largest = report.comparison
    lead = f"Fitted on all sizes but the largest, scored on that one (N = {largest:.4g})."
    rows = [
        [m.law, str(m.n_parameters), number(m.train_mre, 3), number(m.test_mre, 3),
         number(m.r2), number(m.spearman)]
        for m in found.means()
    ]  # fmt: skip
    head = ["law", "parameters", "MRE %", "MRE % at the largest", "R²", "rank correlation"]
    return lead, table("Means over targets", head, rows)


def data(report: Report) -> Made:
    """What the table holds."""
    held, mixtures = report.rows.table, report.mixtures
    lead = (
        f"{count(len(held), 'row')} of {count(len(set(held.frame['run'])), 'run')} on "
        f"{count(_distinct(mixtures), 'mixture')} of {count(len(report.laws.domains), 'domain')}, "
        f"{count(len(report.laws.targets), 'target')}."
    )
    rows = []
    for n in np.unique(held.n_params)[:40]:
        mine = held.n_params == n
        fitted, tokens = int((mine & report.rows.fitted).sum()), held.tokens[mine]
        counts = [int(mine.sum()), fitted, _distinct(mixtures[mine])]
        rows.append([size(n), *map(str, counts), size(tokens.min()), size(tokens.max())])
    head = ["N", "rows", "fitted", "mixtures", "D from", "D to"]
    made = table("Rows by size", head, rows)
    if report.laws.law.reads("weights") and report.laws.domains:
        spread = [
            [d, *(percent(x) for x in (h.min(), h.mean(), h.max()))]
            for d, h in zip(report.laws.domains, mixtures[report.rows.fitted].T, strict=True)
        ]
        made += table("Weights that were run", ["domain", "least", "mean", "most"], spread)
    return lead, made + paragraphs(held.notes)


def _distinct(mixtures: np.ndarray) -> int:
    return len(np.unique(np.round(mixtures, 6), axis=0)) if mixtures.shape[1] else 0


def origin(report: Report) -> Made:
    """Provenance: everything needed to make the report again."""
    law, refits = report.laws.law, report.ensemble
    given = report.provenance | {"law": law.name, "source of the law": law.source}
    if refits:
        made = f"{refits.method} bootstrap of {refits.clusters} {refits.cluster}s"
        given["refits"] = f"{refits.resamples}, {made}"
    rows = [
        [name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)]
        for name, value in given.items()
        if value not in (None, [], (), "")
    ]
    return "", table("Origin", ["what", "value"], rows, 2)
