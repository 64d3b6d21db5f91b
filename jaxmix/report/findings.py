"""The report in three answers: what to train on, how sure that is, and what not to trust."""

from typing import NamedTuple

import numpy as np

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
    return Findings(_train_on(report), tuple(_how_sure(report)), tuple(distrust(report)))


def budget(report: Report) -> str:
    """N and D for people."""
    return f"N = {size(report.n_params)} parameters and D = {size(report.tokens)} tokens"


def _train_on(report: Report) -> str:
    best = report.optimum
    if best is None:
        return (
            f"The {report.laws[0].law.name} law does not look at the mixture: it says what to "
            "expect of a size, and nothing on which data to train."
        )
    order = np.argsort(-best.weights, kind="stable")
    shown = [i for i in order if best.weights[i] >= _SMALL]
    rest = [best.domains[i] for i in order if best.weights[i] < _SMALL]
    parts = ", ".join(f"{percent(float(best.weights[i]))} {best.domains[i]}" for i in shown)
    little = f"; next to nothing of {', '.join(rest)}" if rest else ""
    return f"Train on {parts}{little} (for {budget(report)})."


def _how_sure(report: Report) -> list[str]:
    sure = report.trust
    if sure is None:
        return ["No refits stand behind this report, so nothing here has an interval."]
    level = f"{100 * sure.level:.0f}%"
    low, value, high = sure.objective
    said = [
        f"The weighted loss there is predicted to be {loss(value)} nats per token "
        f"({level} interval {loss(low)} to {loss(high)})."
    ]
    said += [
        f"Over {g.baseline} the laws promise {number(g.predicted, 3)} nats; less their optimism "
        f"{number(g.corrected, 3)} ({number(g.low, 3)} to {number(g.high, 3)}), and it is better "
        f"with probability {_chance(g.probability)}."
        for g in sure.gains
    ]
    widest = max(sure.intervals, key=lambda d: sure.intervals[d].high - sure.intervals[d].low)
    edge = sure.intervals[widest]
    said.append(
        f"The least certain weight is that of {widest}: {percent(edge.low)} to "
        f"{percent(edge.high)}."
    )
    return said


def _chance(probability: float) -> str:
    return ">99%" if probability > 0.995 else f"{100 * probability:.0f}%"


def distrust(report: Report) -> list[str]:
    """Everything that a check found wanting, the gravest first."""
    notes = list(
        report.trust.notes if report.trust else report.optimum.notes if report.optimum else ()
    )
    notes += report.notes
    notes += _held_out(report)
    notes += _fits(report)
    return list(dict.fromkeys(notes))


def _held_out(report: Report) -> list[str]:
    worse = [
        f"{t} ({held.mre:.2g}% against {report.fitted_scores[t].mre:.2g}%)"
        for t, held in report.held_out_scores.items()
        if t in report.fitted_scores and held.mre > 2 * report.fitted_scores[t].mre
    ]
    few = ", ".join(worse[:3]) + (f" and {len(worse) - 3} more" if len(worse) > 3 else "")
    return [
        f"rows that took no part in the fit are predicted at least twice as badly: {few}"
    ] * bool(worse)


def _fits(report: Report) -> list[str]:
    laws, notes = report.laws, []
    bound = [f for f in laws if f.report.at_bound]
    if bound:
        named = f"{bound[0].target}: {', '.join(bound[0].report.at_bound[:3])}"
        more = f" and of {len(bound) - 1} other targets" if len(bound) > 1 else ""
        notes.append(f"parameters ended at the edge of their range ({named}{more})")
    loose = [f.target for f in laws if f.report.restarts and f.report.agreeing < 2]
    if loose:
        few = ", ".join(loose[:4])
        notes.append(f"no second start of the fit found the same optimum: {few}")
    notes += [note for f in laws for note in f.report.notes]
    return notes
