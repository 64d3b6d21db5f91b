"""What a report says in sentences: the answer that each part of the page opens with."""

import numpy as np

from jaxmix.fitting import Interval
from jaxmix.mixtures.optimum import unread_sizes
from jaxmix.mixtures.recommend import called as mixture_name
from jaxmix.report.contents import Report
from jaxmix.report.markup import loss, number, percent, size
from jaxmix.report.warnings import DECISION, beyond_runs, warnings
from jaxmix.runs.names import UNITS, unit_of

_COUNTS = {2: "Two", 3: "Three", 4: "Four", 5: "Five", 6: "Six", 7: "Seven", 8: "Eight", 9: "Nine"}
_SMALL = 0.005  # weights below are named together
_SAME = 0.02  # of weight: mixtures that differ less are called alike


def budget(report: Report) -> str:
    """N and D for people, or that the law does not read them."""
    unread, said = unread_sizes(report.laws), []
    for name, what in (("n_params", "parameters"), ("tokens", "tokens")):
        ends = [getattr(fit.data, name) for fit in report.laws]
        run = dict.fromkeys(size(x) for x in (min(e[0] for e in ends), max(e[1] for e in ends)))
        value = float(getattr(report, name))
        said.append(
            f"{what} as run ({' to '.join(run)})" if name in unread else f"{size(value)} {what}"
        )
    return " and ".join(said)


def objective_name(report: Report) -> str:
    """What the proposal minimizes."""
    worst = {
        "loss": "largest loss of any target",
        "gap": "largest gap of any target to its loss at the reference mixture",
    }
    best = report.optimum
    if best and best.worst_case:
        return worst[best.worst_case]
    counted = [t for t, w in report.target_weights.items() if w > 0]
    return "weighted loss" if len(counted) > 1 else f"loss of {counted[0]}"


def unit(report: Report) -> str:
    """The unit of what is minimized."""
    units = dict.fromkeys(unit_of(t) for t, w in report.target_weights.items() if w > 0)
    return next(iter(units)) if len(units) == 1 else "mixed units"


def mixed(report: Report, h: np.ndarray) -> str:
    """A mixture [k] in words, the largest weight first."""
    order = [i for i in np.argsort(-h, kind="stable") if h[i] >= _SMALL]
    named = ", ".join(f"{percent(float(h[i]))} {report.laws.domains[i]}" for i in order)
    rest = sum(h[i] < _SMALL for i in range(len(h)))
    return named + (f", and less than {percent(_SMALL)} of {rest} others" if rest > 3 else "")


def gain_words(report: Report, gain: Interval) -> str:
    """A gain with its interval and unit, and what it is in perplexity."""
    said = f"{number(gain.estimate, 2)} {unit(report)}"
    if unit(report) == UNITS[0] and np.isfinite(gain.estimate):
        change = 100 * (1 - np.exp(-gain.estimate))
        said += f", a perplexity {abs(change):.2g}% {'lower' if change >= 0 else 'higher'}"
    low, high = number(gain.low, 2), number(gain.high, 2)
    return f"{said} ({100 * report.level:g}% interval {low} to {high})"


def train_on(report: Report) -> str:
    """The proposal in one sentence."""
    if report.proposed is None:
        return (
            f"The {report.laws.law.name} law does not read the mixture: it predicts what a size "
            "and a number of tokens reach, and says nothing on which data to train."
        )
    return f"Train on {mixed(report, report.proposed)}."


def verdict(report: Report) -> list[str]:
    """What the proposal gains over the baseline that it was to beat, and whether that is shown."""
    found = report.recommendation
    if found is None:
        return _without_intervals(report)
    gain, anchor = found.gains[found.anchor], mixture_name(found.anchor)
    if np.allclose(found.h, found.baselines[found.anchor]):
        return [f"No other mixture is shown to beat it: it is the {anchor}."]
    shown = "The runs show this gain." if gain.low > 0 else "The runs do not show a gain: the "
    shown += "" if gain.low > 0 else "interval contains 0."
    return [f"Its gain over the {anchor} is {gain_words(report, gain)}. {shown}"]


def _without_intervals(report: Report) -> list[str]:
    best = report.supported
    if best is None:
        return []
    said = [
        f"This is the law's optimum within what was run, with a {objective_name(report)} of "
        f"{loss(best.objective)} {unit(report)}. No refits stand behind it, so it has no interval."
    ]
    for name, h in report.compared.items():
        if best.worst_case or best.pull:
            break
        gain = _objective(report, h) - best.objective
        said.append(f"By the law it gains {number(gain, 2)} over the {mixture_name(name)}.")
    return said


def _objective(report: Report, h: np.ndarray) -> float:
    predicted = np.array([*report.supported.predict(h).values()])  # type: ignore[union-attr]
    w = np.array(list(report.target_weights.values()))
    return float(np.sum(np.where(w > 0, w * predicted, 0.0)))


def neighbors(report: Report) -> str:
    """That the recommendation counts what its measured neighbors show, where the sliders do not."""
    found = report.recommendation
    if found is None or report.supported is None:
        return ""
    alone = report.supported.predict(found.h)
    apart = max(abs(alone[t] - i.estimate) for t, i in found.predicted.items())
    return (
        " The losses of the recommendation above also count what runs near it measured beside the "
        f"law, by up to {number(apart, 2)} {unit(report)}."
        if apart > 1e-4
        else ""
    )


def best_measured(report: Report) -> list[str]:
    """The best run in a sentence, if there is one."""
    best = report.best_run
    if best is None:
        return []
    return [
        f"Of the longest runs of the largest size ({size(best.n_params)} parameters, "
        f"{size(best.tokens)} tokens), run {best.run} has the lowest measured weighted loss: "
        f"{loss(best.loss)} {unit(report)}."
    ]


def alone(report: Report) -> str:
    """What the law would choose if nothing held it to the runs."""
    best, h = report.recommendation and report.recommendation.law_optimum, report.proposed
    best = best or report.optimum
    if best is None or h is None:
        return ""
    if np.abs(best.h - h).max() <= _SAME:
        return "The law alone would choose nearly the same mixture."
    said = f"The law alone would choose {mixed(report, best.h)}."
    beyond = beyond_runs(report, best.h)
    if beyond:
        return f"{said} No run supports that: {'; '.join(beyond[:3])}."
    return f"{said} Every weight of it was run, but the runs do not show that it is better."


def how_sure(report: Report) -> str:
    """How sure the gain is, in one sentence."""
    found = report.recommendation
    if found is None:
        return "Nothing here has an interval, because the law was not refitted."
    gain, anchor = found.gains[found.anchor], mixture_name(found.anchor)
    if np.allclose(found.h, found.baselines[found.anchor]):
        return f"The runs do not tell any mixture from the {anchor} with confidence."
    sure = "The runs show that it is better" if gain.low > 0 else "It may be no better"
    return (
        f"{sure} than the {anchor}: with {100 * report.level:g}% probability the gain lies between "
        f"{number(gain.low, 2)} and {number(gain.high, 2)} {unit(report)}."
    )


def wrong(report: Report) -> str:
    """How many warnings there are, and the gravest kind."""
    found = warnings(report)
    grave = sum(w.rank == DECISION for w in found)
    if grave:
        some = "One thing" if grave == 1 else f"{_COUNTS.get(grave, grave)} things"
        return f"{some} could change the decision; what to do about each stands beside it."
    return (
        "Nothing was found that would change the decision."
        if found
        else "None of the checks found anything to warn of."
    )


def elsewhere(report: Report) -> str:
    """How much the best mixture moves with the budget."""
    surface, best = report.surface, report.supported
    if best is None:
        return "Move the sliders: the law predicts the loss of every size and number of tokens."
    if surface is None:
        return (
            f"The {report.laws.law.name} law does not read sizes: the best mixture is the same at "
            "every size."
            if len(unread_sizes(report.laws)) == 2
            else "The budget is infinite, so there are no sizes to move to."
        )
    moved = np.abs(surface.weights - best.h).max((0, 1))  # NaN if nothing meets the limits there
    i = int(np.nanargmax(np.where(np.isfinite(moved), moved, -1.0)))
    known = surface.weights[np.isfinite(surface.weights).all(-1)]
    low, high = known[:, i].min(), known[:, i].max()
    if high - low < _SMALL:
        return "The best mixture is the same at every size and number of tokens."
    return (
        f"The best mixture moves with the budget: most of all {report.laws.domains[i]}, from "
        f"{percent(float(low))} to {percent(float(high))}."
    )


def moves(report: Report) -> str:
    """Which single weight matters most at the mixtures that were run."""
    found = report.effects
    if found is None:
        return ""
    w = np.array(list(report.target_weights.values()))
    slope = np.where(w[:, None] > 0, w[:, None] * found.slope, 0.0).sum(0)
    if not np.isfinite(slope).all():
        return "Move a weight or a limit and see what it costs."
    i = int(np.argmin(slope))
    name, change = report.laws.domains[i], 0.1 * slope[i]
    if change >= 0:
        return "No domain helps on average if it gets more weight than in the middle of the runs."
    return (
        f"{name} helps most: ten percentage points more of it, from the middle of the mixtures "
        f"that were run, lower the {objective_name(report)} by about {number(-change, 2)} "
        f"{unit(report)}."
    )


def next_step(report: Report) -> str:
    """What to run next."""
    found = report.recommendation
    if found is None or not found.next_step:
        return "Run the proposed mixture and a few others at the largest size, then fit again."
    return f"{found.next_step[0].upper()}{found.next_step[1:]}."


def fits(report: Report) -> str:
    """How near predictions are to what was measured."""
    held, fitted = report.held_out_scores, report.fitted_scores
    said = []
    for scores, what in ((fitted, "the rows that it was fitted on"), (held, "held-out rows")):
        if scores:
            mean = float(np.mean([s.mre for s in scores.values()]))
            said.append(f"{number(mean, 2)}% on {what}")
    if not said:
        return "No row has a loss to compare with."
    more = "" if held else "; no rows were held out, so this says little about new mixtures"
    return f"The law's predictions miss the measured losses by {' and '.join(said)}{more}."
