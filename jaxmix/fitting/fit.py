"""``fit``: a run table and a law in, fitted laws out."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.fitted import DataRange, FitReport, FittedLaw
from jaxmix.fitting.newton import free_parameters
from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.scores import score_arrays
from jaxmix.fitting.search import SEARCHES, Pool, Progress, polish, run_search
from jaxmix.laws import Law, Scales, get_law
from jaxmix.runs import RunTable

SOLVERS = tuple(SEARCHES)
DEFAULT_SOLVER = "pooled-hopping"


class FitError(ValueError):
    """A table that cannot be fitted: one line that says why and what to do."""


def fit(
    runs: RunTable,
    law: Law | str,
    *,
    targets: Sequence[str] | None = None,
    solver: str = DEFAULT_SOLVER,
    restarts: int = 256,
    seed: int = 0,
    delta: float = 1e-3,
    residual: Literal["loss", "log"] = "loss",
    weighting: Literal["equal", "sem"] = "equal",
    held_out: RunTable | None = None,
    precision: Literal["float64", "float32"] = "float64",
    progress: Progress | None = None,
) -> tuple[FittedLaw, ...]:
    """Fits one law to many targets in one compiled batch; eq. (6) of the paper.

    Args:
        runs: the rows to fit.
        law: a law or its name.
        targets: names of targets, None for all.
        solver: one of ``SOLVERS``.
        restarts: local solves per target.
        seed: of the starting points. The result depends on it, the rows and the settings alone.
        delta: Huber threshold, nats; relative with ``residual="log"``.
        residual: fit the loss or its logarithm.
        weighting: ``"equal"``, or ``"sem"`` for rows weighed by 1 / ``sem_<target>`` squared.
        held_out: rows to score the fits on; they take no part in fitting.
        precision: ``"float32"`` is for accelerators without float64: objectives then agree to
            about 1% and the last Newton steps bring little; the report says so.
        progress: called with the local solves done and their total.

    Returns:
        Fitted laws in the order of ``targets``.

    Raises:
        FitError: fewer rows than the law has parameters.
        RunTableError: an unknown target.
        ValueError: an unknown law or solver.
    """
    law = get_law(law) if isinstance(law, str) else law
    if solver not in SEARCHES:
        raise ValueError(f"unknown solver '{solver}': choose one of {', '.join(SOLVERS)}")
    names = runs.targets if targets is None else _names(runs, targets)
    with jax.enable_x64(precision == "float64"):
        problem = _Problem(runs, law, names, weighting, delta, residual)
        pool = run_search(
            SEARCHES[solver],
            problem.objective,
            problem.rows,
            problem.scales,
            restarts=restarts,
            seed=seed,
            progress=progress,
        )
        problem.check_found(pool)
        best = polish(problem.objective, problem.rows, pool)
        note = ("fitted in float32: objectives agree with float64 to about 1%",)
        notes = note if precision == "float32" else ()
        fits = [
            problem.finish(i, best, pool, restarts, solver, notes) for i in range(len(names))
        ]
    return tuple(f if held_out is None else _with_held_out(f, held_out) for f in fits)


def _names(runs: RunTable, targets: Sequence[str]) -> tuple[str, ...]:
    names = runs.target_names(targets)
    if len(set(names)) < len(names):
        raise FitError(f"{runs.source}: a target is named twice in {', '.join(targets)}")
    return names


class _Problem:
    """One law and table as arrays, in the precision of the scope it is made in."""

    def __init__(
        self,
        runs: RunTable,
        law: Law,
        names: tuple[str, ...],
        weighting: str,
        delta: float,
        residual: str,
    ):
        self.runs, self.law, self.names = runs, law, names
        self.domains = runs.domains
        self.k = 1 if law.own_weight else len(self.domains)
        if "weights" in law.uses and not self.domains:
            raise FitError(f"{runs.source}: the {law.name} law needs columns w_<domain>; none")
        self.objective = Objective(law, self.k, delta, residual)
        self.losses = runs.losses(names)  # [m, p]
        self.used = np.isfinite(self.losses)
        self.weights = self._weights()  # [1 or m, p, k]
        self.notes: list[list[str]] = [[] for _ in names]
        self._drop_divergent()
        self._check_counts()
        self._note_unidentified()
        self.scales = self._scales()
        n_unit, d_unit = law.units(Scales(*(np.asarray(x)[0] for x in self.scales)))
        weights = _row_weights(runs, names, self.used, weighting)
        self.rows = Rows(
            n_params=jnp.asarray(runs.n_params / n_unit),
            tokens=jnp.asarray(runs.tokens / d_unit),
            weights=jnp.asarray(self.weights),
            losses=jnp.asarray(np.where(self.used, self.losses, 1.0)),
            row_weights=jnp.asarray(weights),
        )

    def _weights(self) -> np.ndarray:
        if not self.law.own_weight:
            return self.runs.weights[None]
        missing = [n for n in self.names if n not in self.domains]
        if missing:
            raise FitError(
                f"{self.runs.source}: the {self.law.name} law needs targets that are training "
                f"domains; '{missing[0]}' has no column w_{missing[0]}"
            )
        columns = [self.domains.index(n) for n in self.names]
        return self.runs.weights.T[columns][:, :, None]

    def _drop_divergent(self) -> None:
        """Leave out rows where the law itself is infinite, as Ge's is at zero weight."""
        middle = self.law.sample_start(
            jax.random.key(0), Scales(1.0, 1.0, 2.0, 4.0), self.k
        )
        params = self.law.from_working(middle, self.k)
        ones = jnp.ones(len(self.runs))
        loss = jax.vmap(lambda h: self.law.loss(params, ones, ones, h))(jnp.asarray(self.weights))
        divergent = self.used & ~np.isfinite(np.asarray(loss))
        self.used &= ~divergent
        for notes, count in zip(self.notes, divergent.sum(1), strict=True):
            if count:
                notes.append(f"{count} rows left out where the {self.law.name} law is infinite")

    def _check_counts(self) -> None:
        needed = self.law.count(self.k)
        for name, count in zip(self.names, self.used.sum(1), strict=True):
            if count < needed:
                raise FitError(
                    f"{self.runs.source}: target '{name}' has {count} rows and the "
                    f"{self.law.name} law {needed} parameters for {len(self.domains)} domains; "
                    "add runs or choose a law with fewer parameters"
                )

    def _note_unidentified(self) -> None:
        columns = {"n_params": self.runs.n_params, "tokens": self.runs.tokens}
        for name, column in columns.items():
            if name in self.law.uses and np.ptp(column) == 0:
                for notes in self.notes:
                    notes.append(f"all rows have one value of {name}: its term is not identified")
        if "weights" in self.law.uses and not self.law.own_weight:
            idle = [d for d, w in zip(self.domains, self.runs.weights.T, strict=True) if not w.any()]
            for notes in self.notes if idle else ():
                notes.append(f"domains never trained on are not identified: {', '.join(idle)}")

    def _scales(self) -> Scales:
        count = len(self.names)
        n, d = (np.exp(np.mean(np.log(x))) for x in (self.runs.n_params, self.runs.tokens))
        low = np.min(np.where(self.used, self.losses, np.inf), 1)
        high = np.max(np.where(self.used, self.losses, -np.inf), 1)
        return Scales(*(jnp.asarray(x) for x in (np.full(count, n), np.full(count, d), low, high)))

    def check_found(self, pool: Pool) -> None:
        """Refuse a target for which no start led anywhere."""
        for name, value in zip(self.names, pool.value.min(0), strict=True):
            if not np.isfinite(value):
                raise FitError(
                    f"{self.runs.source}: no start of the {self.law.name} law gave a finite "
                    f"objective for target '{name}'; look at its losses or raise --restarts"
                )

    def finish(
        self, i: int, best: Pool, pool: Pool, restarts: int, solver: str, notes: tuple[str, ...]
    ) -> FittedLaw:
        """The fitted law of target i from the polished candidates."""
        z = jnp.asarray(best.z[np.argmin(best.value[:, i]), i])
        value, at_bound, norm, condition = self._diagnose(z, self.rows.of_fit(jnp.asarray(i)))
        n_unit, d_unit = self.law.units(Scales(*(x[0] for x in self.scales)))
        params = self.law.from_working(z, self.k)
        if self.law.rescale:
            params = self.law.rescale(params, 1.0 / n_unit, 1.0 / d_unit)
        natural = {p.name: np.asarray(params[p.name], np.float64) for p in self.law.parameters}
        found = pool.value[:, i]
        report = FitReport(
            objective=value,
            gradient_norm=norm,
            rows=int(self.used[i].sum()),
            restarts=len(found),
            agreeing=int(np.sum(found <= 1.01 * value)),
            at_bound=at_bound,
            condition=condition,
            delta=self.objective.delta,
            residual=self.objective.residual,
            solver=solver,
            notes=(*self.notes[i], *notes),
        )
        fitted = FittedLaw(self.law, self.names[i], self.domains, natural, self._range(i), report)
        train = score_arrays(self._predicted(fitted, self.runs, self.runs.weights), self._seen(i))
        return fitted.with_report(train_mre=train.mre)

    def _seen(self, i: int) -> np.ndarray:
        return np.where(self.used[i], self.losses[i], np.nan)

    @staticmethod
    def _predicted(fitted: FittedLaw, runs: RunTable, weights: np.ndarray) -> np.ndarray:
        return fitted.predict(runs.n_params, runs.tokens, weights)

    def _range(self, i: int) -> DataRange:
        used = self.used[i]
        n, d = self.runs.n_params[used], self.runs.tokens[used]
        mixtures = np.unique(self.runs.weights[used], axis=0)
        return DataRange((n.min(), n.max()), (d.min(), d.max()), mixtures)

    def _diagnose(self, z: jax.Array, rows: Rows) -> tuple[float, tuple[str, ...], float, float]:
        """Objective, parameters at an edge, gradient norm and conditioning at z."""
        value, grad = jax.value_and_grad(self.objective.value)(z, rows)
        low, high = self.law.bounds(self.k)
        edge = (np.asarray(z) <= low + 1e-6) | (np.asarray(z) >= high - 1e-6)
        free = np.asarray(free_parameters(self.objective, z, grad)) & ~edge
        domains = ("own",) if self.law.own_weight else self.domains
        labels = self.law.names(domains)
        at_bound = tuple(n for n, at in zip(labels, edge, strict=True) if at)
        norm = float(np.max(np.abs(np.asarray(grad)[free]), initial=0.0))
        return float(value), at_bound, norm, _condition(self.objective, z, rows, free)


def _condition(objective: Objective, z: jax.Array, rows: Rows, free: np.ndarray) -> float:
    _, jacobian = objective.linearize(z, rows)
    scaled = np.asarray(jacobian)[free] * np.sqrt(np.asarray(rows.row_weights))
    gram = scaled @ scaled.T
    size = np.sqrt(np.diag(gram))
    if not size.size or not np.all(size > 0):
        return float("inf")
    values = np.linalg.eigvalsh(gram / np.outer(size, size))
    return float(values[-1] / values[0]) if values[0] > 0 else float("inf")


def _row_weights(
    runs: RunTable, names: tuple[str, ...], used: np.ndarray, weighting: str
) -> np.ndarray:
    """[m, p] weights that sum to 1 over the rows of each target."""
    weights = used.astype(float)
    if weighting == "sem":
        sems = runs.sems(names)
        if sems is None:
            raise FitError(f"{runs.source}: weighting by sem needs columns sem_<target>; none")
        typical = np.nanmedian(np.where(sems > 0, sems, np.nan), axis=1, keepdims=True)
        known = np.where(sems > 0, sems, typical)
        weights = weights * np.where(np.isfinite(known), (typical / known) ** 2, 1.0)
    return weights / weights.sum(1, keepdims=True)


def _with_held_out(fitted: FittedLaw, runs: RunTable) -> FittedLaw:
    from jaxmix.fitting.scores import score

    held = score([fitted], runs)[fitted.target]
    return fitted.with_report(held_out_mre=held.mre, held_out_rows=held.rows)
