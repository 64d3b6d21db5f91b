"""The report in three answers: what to train on, how sure that is, and what not to trust."""

from typing import NamedTuple

import numpy as np

from jaxmix.mixtures.optimum import budget_words, unread_sizes
from jaxmix.mixtures.recommend import called as mixture_name
from jaxmix.quantities import chance, count
from jaxmix.report.contents import Report
from jaxmix.report.markup import loss, number, percent, size

_SMALL = 0.01  # weights below are named together


class Findings(NamedTuple):
    """One sentence or a few for each question."""

    train_on: str
    how_sure: tuple[str, ...]
    distrust: tuple[str, ...]


def find(report: Report) -> Findings:
    """The answers that a report opens with."""
    return Findings(_train_on(report), tuple(_how_sure(report)), tuple(_distrust(report)))


def budget(report: Report) -> str:
    """N and D for people, or that the law does not read them."""
    if unread_sizes(report.laws):
        return budget_words(report.laws, report.n_params, report.tokens)
    return f"N = {size(report.n_params)} parameters and D = {size(report.tokens)} tokens"


def objective_name(report: Report) -> str:
    """What the proposal minimizes."""
    worst = {
        "loss": "largest loss of any target",
        "gap": "largest gap of any target to its loss at the reference mixture",
    }
    best = report.optimum
    name = worst[best.worst_case] if best and best.worst_case else "weighted loss"
    return f"{name} with the pull to the prior" if best and best.pull else name


def _train_on(report: Report) -> str:
    best = report.optimum
    if best is None:
        return (
            f"The {report.laws.law.name} law does not read the mixture: it predicts what a size "
            "and a number of tokens reach, and says nothing on which data to train."
        )
    if report.recommendation:
        return f"{report.recommendation.headline} (for {budget(report)})."
    order = sorted(best.weights.items(), key=lambda item: -item[1])
    parts = ", ".join(f"{percent(h)} {d}" for d, h in order if h >= _SMALL)
    rest = [d for d, h in order if h < _SMALL]
    little = f"; less than {percent(_SMALL)} each of {', '.join(rest)}" if rest else ""
    return f"Train on {parts}{little} (for {budget(report)})."


def best_measured(report: Report) -> list[str]:
    """The best run in a sentence, if there is one."""
    best = report.best_run
    if best is None:
        return []
    return [
        f"Of the longest runs of the largest size ({size(best.n_params)} parameters, "
        f"{size(best.tokens)} tokens), run {best.run} has the lowest measured weighted loss: "
        f"{loss(best.loss)} nats per token."
    ]


def _how_sure(report: Report) -> list[str]:
    sure = report.uncertainty
    if sure is None:
        said = "There are no refits behind this report, so nothing here has an interval."
        return [said, *best_measured(report)]
    level = f"{100 * sure.level:g}%"
    if report.recommendation:
        return [*_recommended(report, level), *best_measured(report)]
    return law_alone(report)


def law_alone(report: Report) -> list[str]:
    """How sure the law's own optimum is."""
    sure = report.uncertainty
    if sure is None:
        return []
    level = f"{100 * sure.level:g}%"
    low, value, high = sure.objective
    said = [
        f"The {objective_name(report)} there is predicted to be {loss(value)} nats per token "
        f"({level} interval {loss(low)} to {loss(high)})."
    ]
    said += [
        f"Over the {mixture_name(g.baseline)} the laws promise {number(g.predicted, 3)} nats; "
        f"less their optimism {number(g.corrected, 3)} ({number(g.low, 3)} to "
        f"{number(g.high, 3)}), and it is better with probability {chance(g.probability)}."
        for g in sure.gains
    ]
    widest = max(sure.intervals, key=lambda d: sure.intervals[d].high - sure.intervals[d].low)
    edge = sure.intervals[widest]
    said.append(
        f"The least certain weight is that of {widest}: {percent(edge.low)} to "
        f"{percent(edge.high)}."
    )
    return said


def _recommended(report: Report, level: str) -> list[str]:
    """What the recommended mixture gains."""
    found = report.recommendation
    if found is None:
        return []
    said = [
        f"Over the {mixture_name(name)} it gains {number(g.estimate, 3)} nats ({level} interval "
        f"{number(g.low, 3)} to {number(g.high, 3)})."
        for name, g in found.gains.items()
        if not np.allclose(found.h, found.baselines[name])
    ]
    return [*said, f"Next: {found.next_step}."]


def _distrust(report: Report) -> list[str]:
    """Everything that a check found wanting, the gravest first."""
    return list(dict.fromkeys((*report.all_notes, *_held_out(report), *_fits(report))))


def _held_out(report: Report) -> list[str]:
    fitted = report.fitted_scores
    worse = [
        f"{t} ({held.mre:.2g}% against {fitted[t].mre:.2g}%)"
        for t, held in report.held_out_scores.items()
        if t in fitted and held.mre > 2 * fitted[t].mre
    ]
    few = ", ".join(worse[:3]) + (f" and {len(worse) - 3} more" if len(worse) > 3 else "")
    note = f"rows that took no part in the fit are predicted at least twice as badly: {few}"
    return [note] if worse else []


def _fits(report: Report) -> list[str]:
    laws, notes = report.laws, []
    bound = [f for f in laws if f.report.at_bound]
    if bound:
        named = f"{bound[0].target}: {', '.join(bound[0].report.at_bound[:3])}"
        more = f" and of {count(len(bound) - 1, 'other target')}" if len(bound) > 1 else ""
        notes.append(f"parameters ended at the edge of their range ({named}{more})")
    loose = [f.target for f in laws if f.report.restarts and f.report.agreeing < 2]
    if loose:
        few = ", ".join(loose[:4])
        notes.append(f"no second start of the fit found the same optimum: {few}")
    return [*notes, *laws.notes]
