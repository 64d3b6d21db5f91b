"""Several laws fitted on one selection of rows and scored on another: tables 2, 4 and 8."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown, axes_or_new, plain
from jaxmix.errors import JaxmixError
from jaxmix.fitting.accuracy import LINK_PARAMETERS, fit_links, task_of
from jaxmix.fitting.baselines import BASELINES, baseline_parameters, predict_baselines
from jaxmix.fitting.fit import fit
from jaxmix.fitting.fitted import FittedLaws
from jaxmix.fitting.scores import Score, mean, score, score_arrays
from jaxmix.laws import Law, get_law
from jaxmix.quantities import count
from jaxmix.runs import RunTable, read_runs
from jaxmix.runs.accuracies import PREFIX, left_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SCORES = ("n_parameters", "train_mre", "test_mre", "r2", "spearman")


@dataclass(frozen=True)
class ComparisonRow:
    """One law on one target.

    Attributes:
        law: name of the law.
        n_parameters: its number of free parameters.
        target: bare name of the target.
        train: scores on the rows it was fitted on.
        test: scores on the other selection.
    """

    law: str
    n_parameters: int
    target: str
    train: Score
    test: Score

    def to_dict(self) -> dict[str, Any]:
        """The scores as plain values."""
        return {
            "law": self.law,
            "n_parameters": self.n_parameters,
            "target": self.target,
            "train_mre": self.train.mre,
            "test_mre": self.test.mre,
            "r2": self.test.r2,
            "spearman": self.test.spearman,
            "train_rows": self.train.rows,
            "test_rows": self.test.rows,
        }


@dataclass(frozen=True)
class Means:
    """Scores of one law averaged over targets.

    Attributes:
        law: name of the law.
        n_parameters: its number of free parameters, per target.
        train_mre: on the rows it was fitted on, percent.
        test_mre: on the other selection, percent.
        r2: on the other selection.
        spearman: on the other selection.
    """

    law: str
    n_parameters: int
    train_mre: float
    test_mre: float
    r2: float
    spearman: float


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """What ``compare`` found.

    Attributes:
        rows: one per law and target, in the order asked.
        fits: the fitted laws by the name of their law.
        notes: what reading the rows changed, one sentence each.
        baseline_rows: likewise for ``jaxmix.fitting.baselines``, whose names stand for laws.
        two_step_rows: for targets ``accuracy_<name>`` whose ``task_<name>`` has losses, the same by
            two steps: the loss by the law, and the accuracy by a sigmoid of the loss.
    """

    rows: tuple[ComparisonRow, ...]
    fits: dict[str, FittedLaws]
    notes: tuple[str, ...] = ()
    baseline_rows: tuple[ComparisonRow, ...] = ()
    two_step_rows: tuple[ComparisonRow, ...] = ()

    @property
    def verdict(self) -> str:
        """Which law predicts the test rows best, and whether a baseline does better."""
        best = min(self.means(), key=lambda m: (not m.test_mre < np.inf, m.test_mre))
        said = f"{best.law} predicts the test rows best, to {best.test_mre:.3g}%"
        beaten = {law: name for law, name in self.beaten_by().items() if name}
        if not beaten:
            return f"{said}; every law beats the baselines" if self.baseline_means() else said
        if len(beaten) == len(self.fits):
            rival = self.baseline_means()[0]
            return (
                f"no law is recommended: the baseline {rival.law} predicts the test rows better, "
                f"to {rival.test_mre:.3g}% (best law: {best.law}, {best.test_mre:.3g}%)"
            )
        named = (f"{law} does not beat the baseline {name}" for law, name in beaten.items())
        losers = "; ".join(named)
        return f"{said}; {losers}"

    def _shown(self) -> Parts:
        means = [*self.means(), *self.baseline_means()]
        rows = [{"law": m.law, **{name: getattr(m, name) for name in _SCORES}} for m in means]
        frame = pd.DataFrame(rows).set_index("law")
        return Parts(self.verdict, {"mean over targets, errors in percent": frame}, self.notes)

    def to_frame(self) -> pd.DataFrame:
        """One row per law (or baseline) and target: errors in percent, R2, rank correlation."""
        kinds = (("law", self.rows), ("baseline", self.baseline_rows))
        return pd.DataFrame({"kind": kind, **row.to_dict()} for kind, rows in kinds for row in rows)

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` of ``jaxmix compare``, but for the selections."""

        def held(rows: Sequence[ComparisonRow], means: Sequence[Means]) -> dict[str, Any]:
            scores = {m.law: {name: getattr(m, name) for name in _SCORES} for m in means}
            return {"rows": [row.to_dict() for row in rows], "means": scores}

        two_steps = [row.to_dict() for row in self.two_step_rows]
        return {
            **held(self.rows, self.means()),
            "baselines": held(self.baseline_rows, self.baseline_means()),
            "beaten_by": self.beaten_by(),
            **({"two_steps": two_steps} if two_steps else {}),
        }

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Mean error on the test rows of every law and, paler, of every baseline."""
        ax = axes_or_new(ax)
        laws, others = self.means(), self.baseline_means()
        ax.barh([plain(m.law) for m in laws], [m.test_mre for m in laws], label="laws")
        ax.barh(
            [f"baseline {plain(m.law)}" for m in others],
            [m.test_mre for m in others],
            color="C0",
            alpha=0.4,
            label="baselines",
        )
        ax.invert_yaxis()
        ax.set(xlabel="mean relative error on the test rows, %")
        ax.legend(frameon=False)
        return ax

    def means(self) -> tuple[Means, ...]:
        """One line per law, in the order asked."""
        return tuple(_means([r for r in self.rows if r.law == name]) for name in self.fits)

    def baseline_means(self) -> tuple[Means, ...]:
        """One line per baseline that has all targets, lowest test error first."""
        targets = {r.target for r in self.rows}
        own = {r.law: [b for b in self.baseline_rows if b.law == r.law] for r in self.baseline_rows}
        whole = [_means(rows) for rows in own.values() if {r.target for r in rows} == targets]
        return tuple(sorted(whole, key=lambda m: m.test_mre))

    def beaten_by(self) -> dict[str, str | None]:
        """For each law the best baseline, if the law's mean error on the test rows is no lower."""
        best = next(iter(self.baseline_means()), None)
        return {
            law.law: best.law if best and not law.test_mre < best.test_mre else None
            for law in self.means()
        }


def compare(
    runs: RunTable | str | os.PathLike[str],
    laws: Sequence[Law | str],
    train: str,
    test: str,
    *,
    targets: Sequence[str] | None = None,
    pool: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
    **fit_options: Any,
) -> Comparison:
    """Fits several laws on one selection of rows and scores them on another.

    The baselines of ``jaxmix.fitting.baselines`` are fitted and scored on the same rows.

    Args:
        runs: a run table, or its file; of a file, only rows that a selection keeps are validated.
        laws: laws or their names.
        train: expression for the rows to fit on, as ``"n_params < 3e8"``.
        test: expression for the rows to score on.
        targets: names in either spelling; None for all.
        pool: as in ``read_runs``, where ``runs`` is a file.
        progress: called with the law's name and the progress of its fit.
        **fit_options: ``solver``, ``restarts``, ``seed`` and whatever else ``fit`` takes.

    Raises:
        JaxmixError: one line: a selection is empty, rows are in both, a law is unknown, ...
    """
    resolved = [get_law(law) for law in laws]
    names = [law.name for law in resolved]
    if not names or len(set(names)) != len(names):
        raise JaxmixError("name at least one law, and each law once")
    train_runs, test_runs = (_selection(runs, where, pool) for where in (train, test))
    if same := shared_rows(train_runs, test_runs):
        raise JaxmixError(
            f"{test_runs.source}: {count(same, 'row is', 'rows are')} both fitted (--train) and "
            f"scored (--test); {_apart(train, test, same, len(train_runs), len(test_runs))}"
        )
    rows: list[ComparisonRow] = []
    fits: dict[str, FittedLaws] = {}
    two_steps: list[ComparisonRow] = []
    for law in resolved:
        options = {"targets": targets, "progress": _reporter(progress, law.name), **fit_options}
        fits[law.name] = fit(train_runs, law, **options)
        rows += _rows(law.name, fits[law.name], train_runs, test_runs)
        two_steps += _two_step_rows(fits[law.name], train_runs, test_runs, options)
    notes = dict.fromkeys((*train_runs.notes, *test_runs.notes))
    scored = tuple(dict.fromkeys(row.target for row in rows))
    lost = {name: left_out(test_runs.frame, name, test_runs.source) for name in scored}
    notes |= dict.fromkeys(f"--test: {name}: {told}" for name, told in lost.items() if told)
    baselines = _baseline_rows(train_runs, test_runs, scored)
    return Comparison(tuple(rows), fits, tuple(notes), baselines, tuple(two_steps))


def _two_step_rows(
    fits: FittedLaws, train: RunTable, test: RunTable, options: Mapping[str, Any]
) -> list[ComparisonRow]:
    """Scores of accuracies by way of the losses of their tasks, in -log accuracy."""
    direct = [t.removeprefix(PREFIX) for t in fits.targets if t.startswith(PREFIX)]
    links = fit_links(train, direct)
    tasks = tuple(task_of(target) for target in links)
    if not tasks:
        return []
    known = set(tasks) <= set(fits.targets)
    losses = fits[tasks] if known else fit(train, fits.law, **{**options, "targets": tasks})
    rows, size = [], fits.law.count(len(fits.domains)) + LINK_PARAMETERS
    for target, link in links.items():
        law, sides = losses[[task_of(target)]], []
        for runs in (train, test):
            predicted = -np.log(link(law.predict(runs).to_numpy()[:, 0]))
            sides.append(score_arrays(predicted, runs.losses([target])[0]))
        rows.append(ComparisonRow(fits.law.name, size, target, *sides))
    return rows


def _apart(train: str, test: str, same: int, fitted: int, scored: int) -> str:
    """What to ask for in place of selections that share rows, all of one, of both or some."""
    if same == fitted == scored:
        return "both select the same rows; name others with --test"
    if same == scored:
        return f'fit others: --train "({train}) and not ({test})"'
    return f'score others: --test "({test}) and not ({train})"'


def shared_rows(fitted: RunTable, scored: RunTable) -> int:
    """How many rows of the second table are rows of the first: all values but the run are equal.

    Names of runs may be made up while a table is read, and one measurement may have two.
    """
    both = [name for name in scored.frame.columns if name in set(fitted.frame.columns) - {"run"}]
    seen = set(fitted.frame[both].astype(str).itertuples(index=False, name=None))
    return sum(row in seen for row in scored.frame[both].astype(str).itertuples(False, None))


def _selection(
    runs: RunTable | str | os.PathLike[str], where: str, pool: Sequence[str]
) -> RunTable:
    return (
        runs.where(where) if isinstance(runs, RunTable) else read_runs(runs, where=where, pool=pool)
    )


def _reporter(
    progress: Callable[[str, int, int], None] | None, name: str
) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def _rows(name: str, fits: FittedLaws, train: RunTable, test: RunTable) -> list[ComparisonRow]:
    on_train, on_test = score(fits, train), score(fits, test)
    return [
        ComparisonRow(
            name,
            f.law.count(len(f.domains)),
            f.target,
            on_train[f.target],
            on_test[f.target],
        )
        for f in fits
    ]


def _baseline_rows(
    train: RunTable, test: RunTable, targets: Sequence[str]
) -> tuple[ComparisonRow, ...]:
    """Scores of the baselines; those that a target does not have are left out."""
    sides = [
        (predict_baselines(train, runs, targets), runs.losses(targets)) for runs in (train, test)
    ]
    rows = []
    for name in BASELINES:
        for t, target in enumerate(targets):
            on_train, on_test = (score_arrays(found[name][t], seen[t]) for found, seen in sides)
            if on_test.rows:
                count = baseline_parameters(name, len(train.domains))
                rows.append(ComparisonRow(name, count, target, on_train, on_test))
    return tuple(rows)


def _means(rows: Sequence[ComparisonRow]) -> Means:
    return Means(
        rows[0].law,
        rows[0].n_parameters,
        mean(r.train.mre for r in rows),
        mean(r.test.mre for r in rows),
        mean(r.test.r2 for r in rows),
        mean(r.test.spearman for r in rows),
    )
