"""The parts of the page that answer one question each: an answer in one sentence, then HTML."""

import numpy as np

from jaxmix.fitting import Interval
from jaxmix.mixtures import DomainEffects
from jaxmix.mixtures.optimum import unread_sizes
from jaxmix.quantities import count, shortest
from jaxmix.report import findings
from jaxmix.report.contents import Report
from jaxmix.report.decision import Made, ends
from jaxmix.report.markup import Cell, figure, loss, number, paragraphs, percent, size, table, text
from jaxmix.report.warnings import beyond_runs

_NOSCRIPT = "<noscript><p>The sliders need JavaScript.</p></noscript>"


def sure(report: Report) -> Made:
    """Predicted losses with intervals, and the mixtures that the runs cannot tell apart."""
    made = _losses(report) + paragraphs(findings.best_measured(report))
    set_of = report.uncertainty
    if set_of and report.optimum:
        made += (
            "<h3>Mixtures that the runs cannot tell apart</h3>"
            f"<p>Within {number(set_of.threshold, 2)} {findings.unit(report)} of the law's own "
            "optimum lie all mixtures that may be as good; the wider a bar, the less the runs "
            "say about that weight. Faint dots are the optima of "
            f"{len(set_of.refit_optima)} refits.</p>"
        )
        label = f"Bars: the {100 * set_of.level:g}% confidence set. Dots: the law's optimum."
        shapes = figure("intervals", f"{label} Marks: other mixtures.")
        if len(report.laws.domains) == 3:
            shapes += figure("ternary", "The same set on the simplex of the three domains.")
        made += f'<div class="wide">{shapes}</div>'
    return findings.how_sure(report), made


def _losses(report: Report) -> str:
    """Predicted losses at the proposal with intervals, and gains by target."""
    found, weights = report.recommendation, report.target_weights
    if found is None:
        if report.supported is None:
            return ""
        rows = [[t, percent(weights[t]), loss(x)] for t, x in report.supported.predicted.items()]
        return table("Predicted losses, nats per token", ["target", "counts for", "loss"], rows)
    head = ["target", "counts for", "loss", f"{100 * report.level:g}% interval"]
    head += [f"gain over {name}" for name in found.by_target]
    rows = [
        [t, percent(weights.get(t, 0.0)), Cell(loss(i.estimate), "strong"), ends(i, loss)]
        + [_gain(gains[t]) for gains in found.by_target.values()]
        for t, i in found.predicted.items()
    ]
    caption = "Predicted losses of the recommended mixture, and gains by target, nats per token"
    return table(caption, head, rows)


def _gain(gain: Interval) -> Cell:
    kind = "helps" if gain.low > 0 else "harms" if gain.high < 0 else ""
    return Cell(number(gain.estimate, 2), kind, f"interval {ends(gain)}")


def sizes(report: Report) -> Made:
    """Sliders for N and D, the best mixture along them, and a table of it."""
    laws, surface = report.laws, report.surface
    if surface is None and (report.supported is not None or len(unread_sizes(laws)) == 2):
        return findings.elsewhere(report), " "
    lead = (
        "<p class='control'>The sliders show the law's best mixture within what was run and the "
        "limits that were given, computed when this page was made. It is not shaded by risk as the "
        "recommendation is, so the two may differ.</p>"
        if surface
        else ""
    )
    made = f'{lead}<div class="panel" id="sizes-panel"></div>{_NOSCRIPT}'
    return findings.elsewhere(report), made + (_path(report) if surface else "")


def _path(report: Report) -> str:
    """The best mixture along sizes, as a chart and as a table for print."""
    surface, best = report.surface, report.supported
    if surface is None or best is None:
        return ""
    over_n = len(surface.n_params) > 1
    axis = surface.n_params if over_n else surface.tokens
    picks = np.geomspace(axis[0], axis[-1], 5)
    ratio = report.tokens / report.n_params
    low, high = surface.tokens[[0, -1]]
    tokens = np.clip(picks * ratio, low, high) if over_n else picks
    sizes = picks if over_n else np.full(len(picks), report.n_params)
    at = list(zip(sizes.tolist(), tokens.tolist(), strict=True))
    mixtures = [surface.at(*x) for x in at]
    head = ["domain", *(f"{size(n)} parameters, {size(d)} tokens" for n, d in at)]
    rows = [
        [d, *("–" if np.isnan(h[i]) else percent(float(h[i])) for h in mixtures)]
        for i, d in enumerate(report.laws.domains)
    ]
    label = (
        "Solid: sizes within those that were run. Dashed: extrapolated. The line across is where "
        "the sliders stand."
    )
    return figure("path", label) + table("Best weights by size", head, rows)


def moves(report: Report, reason: str) -> Made:
    """Sliders for weights and limits, and what each domain does to each target."""
    found = report.effects
    if found is None or report.supported is None:
        return "", ""
    if reason:
        sliders = f"<p>{text(reason)}; so this page has no sliders for the mixture.</p>"
    else:
        said = findings.neighbors(report)
        sliders = (
            '<div class="control"><h3>Move a weight</h3><p>The other weights give way in '
            "proportion. Losses are the law's predictions at the budget of this page; they carry "
            f"no interval.{text(said)}</p></div>"
            f'<div class="panel" id="moves-panel"></div>{_NOSCRIPT}'
        )
    if report.curves:
        sliders += (
            '<div class="control"><h3>Move a limit</h3><p>The law\'s best mixture if one weight is '
            "limited further, within what was run and the limits that were given.</p></div>"
            f'<div class="panel" id="limits-panel"></div>{_NOSCRIPT}'
        )
    return findings.moves(report), sliders + _effects(found)


def _effects(found: DomainEffects) -> str:
    finite = np.where(np.isfinite(found.slope), np.abs(found.slope), 0.0)
    most = float(finite.max(initial=0.0)) or 1.0
    rows = [
        [t, *(_effect(found, i, j, most) for j in range(len(found.domains)))]
        for i, t in enumerate(found.targets)
    ]
    head = ["target", *found.domains]
    made = table("Change of a loss, nats, if a domain gets ten points more", head, rows)
    return (
        "<h3>What each domain does to each target</h3><p>At the middle of the mixtures that were "
        "run; the other domains give way in proportion. Green lowers the loss, red raises it; a "
        f'star marks effects whose interval leaves out 0.</p><div class="heat">{made}</div>'
    )


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


def covered(report: Report) -> Made:
    """What was run: sizes, token counts, and the range of every weight."""
    held, mixtures = report.rows.table, report.mixtures
    laws, runs = report.laws, len(set(held.frame["run"]))
    answer = (
        f"The table holds {count(len(held), 'row')} of {count(runs, 'run')} on "
        f"{count(_distinct(mixtures), 'mixture')} of {count(len(laws.domains), 'domain')}, with "
        f"{count(len(laws.targets), 'target')}."
    )
    made = ""
    if report.proposed is not None:
        beyond = beyond_runs(report, report.proposed)
        answer += (
            f" The recommended mixture goes beyond them: {'; '.join(beyond[:3])}."
            if beyond
            else " Every weight of the recommended mixture lies within what was run."
        )
        made += figure("covered", "Each dot is a mixture that was run. Blue: the recommended one.")
    rows = []
    for n in np.unique(held.n_params)[:40]:
        mine = held.n_params == n
        fitted, tokens = int((mine & report.rows.fitted).sum()), held.tokens[mine]
        counts = [int(mine.sum()), fitted, _distinct(mixtures[mine])]
        rows.append([size(n), *map(str, counts), size(tokens.min()), size(tokens.max())])
    head = ["parameters", "rows", "fitted", "mixtures", "tokens from", "to"]
    made += table("Rows by size", head, rows)
    return answer, made + paragraphs(held.notes)


def _distinct(mixtures: np.ndarray) -> int:
    return len(np.unique(np.round(mixtures, 6), axis=0)) if mixtures.shape[1] else 0


def run_next(report: Report) -> Made:
    """The next step, and the commands for it."""
    if report.supported is None:
        return "", ""
    finite = np.isfinite(report.n_params) and np.isfinite(report.tokens)
    sizes = [
        shortest(float(f"{x:.4g}")) if finite else "" for x in (report.n_params, report.tokens)
    ]
    budget = f" --n-params {sizes[0]} --tokens {sizes[1]}" if finite else ""
    steps = (
        ("Choose the mixtures that would tell most", f"jaxmix next LAW.json RUNS.csv{budget}"),
        ("Fit and recommend again with the new rows", f"jaxmix recommend RUNS.csv{budget}"),
    )
    items = "".join(
        f"<li>{text(what)}:<br><code>{_command(how)}</code></li>" for what, how in steps
    )
    reasons = report.recommendation.reasons if report.recommendation else ()
    why = paragraphs(f"Why this law: {reason}." for reason in reasons)
    return findings.next_step(report), f"<ol>{items}</ol>{why}"


def _command(line: str) -> str:
    """A command whose words stand in one piece each."""
    return " ".join(f"<span>{text(word)}</span>" for word in line.split())


def fits(report: Report) -> Made:
    """Observed against predicted, residuals, scores, parameters and other laws."""
    fitted, held = int(report.rows.fitted.sum()), int((~report.rows.fitted).sum())
    rows = f"{count(fitted, 'row was', 'rows were')} fitted, {held or 'none'} held out."
    options = "".join(
        f'<option value="{i}">{text(t)}</option>' for i, t in enumerate(report.laws.targets)
    )
    chooser = f'<select id="target">{options}</select>'
    chooser = f'<p class="control"><label>Target {chooser}</label></p>'
    plots = figure("observed", "Observed against predicted loss, nats per token.")
    for axis, label in (("n", "parameters"), ("d", "tokens")):
        plots += figure("residual", f"Relative error, %, against {label}.", axis)
    small = "".join(
        figure("residual", f"Relative error, %, against the weight of {d}.", str(i))
        for i, d in enumerate(report.laws.domains)
        if report.laws.law.reads("weights")
    )
    if small:
        small = f'<div class="grid small">{small}</div>'
        small = f"<details><summary>Errors by weight</summary>{small}</details>"
    grid = f'<p>{rows}</p>{chooser}<div class="grid">{plots}</div>{small}'
    others = "".join(
        f"<h3>{title}</h3><p>{text(lead)}</p>{body}"
        for title, (lead, body) in (
            ("Parameters", parameters(report)),
            ("Other laws", comparison(report)),
        )
        if body
    )
    return findings.fits(report), grid + _scores(report) + others


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
            ends = [number(edge.low, 3), number(edge.high, 3)] if edge else ["–", "–"]
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
    return "Everything needed to make this page again.", table("Origin", ["what", "value"], rows, 2)
