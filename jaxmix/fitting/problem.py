"""A run table and a law as the arrays that solvers see, with every check on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.evidence import fit_notes
from jaxmix.fitting.fitted import DataRange, Measured
from jaxmix.fitting.inputs import read_inputs
from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.programs import compile_quickly
from jaxmix.laws import Law, Params, Scales, base_name
from jaxmix.quantities import count
from jaxmix.runs import RunTable
from jaxmix.runs.accuracies import left_out

Array = jax.Array


class FitError(JaxmixError):
    """A table that cannot be fitted: one line that says why and what to do."""


@dataclass(frozen=True)
class Problem:
    """m fits of one law, in the precision of the scope it was made in.

    Attributes:
        runs: the table.
        targets: [m] bare names.
        objective: eq. (6) of the law.
        rows: the rows as arrays, N and D in the law's units.
        scales: arrays [m].
        used: [m, p] rows that each fit uses.
        notes: [m] what a reader of each fit should know.
    """

    runs: RunTable
    targets: tuple[str, ...]
    objective: Objective
    rows: Rows
    scales: Scales
    used: np.ndarray
    notes: tuple[tuple[str, ...], ...]

    @property
    def units(self) -> tuple[Array, Array]:
        """What N and D are measured in."""
        return self.objective.law.units(Scales(*(np.asarray(x)[0] for x in self.scales)))

    def natural(self, z: Array | np.ndarray) -> dict[str, np.ndarray]:
        """A working vector [P] as parameters in natural units."""
        found = _natural(self.objective, z, self.units)
        return {name: np.asarray(value, np.float64) for name, value in found.items()}

    def working(self, params: Params) -> Array:
        """Natural parameters as a working vector [P] within its bounds; undoes ``natural``."""
        law, (n_unit, d_unit) = self.objective.law, self.units
        given = {n: jnp.asarray(v, self.rows.losses.dtype) for n, v in params.items()}
        scaled = law.rescale(given, n_unit, d_unit) if law.rescale else given
        low, high = law.bounds(self.objective.k)
        return jnp.clip(law.to_working(scaled), low, high)

    def only(self, rows: np.ndarray, weighting: str) -> "Problem":
        """The same fits of fewer rows, bool [m, p]; notes are those of all rows.

        Raises:
            FitError: the law needs more rows than there are.
        """
        used = self.used & rows
        _check_counts(self.runs, self.objective.law, self.targets, used, self.objective.k)
        weights = row_weights(self.runs, self.targets, used, weighting)
        return replace(
            self,
            rows=self.rows._replace(row_weights=jnp.asarray(weights)),
            scales=_scales(self.runs, self.runs.losses(self.targets), used),
            used=used,
        )

    def range(self, fit: int) -> DataRange:
        """The edges of the rows of one fit."""
        used = self.used[fit]
        n, d = self.runs.n_params[used], self.runs.tokens[used]
        seen = self.runs.weights[used]  # [p, k]
        mixtures = np.unique(seen, axis=0) if seen.shape[1] else seen[:0]
        others = {
            i.name: (float(x[used].min()), float(x[used].max()))
            for i in self.objective.law.inputs
            if i.per == "row" and i.name not in ("n_params", "tokens")
            for x in [read_inputs(self.runs, self.objective.law, self.runs.domains)[i.name]]
        }
        ends = (n.min(), n.max()), (d.min(), d.max())
        return DataRange(*ends, mixtures, others, self._measured(fit))

    def _measured(self, fit: int) -> Measured:
        """The last used row of every run."""
        rows = np.flatnonzero(self.used[fit])
        rows = rows[np.argsort(self.runs.tokens[rows], kind="stable")]
        names = self.runs.frame["run"].astype(str).to_numpy()
        last = np.sort(list(dict(zip(names[rows], rows.tolist(), strict=True)).values()))
        return Measured(
            run=tuple(names[last]),
            n_params=self.runs.n_params[last],
            tokens=self.runs.tokens[last],
            weights=self.runs.weights[last],
            losses=self.runs.losses([self.targets[fit]])[0][last],
        )


@compile_quickly(static_argnames="objective")
def _natural(objective: Objective, z: Any, units: tuple[Array, Array]) -> dict[str, Array]:
    law = objective.law
    params = law.from_working(z, objective.k)
    if law.rescale:
        params = law.rescale(params, 1.0 / units[0], 1.0 / units[1])
    return {p.name: params[p.name] for p in law.parameters}


@partial(jax.jit, static_argnames=("objective", "count"))
def random_starts(
    objective: Objective, scales: Scales, key: Array, first: Array, *, count: int
) -> tuple[Array, Array]:
    """Starts ``first`` to ``first + count`` of every fit: z [count * m, P] and keys.

    Start i depends on the seed and i alone, whatever the batch and whichever other targets are
    fitted; targets share their draws and differ by their scales.
    """
    keys = jax.vmap(partial(jax.random.fold_in, key))(first + jnp.arange(count))
    draw = jax.vmap(lambda k, s: objective.law.sample_start(k, s, objective.k), (None, 0))
    z = jax.vmap(draw, (0, None))(keys, scales)
    fits = scales.loss_min.shape[0]
    return z.reshape(count * fits, -1), jnp.repeat(keys, fits)


@compile_quickly(static_argnames="objective")
def diagnose(objective: Objective, z: Array, rows: Rows, fit: Array) -> dict[str, Array]:
    """Value, gradient [P], Gauss-Newton matrix [P, P] and predicted losses [p] at z [P]."""
    own = rows.of_fit(fit)
    value, grad = jax.value_and_grad(objective.value)(z, own)
    _, jacobian = objective.linearize(z, own)
    gram = (jacobian * own.row_weights) @ jacobian.T
    predicted = objective.predict(z, own)
    return {"value": value, "grad": grad, "gram": gram, "predicted": predicted}


def make_problem(
    runs: RunTable, law: Law, targets: tuple[str, ...], objective: Objective, weighting: str
) -> Problem:
    """Checks the table against the law and lays it out.

    Raises:
        FitError: the law needs columns that are missing, or more rows than there are.
    """
    x, own = _inputs(runs, law, targets)
    losses = runs.losses(targets)
    used = np.isfinite(losses)
    notes = [[] for _ in targets]
    _check_counts(runs, law, targets, used, objective.k)
    scales = _scales(runs, losses, used)
    units = law.units(Scales(*(size[0] for size in scales)))
    scaled = {n: jnp.asarray(v) for n, v in law.in_units(x, units).items()}
    rows = Rows(
        x={name: values for name, values in scaled.items() if name not in own},
        own={name: scaled[name].T[own[name]] for name in own},
        losses=jnp.asarray(np.where(used, losses, 1.0)),
        row_weights=jnp.asarray(row_weights(runs, targets, used, weighting)),
    )
    divergent = used & ~_finite(objective, rows, scales)
    if divergent.any():
        used = used & ~divergent
        _check_counts(runs, law, targets, used, objective.k)
        weighed = row_weights(runs, targets, used, weighting)
        rows = rows._replace(row_weights=jnp.asarray(weighed))
    known = {own.tobytes(): own for own in used}
    evidence = {key: fit_notes(runs, law, own) for key, own in known.items()}
    for name, note, own, lost in zip(targets, notes, used, divergent.sum(1), strict=True):
        note.extend(evidence[own.tobytes()])
        note.extend(filter(None, [left_out(runs.frame, name, runs.source)]))
        if lost:
            note.append(f"{count(lost, 'row')} left out where the {law.name} law is infinite")
        note.extend(_unlimited(runs, law))
    return Problem(runs, targets, objective, rows, scales, used, tuple(map(tuple, notes)))


def _inputs(
    runs: RunTable, law: Law, targets: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The inputs of all rows by name, and [m] each target's own domain for inputs of that kind.

    Raises:
        FitError: no mixtures, targets that are no domains, or no row that repeats any data.
    """
    if law.reads("weights") and not runs.domains:
        raise FitError(f"{runs.source}: the {law.name} law needs columns w_<domain>; there is none")
    missing = [t for t in targets if t not in runs.domains] if law.reads_own else []
    if missing:
        raise FitError(
            f"{runs.source}: the {law.name} law needs targets that are training domains; "
            f"'{missing[0]}' has no column w_{missing[0]}"
        )
    x = read_inputs(runs, law, runs.domains)
    if law.reads("unique") and not (x["weights"] * x["tokens"][:, None] > x["unique"]).any():
        absent = not any(f"unique_{d}" in runs.frame.columns for d in runs.domains)
        why = "there is no column unique_<domain>" if absent else "no row repeats any domain"
        raise FitError(
            f"{runs.source}: the {law.name} law needs rows that repeat data, but {why}; fit "
            f"'{base_name(law.name)}' and give --available with --r-star"
        )
    columns = [runs.domains.index(t) for t in targets] if law.reads_own else []
    return x, {i.name: np.array(columns) for i in law.inputs if i.per == "own"}


def _unlimited(runs: RunTable, law: Law) -> list[str]:
    """A note on domains whose unique tokens are not given, for a law that knows repetition."""
    absent = [d for d in runs.domains if f"unique_{d}" not in runs.frame.columns]
    if not law.reads("unique") or not absent:
        return []
    return [f"no column of unique tokens, so taken as never repeated: {', '.join(absent)}"]


def _finite(objective: Objective, rows: Rows, scales: Scales) -> np.ndarray:
    """[m, p] False where the law itself is infinite, as Ge's is at zero weight."""
    first, seen = np.asarray(0), []
    starts, _ = random_starts(objective, scales, jax.random.key(0), first, count=1)
    for fit, z in enumerate(np.asarray(starts)):
        predicted = diagnose(objective, z, rows, np.asarray(fit))["predicted"]
        seen.append(np.isfinite(np.asarray(predicted)))
        if not rows.own:  # one mixture per row, whatever the target
            return np.tile(seen[0], (rows.losses.shape[0], 1))
    return np.stack(seen)


def _check_counts(
    runs: RunTable, law: Law, targets: Sequence[str], used: np.ndarray, k: int
) -> None:
    needed = law.count(k)
    for name, rows in zip(targets, used.sum(1), strict=True):
        if rows < needed:
            lost = left_out(runs.frame, name, runs.source)
            raise FitError(
                f"{runs.source}: target '{name}' has {count(rows, 'row')} and the {law.name} law "
                f"{count(needed, 'parameter')} for {count(len(runs.domains), 'domain')}; add runs "
                f"or choose a law with fewer{f' ({lost})' if lost else ''}"
            )


def _scales(runs: RunTable, losses: np.ndarray, used: np.ndarray) -> Scales:
    ones = np.ones(len(losses))
    n, d = (np.exp(np.mean(np.log(x))) * ones for x in (runs.n_params, runs.tokens))
    low = np.min(np.where(used, losses, np.inf), 1)
    high = np.max(np.where(used, losses, -np.inf), 1)
    return Scales(*(jnp.asarray(x) for x in (n, d, low, high)))


def row_weights(
    runs: RunTable, targets: tuple[str, ...], used: np.ndarray, weighting: str
) -> np.ndarray:
    """[m, p] weights that sum to 1 over the rows of each target.

    ``"sem"`` weighs by 1 / sem squared; a row without one counts as the target's median.
    """
    weights = used.astype(float)
    if weighting == "sem":
        sems = runs.sems(targets)
        if sems is None:
            raise FitError(f"{runs.source}: weighting by sem needs columns sem_<target>; none")
        known = np.where(sems > 0, sems, np.nan)
        typical = np.array([_median(row[np.isfinite(row)]) for row in known])[:, None]
        weights = weights * np.where(np.isfinite(known), (typical / known) ** 2, 1.0)
    return weights / weights.sum(1, keepdims=True)


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else 1.0
