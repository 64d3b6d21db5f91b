"""The sections of the page: each a sentence for people and HTML, which is empty if not wanted."""

from typing import Any

import numpy as np

from jaxmix.report.contents import Report
from jaxmix.report.markup import Cell, loss, number, paragraphs, percent, size, table, text

Made = tuple[str, str]  # lead, HTML


def figure(kind: str, label: str, **options: str) -> str:
    """A place that page.js draws in."""
    data = "".join(f' data-{name}="{text(value)}"' for name, value in options.items())
    return (
        f'<figure data-chart="{kind}"{data}><div class="drawing"></div>'
        f"<figcaption>{text(label)}</figcaption></figure>"
    )


def mixture(report: Report) -> Made:
    """h* with its confidence set, the gains, and what limits it."""
    best, sure = report.optimum, report.trust
    if best is None:
        return "", ""
    lead = "Where the law is lowest, and which other mixtures the runs cannot tell from it."
    label = "Dots: the proposal."
    if sure:
        label += (
            f" Bars: the {100 * sure.level:.0f}% confidence set, all mixtures within "
            f"{number(sure.threshold, 3)} nats of the proposal. Faint dots: the optima of "
            f"{len(sure.weights)} refits."
        )
    shapes = figure("intervals", f"{label} Marks: the baselines.")
    if sure and len(best.domains) == 3:
        shapes += figure("ternary", "The confidence set on the simplex of the three domains.")
    return lead, f'<div class="wide">{shapes}</div>' + _weights(report) + _gains(report) + _losses(
        report
    )


def _weights(report: Report) -> str:
    best, sure = report.optimum, report.trust
    assert best is not None
    names = list(report.baselines)
    head = ["domain", "weight", *(["from", "to"] if sure else []), *names]
    rows = []
    for i, domain in enumerate(best.domains):
        edges = (
            [percent(x) for x in (sure.intervals[domain].low, sure.intervals[domain].high)]
            if sure
            else []
        )
        others = [percent(report.baselines[n][i]) for n in names]
        rows.append([domain, Cell(percent(best.weights[i]), "strong"), *edges, *others])
    return table("Weights of the proposal and of the baselines", head, rows)


def _gains(report: Report) -> str:
    if report.trust is None:
        return ""
    rows = [
        [
            g.baseline,
            number(g.predicted, 3),
            number(g.optimism, 3),
            Cell(number(g.corrected, 3), "strong"),
            f"{number(g.low, 3)} to {number(g.high, 3)}",
            f"{100 * g.probability:.0f}%",
        ]
        for g in report.trust.gains
    ]
    head = ["over", "predicted", "optimism", "corrected", "interval", "better with probability"]
    return table("Gain of the proposal in nats of the weighted loss", head, rows)


def _losses(report: Report) -> str:
    best, sure = report.optimum, report.trust
    assert best is not None
    head = ["target", "weight", "predicted loss, nats", *(["from", "to"] if sure else [])]
    rows = []
    for t, value in best.predicted.items():
        edges = [loss(x) for x in (sure.losses[t].low, sure.losses[t].high)] if sure else []
        rows.append([t, percent(report.target_weights[t]), loss(value), *edges])
    return table("Predicted losses at the proposal", head, rows)


def explore(report: Report, possible: bool) -> Made:
    """Sliders; explore.js makes them."""
    if not possible:
        name = report.laws[0].law.name
        return (
            "This page cannot compute the law itself.",
            f"<p>The {text(name)} law is not one of those that the page knows, so the numbers here "
            "are those of the budget above. Make another report with --n-params and --tokens, or "
            "call jaxmix optimize.</p>",
        )
    lead = (
        "Move the sliders: predicted losses and the best mixture are computed here, in the page, "
        "from the law's parameters."
    )
    noscript = "<noscript><p>The sliders need JavaScript.</p></noscript>"
    return lead, f'<div id="panel"></div>{noscript}'


def scale(report: Report) -> Made:
    """h* over sizes."""
    path = report.path
    if path is None:
        return "", ""
    ratio = report.tokens / report.n_params
    each = f"{number(ratio, 3)} tokens per parameter"
    if not (np.isfinite(ratio) and ratio > 0):
        each = f"D = {size(report.tokens)}"
    lead = f"The best mixture of each size at {each}."
    if np.ptp(path.weights, axis=0).max() < 1e-4:
        lead += f" Under the {report.laws[0].law.name} law it is the same at every size."
    label = "Solid: sizes within those that were run. Dashed: extrapolated."
    picks = [0, len(path) // 4, len(path) // 2, 3 * len(path) // 4, len(path) - 1]
    head = ["domain", *(f"N = {size(path.n_params[b])}" for b in picks)]
    rows = [[d, *(percent(path.weights[b, i]) for b in picks)] for i, d in enumerate(path.domains)]
    return lead, figure("path", label) + table("Best weights by size", head, rows)


def effects(report: Report) -> Made:
    """A heat table of slopes."""
    found = report.effects
    if found is None:
        return "", ""
    lead = (
        "Nats by which a target's loss changes when a domain gets ten percentage points more and "
        "the others give them in proportion, at the middle of the mixtures that were run. "
        "Green helps, red harms; a star marks intervals without 0."
    )
    most = float(
        np.nanmax(np.abs(np.where(np.isfinite(found.slope), found.slope, np.nan)), initial=0.0)
    )
    rows = [
        [t, *(_effect(found, i, j, most or 1.0) for j in range(len(found.domains)))]
        for i, t in enumerate(found.targets)
    ]
    made = table("Effect of +10 points of a domain, nats", ["target", *found.domains], rows)
    return lead, f'<div class="heat">{made}</div>'


def _effect(found: Any, i: int, j: int, most: float) -> Cell:
    value = 0.1 * found.slope[i, j]
    sure = bool(found.significant[i, j])
    if not np.isfinite(value):
        return Cell(number(value), "unsure", "the law has no slope there")
    shade = min(4, int(np.ceil(4 * min(abs(found.slope[i, j]) / most, 1.0) ** 0.5)))
    sign = "helps" if value < 0 else "harms"
    low, high = 0.1 * found.low[i, j], 0.1 * found.high[i, j]
    said = f"{100 * found.level:.0f}% interval {number(low, 2)} to {number(high, 2)}"
    kind = f"{sign}-{shade} {'sure' if sure else 'unsure'}"
    shown = "+" if value > 0 else "−" if value < 0 else ""
    mark = "*" if sure else ""
    return Cell(f"{shown}{abs(value):.3f}{mark}", kind, said if np.isfinite(low) else "no interval")


def fit(report: Report) -> Made:
    """Observed against predicted, residuals and scores."""
    held = int((~report.rows.fitted).sum())
    lead = f"{int(report.rows.fitted.sum())} rows were fitted"
    lead += (
        f", {held} took no part and are marked as held out." if held else "; none were held out."
    )
    options = "".join(
        f'<option value="{i}">{text(t)}</option>' for i, t in enumerate(report.targets)
    )
    chooser = f'<p class="control"><label>Target <select id="target">{options}</select></label></p>'
    plots = figure("observed", "Observed against predicted loss, nats per token.")
    uses = [i.name for i in report.laws[0].law.inputs]
    axes = [("n", "parameters N", "residual-n"), ("d", "tokens D", "residual-d")]
    plots += "".join(
        figure("residual", f"Relative error against {label}.", axis=axis) for axis, label, _ in axes
    )
    small = "".join(
        figure("residual", f"Relative error against the weight of {d}.", axis=str(i))
        for i, d in enumerate(report.domains)
        if "weights" in uses
    )
    grid = f'<div class="grid">{plots}</div><div class="grid small">{small}</div>'
    return lead, chooser + grid + _scores(report)


def _scores(report: Report) -> str:
    head = ["target", "rows", "MRE %", "R²", "held-out rows", "held-out MRE %", "held-out R²"]
    rows = []
    for t in report.targets:
        cells = []
        for scores in (report.fitted_scores, report.held_out_scores):
            s = scores.get(t)
            cells += [str(s.rows), number(s.mre, 3), number(s.r2, 4)] if s else ["–"] * 3
        rows.append([t, *cells])
    return table("Scores: mean relative error and explained variance", head, rows)


def parameters(report: Report) -> Made:
    """Every parameter with its interval, a fold per target."""
    lead = "In natural units" + (", with 90% intervals of the refits." if report.ensemble else ".")
    known = report.ensemble.parameter_intervals() if report.ensemble else {}
    first = report.laws[0].law
    folds = []
    for f in report.laws:
        labels = f.law.names(f.domains)
        values = np.concatenate([np.ravel(f.params[p.name]) for p in f.law.parameters])
        rows = []
        for name, value in zip(labels, values, strict=True):
            edge = known.get(f.target, {}).get(name)
            ends = [number(edge.low, 3), number(edge.high, 3)] if edge else ["–", "–"]
            note = "at the edge of its range" if name in f.report.at_bound else ""
            rows.append([name, note, number(value), *ends])
        made = table(f"Parameters of {f.target}", ["parameter", "", "value", "from", "to"], rows, 2)
        summary = (
            f"{f.target}: objective {number(f.report.objective)}, {f.report.agreeing} of "
            f"{f.report.restarts} starts agree, condition {number(f.report.condition, 2)}"
        )
        folds.append(f"<details><summary>{text(summary)}</summary>{made}</details>")
    formula = f'<p class="formula">{text(first.formula)}</p>' if first.formula else ""
    return lead, formula + "".join(folds)


def comparison(report: Report) -> Made:
    """Other laws, fitted on all sizes but the largest."""
    if report.comparison is None:
        return "", ""
    found, largest = report.comparison
    lead = f"Fitted on all sizes but the largest, scored on that one ({largest})."
    rows = [
        [m.law, str(m.n_parameters), number(m.train_mre, 3), number(m.test_mre, 3),
         number(m.r2), number(m.spearman)]
        for m in found.means()
    ]  # fmt: skip
    head = ["law", "parameters", "MRE %", "MRE % at the largest", "R²", "rank correlation"]
    return lead, table("Means over targets", head, rows)


def data(report: Report) -> Made:
    """What the table holds."""
    held = report.rows.table
    runs = held.frame["run"].nunique() if "run" in held.frame.columns else len(held)
    mixtures = len(np.unique(np.round(report.mixtures, 6), axis=0)) if report.domains else 0
    lead = (
        f"{len(held)} rows of {runs} runs on {mixtures} mixtures of {len(report.domains)} domains, "
        f"{len(report.targets)} targets."
    )
    sizes = sorted(set(held.n_params.tolist()))
    rows = []
    for n in sizes:
        mine = held.n_params == n
        tokens = held.tokens[mine]
        distinct = len(np.unique(np.round(report.mixtures[mine], 6), axis=0))
        fitted = int((mine & report.rows.fitted).sum())
        rows.append(
            [
                size(n),
                str(int(mine.sum())),
                str(fitted),
                str(distinct),
                size(tokens.min()),
                size(tokens.max()),
            ]
        )
    head = ["N", "rows", "fitted", "mixtures", "D from", "D to"]
    made = table("Rows by size", head, rows[:40])
    weights = report.mixtures
    spread = [
        [
            d,
            percent(weights[:, i].min()),
            percent(weights[:, i].mean()),
            percent(weights[:, i].max()),
        ]
        for i, d in enumerate(report.domains)
        if report.laws[0].law.reads("weights")
    ]
    made += (
        table("Weights that were run", ["domain", "least", "mean", "most"], spread)
        if spread
        else ""
    )
    return lead, made + paragraphs(held.notes)


def origin(report: Report) -> Made:
    """Provenance: everything needed to make the report again."""
    rows = [
        [name, _shown(value)]
        for name, value in report.provenance.items()
        if value not in (None, [], ())
    ]
    rows.append(["law", report.laws[0].law.name])
    if report.laws[0].law.source:
        rows.append(["source of the law", report.laws[0].law.source])
    if report.ensemble:
        e = report.ensemble
        rows.append(
            ["refits", f"{e.resamples}, {e.method} bootstrap of {e.clusters} {e.cluster}s"]
        )
    return "", table("Origin", ["what", "value"], rows, 2)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
