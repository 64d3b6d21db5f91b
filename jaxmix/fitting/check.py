"""What a run table can and cannot tell, before anything is fitted.

How sizes, tokens and mixtures vary, how large the noise is, and an answer to each question that
people ask of such a table.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown
from jaxmix.fitting.evidence import SIZES, SPAN, levels_of, repeated_rows, table_notes
from jaxmix.fitting.support import Support, mixture_support
from jaxmix.fitting.table_noise import TableNoise, table_noise
from jaxmix.fitting.uncertainty.clusters import run_labels
from jaxmix.notes import WRONG, listed, rank_of
from jaxmix.quantities import amount, count
from jaxmix.runs import RunTable, read_runs
from jaxmix.runs.reading import Table

_MEND = "correct the table as the first note says, before anything else"
YES, GUESS, NO = "yes", "a guess", "no"
_CLEAR = 3.0  # times the noise by which mixtures must move a loss to be told apart
_ALONE = 0.95  # weight from which a run is on one domain alone
_RISES = 1.02  # times its lowest loss at which a run ends above it
_TESTED = 1.5  # least factor of an extrapolation that says something
_SOME = 0.05  # share of rows below which few repeat data, or few do not
_SHOWN = 7  # domains whose ranges are shown
_SAME = ("schedule", "tokenizer", "seed")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the table says to one question.

    Attributes:
        question: in a few words.
        answer: ``"yes"``, ``"a guess"`` or ``"no"``.
        why: the evidence.
        remedy: what to run; empty if the answer is yes.
    """

    question: str
    answer: str
    why: str
    remedy: str = ""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class RunCheck(Shown):
    """What p rows can and cannot tell.

    Attributes:
        runs: the table.
        facts: what it holds, by what it is called.
        answers: one per question.
        noise: one per target.
        support: of the mixtures; None without weights.
        notes: what to know before a fit, the gravest first.
    """

    runs: RunTable
    facts: dict[str, str]
    answers: tuple[Answer, ...]
    noise: tuple[TableNoise, ...]
    support: Support | None
    notes: tuple[str, ...]

    @property
    def next_steps(self) -> tuple[str, ...]:
        """What to run next, for questions without an answer first."""
        by_need = sorted(self.answers, key=lambda one: one.answer != NO)
        first = [_MEND] if any(rank_of(note) == WRONG for note in self.notes) else []
        found = tuple(dict.fromkeys([*first, *(one.remedy for one in by_need if one.remedy)]))
        return found or ("nothing is missing: jaxmix select tests how laws extrapolate",)

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` of ``jaxmix check``."""
        runs, support = self.runs, self.support
        weights = (
            {d: {"low": float(support.low[i]), "high": float(support.high[i])}
             for i, d in enumerate(support.domains)} if support else {}
        )  # fmt: skip
        return {
            "source": runs.source,
            "rows": len(runs),
            "runs": int(run_labels(runs).max()) + 1,
            "n_params": _distinct(runs.n_params),
            "tokens": _distinct(runs.tokens),
            "mixtures": len(support.mixtures) if support else 0,
            "directions": {"varied": _rank(support), "of": max(len(runs.domains) - 1, 0)},
            "weights": weights,
            "noise": {
                n.target: {**asdict(n), "level": n.level, "ratio": n.ratio} for n in self.noise
            },
            "missing": _missing(runs),
            "most_epochs": repeated_rows(runs)[1],
            "answers": [asdict(one) for one in self.answers],
            "notes": list(self.notes),
            "next": list(self.next_steps),
        }

    def to_frame(self) -> pd.DataFrame:
        """The answers, one row per question."""
        return pd.DataFrame([asdict(one) for one in self.answers]).set_index("question")

    def summary(self) -> str:
        """Facts, answers, notes and what to run next, as text."""
        wide = max(len(one.question) for one in self.answers)
        return "\n".join([
            *(f"{name:<10} {said}" for name, said in self.facts.items()),
            "",
            *(f"{one.question:<{wide}}  {one.answer:<7}  {one.why}" for one in self.answers),
            *(f"note: {note}" for note in self.notes),
            *(f"next: {step}" for step in self.next_steps),
        ])  # fmt: skip

    def __repr__(self) -> str:
        said = ", ".join(f"{one.question}: {one.answer}" for one in self.answers)
        return f"RunCheck({len(self.runs)} rows; {said})"

    def _shown(self) -> Parts:
        told = [one.question for one in self.answers if one.answer == YES]
        said = f"{count(len(self.runs), 'row')} tell {len(told)} of {len(self.answers)} things"
        tables = {"": self.facts, "what they tell": self.to_frame()}
        return Parts(said, tables, self.notes, f"next: {'; '.join(self.next_steps)}")


def check(runs: Table | RunTable) -> RunCheck:
    """What a run table can and cannot tell about sizes, tokens, mixtures, noise and repetition.

    Args:
        runs: the table: a path, a DataFrame, columns by name or a ``RunTable``. Rows of different
            tokenizers and schedules may stand in it; a note says so.

    Raises:
        RunTableError: the table cannot be read.

    Example:
        >>> from jaxmix.examples import load_example
        >>> found = check(load_example("vision"))
        >>> found.to_frame()["answer"]["effect of model size"]
        'yes'
    """
    table = read_runs(runs, pool=("tokenizer", "schedule"))
    noise = table_noise(table)
    support = mixture_support(table.weights, table.domains) if table.domains else None
    asked = (_sizes(table), _mixtures(table, support), _noisy(table, noise), _repetition(table))
    return RunCheck(
        runs=table,
        facts=_facts(table, support, noise),
        answers=tuple(one for answers in asked for one in answers),
        noise=noise,
        support=support,
        notes=table_notes(table),
    )


# By input: the question of its effect, that of extrapolation, and what to run.
_SIZES = {
    "n_params": ("effect of model size", "larger models", "size", "run sizes farther apart"),
    "tokens": (
        "effect of tokens",
        "more tokens",
        "token count",
        "record losses at more checkpoints",
    ),
}


def _sizes(runs: RunTable) -> Iterator[Answer]:
    """Whether the effects of N and D can be told, and how far extrapolation can be tested."""
    for name in SIZES:
        effect, farther, noun, wider = _SIZES[name]
        levels = _distinct(getattr(runs, name))
        number, span = len(levels), levels[-1] / levels[0]
        answer = NO if number == 1 else GUESS if number == 2 or span < SPAN else YES
        missing = f"run {count(3 - number, f'more {noun}')}" if name == "n_params" else wider
        remedy = "" if answer == YES else missing if number < 3 else wider
        why = count(number, noun) + (f" over {_times(span)}" if number > 1 else "")
        yield Answer(question=effect, answer=answer, why=why, remedy=remedy)
        if number < 3:
            why = f"not testable with {count(number, noun)}"
            yield Answer(question=farther, answer=NO, why=why, remedy=remedy)
            continue
        third, most = levels[2], levels[-1]
        tested = most / third  # three values are the fewest that determine a power law
        why = f"testable to {_times(tested)}: fit to {amount(third)}, score at {amount(most)}"
        answer = YES if tested >= _TESTED else GUESS
        yield Answer(
            question=farther, answer=answer, why=why, remedy="" if answer == YES else wider
        )


def _mixtures(runs: RunTable, support: Support | None) -> Iterator[Answer]:
    """Whether domains can be told apart."""
    k, ask = len(runs.domains), "effect of each domain"
    if support is None or k < 2:
        why = "one domain" if k else "no columns w_<domain>"
        yield Answer(question=ask, answer=NO, why=why, remedy="add the weights of all domains")
        return
    u, rank = len(support.mixtures), _rank(support)
    why = f"{count(u, 'mixture')} of {k} domains vary in {rank} of {k - 1} directions"
    answer = NO if u < k or rank < k - 1 else GUESS if u < 2 * k else YES
    still = [d for d, fixed in zip(support.domains, support.fixed, strict=True) if fixed]
    fresh = count(max(2 * k - u, k - 1 - rank), "more mixture")
    vary = listed(still) if 0 < len(still) < k else "all domains"
    more = f"run {fresh} that {'vary' if fresh[:2] != '1 ' else 'varies'} {vary}"
    yield Answer(question=ask, answer=answer, why=why, remedy="" if answer == YES else more)


def _noisy(runs: RunTable, noise: tuple[TableNoise, ...]) -> Iterator[Answer]:
    """Whether mixtures can be told apart in spite of the noise."""
    ask, repeat = "mixtures above the noise", "repeat two mixtures with three seeds"
    known = [n for n in noise if np.isfinite(n.ratio)]
    if len(runs.domains) > 1 and not known:
        why = "the noise is unknown: no run was repeated"
        yield Answer(question=ask, answer=GUESS, why=why, remedy=repeat)
    if not known:
        return
    worst = min(known, key=lambda n: n.ratio)
    middle = float(np.median([n.ratio for n in known]))
    least = f" ({worst.target}: {worst.ratio:.2g})" if len(known) > 1 else ""
    why = f"{middle:.2g} times the noise of {worst.kind}{least}"
    sure = worst.kind == "repeats"
    low = NO if sure and middle < 1 else GUESS
    answer = YES if worst.ratio >= _CLEAR else low
    better = "run mixtures that differ more, or train longer"
    better = f"score {worst.target} on more held-out data" if worst.kind == "evaluation" else better
    remedy = "" if answer == YES else better
    yield Answer(question=ask, answer=answer, why=why, remedy=remedy)
    if not sure:
        why = "no run was repeated with another seed"
        yield Answer(question="noise of a run", answer=GUESS, why=why, remedy=repeat)


def _repetition(runs: RunTable) -> Iterator[Answer]:
    """Whether the effect of repeated data can be told."""
    repeated, most = repeated_rows(runs)
    if any(f"unique_{d}" in runs.frame.columns for d in runs.domains):
        seen = (
            f"a domain is read {most:.2g} times at most" if most else "no run reads a domain twice"
        )
    else:
        seen = "no columns unique_<domain>"
    share = repeated.mean()
    answer = NO if share == 0 else GUESS if min(share, 1 - share) < _SOME else YES
    why = f"{count(int(repeated.sum()), 'row')} repeat data, {seen}" if share else seen
    yield Answer(question="effect of repetition", answer=answer, why=why)


def _facts(
    runs: RunTable, support: Support | None, noise: tuple[TableNoise, ...]
) -> dict[str, str]:
    rows = np.bincount(run_labels(runs))
    a_run = " to ".join(dict.fromkeys([str(rows.min()), str(rows.max())]))
    facts = {
        "rows": f"{len(runs)} of {count(len(rows), 'run')}, {a_run} of each",
        "sizes": _values(runs.n_params),
        "tokens": _values(runs.tokens),
        "targets": f"{len(runs.targets)}: {_lossy(runs)}",
    }
    if support:
        facts["mixtures"] = _coverage(support)
        facts["weights"] = _ranges(support)
    facts["noise"] = _told(noise)
    return facts | _kinds(runs)


def _values(values: np.ndarray) -> str:
    levels = _distinct(values)
    if len(levels) <= 5:
        shown = ", ".join(map(amount, levels))
    else:
        shown = f"{len(levels)} from {amount(levels[0])} to {amount(levels[-1])}"
    return shown + (f" ({_times(levels[-1] / levels[0])})" if len(levels) > 1 else "")


def _lossy(runs: RunTable) -> str:
    losses, missing = runs.losses(), _missing(runs)
    gone = ", ".join(f"{n} of {t}" for t, n in list(missing.items())[:3])
    gone += ", ..." if len(missing) > 3 else ""
    ends = f"losses {np.nanmin(losses):.3g} to {np.nanmax(losses):.3g} nats"
    rising = _rising(runs, losses)
    up = f"; {count(rising, 'run ends', 'runs end')} above the lowest loss" if rising else ""
    return f"{ends}; missing {gone or 'none'}{up}"


def _coverage(support: Support) -> str:
    alone = support.high >= _ALONE
    names = [d for d, one in zip(support.domains, alone, strict=True) if one]
    most = "all domains" if alone.all() else listed(names) if names else "none"
    return f"{len(support.mixtures)} of {len(support.domains)} domains; alone: {most}"


def _ranges(support: Support) -> str:
    ends = zip(support.domains, support.low, support.high, strict=True)
    by_width = sorted(ends, key=lambda one: one[2] - one[1])
    shown = [f"{name} {low:.2g} to {high:.2g}" for name, low, high in by_width[:_SHOWN]]
    rest = len(by_width) - _SHOWN
    return ", ".join([*shown, *([f"{rest} more in wider ranges"] if rest > 0 else [])])


def _told(noise: tuple[TableNoise, ...]) -> str:
    seeds, near, own, spread = (
        float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")
        for values in (
            np.array([getattr(n, name) for n in noise])
            for name in ("seeds", "near", "evaluation", "mixtures")
        )
    )
    parts = {
        f"of repeats ({max((n.repeats for n in noise), default=0)})": seeds,
        "of near-duplicates": near,
        "of evaluation": own,
        "over mixtures": spread,
    }
    shown = [f"{value:.2g} {name}" for name, value in parts.items() if np.isfinite(value)]
    return f"SD {', '.join(shown)} (nats, median target)" if shown else "unknown"


def _kinds(runs: RunTable) -> dict[str, str]:
    """What all rows share of tokenizer, schedule and seed, and what they do not."""
    held = {c: runs.frame[c].dropna().unique() for c in _SAME if c in runs.frame.columns}
    named = {c: [_plain(v) for v in values] for c, values in held.items() if len(values)}
    facts = {
        f"{c}s": f"{len(v)}: {listed(v)}" + ("" if c == "seed" else f" (fit with --pool {c})")
        for c, v in named.items()
        if len(v) > 1
    }
    same = ", ".join(f"{c} {v[0]}" for c, v in named.items() if len(v) == 1)
    return facts | ({"in all rows": same} if same else {})


def _times(factor: float) -> str:
    """A factor for people.

    >>> _times(3.99), _times(282.4)
    ('4x', '282x')
    """
    return f"{factor:.2g}x" if factor < 10 else f"{factor:.0f}x"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _distinct(values: np.ndarray) -> list[float]:
    """The largest value of each level, ascending."""
    levels = levels_of(values)
    return [float(values[levels == i].max()) for i in range(int(levels.max()) + 1)]


def _rank(support: Support | None) -> int:
    """Directions in which the mixtures vary."""
    if support is None:
        return 0
    moving = int((~support.fixed).sum())
    return max(moving - 1, 0) - len(support.flat)


def _missing(runs: RunTable) -> dict[str, int]:
    """Rows without a loss by target, the most first."""
    counts = zip(runs.targets, np.isnan(runs.losses()).sum(1).tolist(), strict=True)
    return {t: n for t, n in sorted(counts, key=lambda one: -one[1]) if n}


def _rising(runs: RunTable, losses: np.ndarray) -> int:
    """Runs whose mean loss ends above its lowest value."""
    mean, run = losses.mean(0), run_labels(runs)
    whole = np.flatnonzero(np.isfinite(mean))
    order = whole[np.lexsort([runs.tokens[whole], run[whole]])]
    ends = np.split(mean[order], np.flatnonzero(np.diff(run[order])) + 1) if len(order) else []
    return sum(bool(of_run[-1] > _RISES * of_run.min()) for of_run in ends)
