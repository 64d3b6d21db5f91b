"""What a fit means for its user: one sentence for each thing that was found, the gravest first.

How a fit ended is in its report, for its author: eigenvalues, gradients, parameters at their edges.
Here each of these becomes a consequence, with the evidence in parentheses and a remedy.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxmix.fitting.evidence import SIZES
from jaxmix.laws import Parameter
from jaxmix.notes import GUESS, MINOR, UNSAFE, WRONG, Note, listed, ranked
from jaxmix.quantities import count
from jaxmix.runs.accuracies import PREFIX

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaw, FittedLaws

_EXACT = 0.01  # percent: a fit with a smaller error has missed nothing
_NOTHING = 0.01  # limit of a law, as a share of the smallest loss, that is no asymptote
_UNCHANGED = 1e-4  # share of the loss by which a size that matters changes it over all runs
_WORSE = 2.0  # times the error of the fitted rows from which unseen rows are predicted worse
_SMALL = 0.5  # percent: errors on unseen rows below this are small in any case
_SINGULAR = 1e12  # condition from which parameters are not identified
_MORE = 4  # times as many restarts as were too few


class Finding(NamedTuple):
    """What was found of one target.

    Attributes:
        label: in a word or two, for a table.
        consequence: what it means, with ``{}`` for the targets.
        evidence: of this target.
        remedy: what to do.
        rank: how grave it is.
    """

    label: str
    consequence: str
    evidence: str
    remedy: str
    rank: int


def findings(fitted: "FittedLaw") -> tuple[Finding, ...]:
    """All that was found of one fit, the gravest first."""
    found = (one for check in _CHECKS for one in check(fitted))
    return tuple(sorted(found, key=lambda one: one.rank))


def describe(laws: "FittedLaws") -> tuple[str, ...]:
    """All notes on fits and on the mixtures that were run, the gravest first.

    A sentence that holds for several targets names them and stands once.
    """
    alike: dict[tuple[str, str, int], list[tuple[str, str]]] = {}
    for f in laws:
        for one in f.findings:
            found = alike.setdefault((one.consequence, one.remedy, one.rank), [])
            found.append((f.target, one.evidence))
    notes = [_sentence(*key, told) for key, told in alike.items()]
    return ranked((*laws.mixture_notes, *_reported(laws), *notes))


def _sentence(consequence: str, remedy: str, rank: int, told: Sequence[tuple[str, str]]) -> Note:
    targets = listed(dict.fromkeys(target for target, _ in told))
    evidence = list(dict.fromkeys(evidence for _, evidence in told))
    of = "" if len(evidence) == 1 else f"{told[0][0]}: "
    return Note(f"{consequence.format(targets)} ({of}{evidence[0]}): {remedy}", rank)


def _reported(laws: "FittedLaws") -> Iterator[str]:
    """The notes of the reports; the targets stand before one that is not about all."""
    about: dict[str, list[str]] = {}
    for f in laws:
        for note in f.report.notes:
            about.setdefault(note, []).append(f.target)
    for note, names in about.items():
        rank = note.rank if isinstance(note, Note) else MINOR
        yield note if len(names) == len(laws) else Note(f"{listed(names)}: {note}", rank)


def headline(laws: "FittedLaws") -> str:
    """How well the laws fit, in one sentence."""
    errors = {f.target: f.report.train_mre for f in laws if np.isfinite(f.report.train_mre)}
    if not errors:
        return f"{laws.law.name}: {count(len(laws), 'target')}, not scored on any row"
    rows = max(f.report.rows for f in laws)
    mean, worst = np.mean(list(errors.values())), max(errors, key=lambda name: errors[name])
    several = f" of {count(len(laws), 'target')}" if len(laws) > 1 else f" of {worst}"
    most = f" ({worst} the worst, {percent(errors[worst])})" if len(errors) > 1 else ""
    held = [f.report.held_out_mre for f in laws if np.isfinite(f.report.held_out_mre)]
    unseen = f", and rows held out to {percent(float(np.mean(held)))}" if held else ""
    sound = "" if any(f.findings for f in laws) or laws.notes else "; no problem was found"
    return (
        f"{laws.law.name} fits {count(rows, 'row')}{several} to {percent(float(mean))} on average"
        f"{most}{unseen}{sound}"
    )


def percent(value: float) -> str:
    """An error in percent.

    >>> percent(1.046), percent(0.00321), percent(12.3)
    ('1.05%', '0.0032%', '12.3%')
    """
    return f"{value:.3g}%" if value >= 0.1 else f"{value:.2g}%"


def _unfinished(f: "FittedLaw") -> Iterator[Finding]:
    """A search that stopped short, or may have missed the optimum; without error it cannot have."""
    report, more = f.report, f"run with --restarts {_MORE * f.report.restarts}"
    if report.train_mre < _EXACT:
        return
    if report.gradient_norm > report.objective:  # 1% of a parameter changes 1% of the objective
        yield Finding(
            "not converged",
            "predictions of {} may be off, because the fit did not converge",
            f"gradient {report.gradient_norm:.1g} at an objective of {report.objective:.1g}",
            f"{more} or choose a law with fewer parameters",
            WRONG,
        )
    elif report.agreeing == 1 < report.restarts:
        yield Finding(
            "found once",
            "a better fit of {} may exist",
            f"its optimum was found once in {report.restarts} restarts",
            more,
            UNSAFE,
        )


def _asymptote(f: "FittedLaw") -> Iterator[Finding]:
    """A law whose limit for ever larger models and more data is next to nothing."""
    read = [name for name in SIZES if f.law.reads(name)]
    if not read or f.target.startswith(PREFIX):  # an accuracy may reach 1
        return
    seen = f.data.measured.losses.min() if f.data.measured else f.predict(_point(f))
    limit = float(f.predict({**_point(f), **dict.fromkeys(read, np.inf)}))
    if np.isfinite(limit) and limit < _NOTHING * seen:
        yield Finding(
            "no asymptote",
            "predictions of {} far beyond the data are unsafe",
            "no asymptote was found: the law lets the loss fall to 0",
            "add runs of larger models or with more tokens",
            UNSAFE,
        )


def _unmoved(f: "FittedLaw") -> Iterator[Finding]:
    """Terms of N or D that vanished."""
    words = {"n_params": "larger models", "tokens": "more tokens"}
    for name in SIZES:
        low, high = getattr(f.data, name)
        if not f.law.reads(name) or high <= low:
            continue
        ends = [float(f.predict({**_point(f), name: value})) for value in (low, high)]
        if abs(ends[1] - ends[0]) < _UNCHANGED * abs(ends[0]):
            yield Finding(
                f"no effect of {name}",
                f"{words[name]} are not predicted to help {{}}",
                f"the fit found no effect of {name} within the runs",
                f"run values of {name} that are farther apart",
                UNSAFE,
            )


def _edges(f: "FittedLaw") -> Iterator[Finding]:
    """Parameters at an edge of their range, but for terms that vanished."""
    of = {p.name: p for p in f.law.parameters}
    scalars: list[str] = []
    by_domain: dict[str, str] = {}
    for label, value in f.labelled.items():
        name, _, domain = label.removesuffix("]").partition("[")
        if label not in f.report.at_bound or _vanished(of[name], value):
            continue
        if label == name:
            scalars.append(label)
        elif _matters(f, f.domains.index(domain)):
            by_domain.setdefault(domain, label)
    if scalars:
        yield Finding(
            f"edge: {', '.join(scalars)}",
            "predictions of {} beyond the runs are a guess",
            f"{listed(scalars)} ended at the edge of what the law allows",
            "add runs of larger models or with more tokens, or compare laws with jaxmix select",
            GUESS,
        )
    if by_domain:
        domains = listed(by_domain)
        yield Finding(
            f"edge: {', '.join(by_domain.values())}",
            f"the effect of {domains} on {{}} is a guess at weights that were not run",
            f"{listed(by_domain.values())} ended at the edge of what the law allows",
            f"run mixtures with less and with more of {domains}",
            MINOR,
        )


def _vanished(p: Parameter, value: float) -> bool:
    """Whether a parameter stands for a term that the fit left out."""
    return p.support == "positive" and p.low is None and value < 1.0


def _matters(f: "FittedLaw", i: int) -> bool:
    """Whether weight of domain i, more of it beside the same of the others, changes the loss."""
    at = _point(f)
    if not len(f.data.mixtures):
        return True
    ends = f.data.mixtures[:, i].min(), f.data.mixtures[:, i].max()
    unit = np.eye(len(f.domains))[i]
    low, high = (f.predict({**at, "weights": at["weights"] * (1 - unit) + h * unit}) for h in ends)
    return not abs(high - low) < _UNCHANGED * abs(low)


def _unseen(f: "FittedLaw") -> Iterator[Finding]:
    """Rows held out that are predicted much worse than the fitted ones."""
    held, fitted = f.report.held_out_mre, f.report.train_mre
    if held > _SMALL and held > _WORSE * fitted:
        yield Finding(
            "worse on unseen rows",
            "new runs of {} will be predicted worse than the fitted ones",
            f"error {percent(held)} on rows held out, {percent(fitted)} on those fitted",
            "trust the larger error, and compare laws with jaxmix select",
            UNSAFE,
        )


def _singular(f: "FittedLaw") -> Iterator[Finding]:
    """Parameters that rows do not tell apart."""
    if f.report.condition > _SINGULAR:
        yield Finding(
            "values not determined",
            "single parameters of {} mean nothing, though predictions within the runs hold",
            f"several sets of values fit equally well: condition {f.report.condition:.1g}",
            "choose a law with fewer parameters if you need their values",
            MINOR,
        )


_CHECKS: tuple[Callable[["FittedLaw"], Iterator[Finding]], ...] = (
    _unfinished,
    _asymptote,
    _unmoved,
    _unseen,
    _edges,
    _singular,
)


def _point(f: "FittedLaw") -> dict[str, np.ndarray]:
    """Inputs in the middle of what was run, at the largest N and D."""
    data, k = f.data, len(f.domains)
    mean = data.mixtures.mean(0) if len(data.mixtures) else np.full(k, 1.0 / max(k, 1))
    sizes = {name: np.asarray(getattr(data, name)[1]) for name in SIZES}
    others = {name: np.asarray(0.5 * (low + high)) for name, (low, high) in data.others.items()}
    return {**sizes, "weights": mean, **others}
