"""What rows cannot tell, and what varies in them that a law does not read.

Notes of one sentence each: of a run table alone, of a fit, which its report and the law file keep,
and of rows at which a fitted law is scored or predicts.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmix.fitting.support import mixture_support
from jaxmix.laws import Law
from jaxmix.laws.data_reuse import REPETITION
from jaxmix.notes import GUESS, UNSAFE, Note, ranked
from jaxmix.quantities import count, shortest
from jaxmix.runs import RunTable
from jaxmix.runs.plausibility import loss_notes, unit_notes
from jaxmix.runs.table import Rows

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaw

SIZES = ("n_params", "tokens")
_SAME = 0.01  # sizes that differ by less count as one
SPAN = 4.0  # sizes within this factor say little of what follows
_EPOCHS = 2  # data seen no more often are as good as new


def table_notes(runs: RunTable) -> tuple[str, ...]:
    """What a run table cannot tell whatever law is fitted to it, the gravest first.

    Args:
        runs: p rows.
    """
    sizes = {name: getattr(runs, name) for name in SIZES}
    support = mixture_support(runs.weights, runs.domains) if runs.domains else None
    mixtures, k = _mixtures(runs.weights), len(runs.domains)
    few = [_inseparable(mixtures, f"for {k} domains", k)] if 1 < mixtures < k else []
    return ranked([
        *runs.notes,
        *_levels(sizes),
        *few,
        *(support.notes if support else ()),
        *_repeated(runs),
    ])  # fmt: skip


def fit_notes(runs: RunTable, law: Law, used: np.ndarray) -> list[str]:
    """Notes on the rows of one fit.

    Args:
        runs: p rows.
        law: what is fitted to them.
        used: bool [p], those that have a loss of the target.
    """
    sizes = {name: getattr(runs, name)[used] for name in SIZES}
    weights = runs.weights[used]
    return [
        *unit_notes(runs.n_params, runs.tokens),
        *(loss_notes(runs.losses(), runs.targets) if runs.targets else ()),
        *_levels({name: values for name, values in sizes.items() if law.reads(name)}, law),
        *_counts(law, weights),
        *_varying(law, sizes, weights, advise=True),
        *_repeated(runs.select(used), law),
    ]


_EFFECTS = {
    "n_params": ("model size", "sizes", "run a third size", "run sizes farther apart"),
    "tokens": (
        "number of tokens",
        "token counts",
        "record losses at more checkpoints",
        "record losses at earlier checkpoints or train longer",
    ),
}


def _levels(read: dict[str, np.ndarray], law: Law | None = None) -> list[str]:
    """Notes on N or D that do not vary, hardly vary, or only together."""
    levels = {name: int(levels_of(values).max()) + 1 for name, values in read.items()}
    single = [name for name, found in levels.items() if found == 1]
    notes = [_single(name, read[name][0], law) for name in single]
    notes += [_few(name, read[name], found) for name, found in levels.items() if found > 1]
    if not single and len(read) == 2:
        n, d = (np.log(read[name]) for name in SIZES)
        if abs(np.corrcoef(n, d)[0, 1]) >= 1.0 - 1e-6:
            text = (
                "a larger model and more tokens cannot be told apart (n_params and tokens move "
                "together in all rows): record losses at several checkpoints of each run"
            )
            notes.insert(0, Note(text, UNSAFE))
    return [note for note in notes if note]


def _single(name: str, value: float, law: Law | None) -> str:
    what, _, remedy, _ = _EFFECTS[name]
    other = " or choose a law that does not read it" if law else ""
    remedy = "run two other sizes" if name == "n_params" else remedy
    return Note(
        f"no other {what} can be predicted (all rows have one value of {name}, {_short(value)}): "
        f"{remedy}{other}",
        UNSAFE,
    )


def _few(name: str, values: np.ndarray, levels: int) -> str:
    """A note on two values, or on values that are close; empty if there are enough."""
    what, plural, third, wider = _EFFECTS[name]
    guess, ends = f"the effect of the {what} is a guess", (values.min(), values.max())
    if levels == 2:
        two = ", ".join(_short(value) for value in ends)
        return Note(f"{guess} (two {plural} only, {two}): {third}", GUESS)
    span = ends[1] / ends[0]
    return Note(f"{guess} ({plural} span only {span:.2g}x): {wider}", GUESS) if span < SPAN else ""


def _counts(law: Law, weights: np.ndarray) -> list[str]:
    """Notes on hardly more rows, or fewer mixtures, than parameters."""
    rows, k = weights.shape
    needed = law.count(k)
    notes = []
    if rows < 1.5 * needed:
        text = (
            f"the law can follow the noise of single rows ({count(rows, 'row')} for "
            f"{count(needed, 'parameter')}): add runs or choose a law with fewer parameters"
        )
        notes.append(Note(text, GUESS))
    slopes = sum(p.size(k) for p in law.parameters if p.shape == "domain")
    mixtures = _mixtures(weights)
    if law.reads_mixture and 1 < mixtures < slopes:
        notes.append(_inseparable(mixtures, f"for {slopes} parameters of domains", slopes))
    return notes


def _inseparable(mixtures: int, needed: str, least: int) -> Note:
    return Note(
        f"the effects of the domains cannot be told apart ({mixtures} mixtures {needed}): run at "
        f"least {least - mixtures} more",
        UNSAFE,
    )


def _varying(
    law: Law, sizes: dict[str, np.ndarray], weights: np.ndarray, advise: bool
) -> list[str]:
    """A note on what varies without being read, with the filter that mends it."""
    unread = {n: v for n, v in sizes.items() if not law.reads(n) and levels_of(v).max() > 0}
    mixtures = 1 if law.reads("weights") else _mixtures(weights)
    found = [_values(name, values) for name, values in unread.items()]
    found += [f"{mixtures} mixtures"] if mixtures > 1 else []
    if not found:
        return []
    note = f"rows have {' and '.join(found)}, which the law '{law.name}' does not use"
    if not advise:
        return [Note(note, UNSAFE)]
    kept, expression = _informative(unread) if unread else (0, "")
    if kept < law.count(weights.shape[1]):
        return [Note(f"{note}: choose a law that reads them", UNSAFE)]
    return [Note(f'{note}: keep one with --where "{expression}"', UNSAFE)]


def _values(name: str, values: np.ndarray) -> str:
    levels = levels_of(values)
    tops = [_short(values[levels == level].max()) for level in range(int(levels.max()) + 1)]
    shown = ", ".join(tops) if len(tops) < 4 else f"{tops[0]} to {tops[-1]}"
    return f"{len(tops)} values of {name} ({shown})"


def _informative(sizes: dict[str, np.ndarray]) -> tuple[int, str]:
    """Rows at the largest of the levels that many rows have, and the filter that keeps them."""
    levels = np.stack([levels_of(values) for values in sizes.values()], axis=1)
    seen, counts = np.unique(levels, axis=0, return_counts=True)
    best = np.flatnonzero(counts >= 0.5 * counts.max())[-1]
    kept = zip(sizes.items(), levels.T, seen[best], strict=True)
    parts = [_filter(name, values[own == at]) for (name, values), own, at in kept]
    return int(counts[best]), " and ".join(parts)


def _filter(name: str, values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    if low == high:
        return f"{name} == {shortest(low)}"
    return f"{_short(low * (1.0 - _SAME / 10))} <= {name} <= {_short(high * (1.0 + _SAME / 10))}"


def levels_of(values: np.ndarray) -> np.ndarray:
    """The number of each size's level [p], from 0; sizes within 1% of a neighbor share one."""
    seen, index = np.unique(values, return_inverse=True)
    return np.concatenate([[0], np.cumsum(np.diff(np.log(seen)) > _SAME)])[index]


def _mixtures(weights: np.ndarray) -> int:
    return len(np.unique(np.round(weights, 6), axis=0)) if weights.shape[1] else 1


def _short(value: float) -> str:
    return shortest(float(f"{value:.4g}"))


def repeated_rows(runs: RunTable) -> tuple[np.ndarray, float]:
    """Rows [p] that repeat some domain more than twice, and the most epochs there are."""
    known = [d for d in runs.domains if f"unique_{d}" in runs.frame.columns]
    if not known:
        return np.zeros(len(runs), bool), 0.0
    stock = runs.frame[[f"unique_{d}" for d in known]].to_numpy(dtype=float)
    own = runs.weights[:, [runs.domains.index(d) for d in known]]
    with np.errstate(divide="ignore", invalid="ignore"):
        epochs = np.nan_to_num(own * runs.tokens[:, None] / stock).max(axis=1)
    return epochs > _EPOCHS, float(epochs.max())


def _repeated(runs: RunTable, law: Law | None = None) -> list[str]:
    """A note on rows that repeat data, for a law that does not know repetition."""
    if law is not None and (law.reads("unique") or not law.reads("tokens")):
        return []
    repeated, most = repeated_rows(runs)
    if not repeated.any():
        return []
    seen = count(int(repeated.sum()), "row repeats", "rows repeat")
    fit = f"'{law.name}{REPETITION}'" if law else f"a law such as 'joint{REPETITION}'"
    return [
        Note(
            f"repeated data count as fresh ({seen} a domain more than {_EPOCHS} times, up to "
            f"{most:.3g}): fit {fit}",
            GUESS,
        )
    ]


def unread_notes(laws: Sequence["FittedLaw"], table: Any) -> tuple[str, ...]:
    """Notes on rows that differ in, or from the fitted, N, D or mixture that a law does not read.

    Args:
        laws: fits of one law.
        table: the rows to score or to predict; what is no table of the package gets no notes.
    """
    if not isinstance(table, Rows) or not len(table):
        return ()
    law, notes = laws[0].law, []
    for name in (name for name in SIZES if not law.reads(name)):
        ends = np.array([getattr(f.data, name) for f in laws])
        notes += _apart(law, name, getattr(table, name), ends.min(), ends.max(), table)
    if not law.reads("weights"):
        notes += _varying(law, {}, table.weights, advise=False) or _elsewhere(laws[0], table)
    return tuple(notes)


def _apart(
    law: Law, name: str, values: np.ndarray, low: float, high: float, table: Rows
) -> list[str]:
    inside = (values >= low * (1.0 - _SAME)) & (values <= high * (1.0 + _SAME))
    if inside.all() and levels_of(values).max() == 0:
        return []
    fitted = " to ".join(dict.fromkeys([_short(low), _short(high)]))
    seen = _values(name, values) if levels_of(values).max() else f"{name} of {_short(values[0])}"
    note = f"rows have {seen}, which the law '{law.name}' does not use; it was fitted at {fitted}"
    if isinstance(table, RunTable) and inside.any() and not inside.all():
        note = f'{note}: keep such rows with --where "{_filter(name, values[inside])}"'
    return [Note(note, UNSAFE)]


def _elsewhere(fitted: "FittedLaw", table: Rows) -> list[str]:
    """A note on one mixture that is none of those fitted."""
    seen = fitted.data.mixtures
    if not len(seen) or set(table.domains) != set(fitted.domains):
        return []
    own = table.weights[0, [table.domains.index(d) for d in fitted.domains]]
    if np.abs(seen - own).max(axis=1).min() < _SAME:
        return []
    name = fitted.law.name
    return [Note(f"rows have a mixture that was not fitted, and '{name}' reads no mixture", UNSAFE)]
