"""The optimal mixture at one budget or many, with what it was asked for and what proves it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown, axes_or_new, ink, legend_above, plain
from jaxmix.fitting.fitted import DataRange, FittedLaws
from jaxmix.fitting.hull import hull_distance
from jaxmix.mixtures.constraints import Constraints
from jaxmix.mixtures.measured import MeasuredMixtures, measured_mixtures
from jaxmix.mixtures.repetition import ASSUMED
from jaxmix.mixtures.solve.certificate import Price, box_prices
from jaxmix.mixtures.solve.problem import counted_laws
from jaxmix.notes import GUESS, UNSAFE, WRONG, Note
from jaxmix.quantities import amount, count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from jaxmix.fitting.uncertainty.ensemble import Ensemble
    from jaxmix.mixtures.sensitivity import Sensitivity
    from jaxmix.mixtures.uncertainty import Uncertainty

WorstCase = Literal["loss", "gap"]
_NEAR_HULL = 0.01  # distance from the mixtures that were run within which a law is not extrapolated
_NEAR_SIZE = 0.01  # relative distance from the sizes that were run within which one is not outside
_SYMBOLS = {"n_params": "N", "tokens": "D"}
_FAR = 10.0  # times the sizes that were run beyond which an extrapolation is not to be trusted
_CLOSED = 1e-9  # share of the objective below which a gap is closed
_BY_TARGET = ("target_weights", "predicted")
_EXPLAINED = 1e-6  # nats per unit of weight that prices may leave unexplained


class _Named:
    """Names of the axes of arrays."""

    laws: FittedLaws

    @property
    def domains(self) -> tuple[str, ...]:
        """Bare names, the order of ``h``."""
        return self.laws.domains

    @property
    def targets(self) -> tuple[str, ...]:
        """Bare names of the targets."""
        return self.laws.targets


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Optimum(Shown, _Named):
    """The optimal mixture at one budget, with the question that it answers.

    Attributes:
        laws: what was minimized.
        n_params: N.
        tokens: D.
        inputs: the laws' inputs by name but the weights.
        constraints: what the mixture had to meet, by bare name.
        target_weights: w of eq. (13) by target, with sum 1.
        worst_case: ``"loss"`` or ``"gap"`` if the worst target of weight above 0 was minimized.
        pull: weight of KL(h‖prior) in the objective.
        h: [k] optimal weights in the order of ``domains``; at a bound that holds, exactly.
        predicted: predicted loss by target, nats.
        objective: what was minimized, nats: ``sum_i w_i L^i``, or the worst loss or gap, and the
            pull.
        gap: duality gap, nats: if ``proven``, no mixture that meets the constraints has an
            objective lower by more than this.
        active: the constraints that bind, such as ``"books>=0.05"``.
        prices: by entry of ``active``, what loosening it gains, nats per unit of its bound.
        worth: by entry of ``active``, its price in words, such as "one more epoch of books is worth
            0.003 nats"; those of ``h >= 0`` have none.
        residual: largest part of a weight's cost that the prices leave unexplained, nats.
        converged: gap and residual are closed.
        proven: the objective is convex in h, so that ``gap`` proves the optimum.
        reason: why it is or may not be.
        starts: starting points that were run.
        agreeing: how many ended within 1e-6 (relative) of the best objective.
        hull_distance: Euclidean distance of h to the convex hull of the mixtures that the laws
            were fitted on; 0 inside; None if these are unknown.
        notes: what a reader should know before training with h, one sentence each.
    """

    laws: FittedLaws
    n_params: float
    tokens: float
    inputs: dict[str, np.ndarray]
    constraints: Constraints
    target_weights: dict[str, float]
    worst_case: WorstCase | None = None
    pull: float = 0.0
    h: np.ndarray
    predicted: dict[str, float]
    objective: float
    gap: float
    active: tuple[str, ...]
    prices: dict[str, float]
    worth: dict[str, str]
    residual: float
    converged: bool
    proven: bool
    reason: str
    starts: int
    agreeing: int
    hull_distance: float | None
    notes: tuple[str, ...]

    @property
    def weights(self) -> dict[str, float]:
        """The optimal weights by domain."""
        return dict(zip(self.domains, self.h.tolist(), strict=True))

    @property
    def w(self) -> np.ndarray:
        """The target weights as [m], in the order of ``laws``."""
        return np.array([self.target_weights[name] for name in self.targets])

    @cached_property
    def counted(self) -> "Optimum":
        """The same answer without the laws of targets that have neither weight nor guardrail."""
        laws = counted_laws(self.laws, self.w, self.constraints)
        if len(laws) == len(self.laws):
            return self
        of = {name: {t: getattr(self, name)[t] for t in laws.targets} for name in _BY_TARGET}
        return replace(self, laws=laws, **of)

    def predict(self, h: Any) -> dict[str, float]:
        """Predicted loss by target of another mixture [k] at this budget, nats."""
        x = {**self.inputs, "weights": np.asarray(h, float)}
        return {f.target: float(f.predict(x)) for f in self.laws}

    def uncertainty(
        self,
        ensemble: "Ensemble",
        baselines: Mapping[str, Mapping[str, float]] | None = None,
        level: float = 0.9,
    ) -> "Uncertainty":
        """Its confidence set and its gains over baselines; see ``jaxmix.mixtures.uncertainty``."""
        from jaxmix.mixtures.uncertainty import uncertainty

        return uncertainty(self, ensemble, baselines=baselines, level=level)

    def sensitivity(self) -> "Sensitivity":
        """How it responds to all that it depends on; see ``jaxmix.mixtures.sensitivity``."""
        from jaxmix.mixtures.sensitivity import sensitivity

        return sensitivity(self)

    def to_dict(self) -> dict[str, Any]:
        """The answer and the question as plain values: what ``jaxmix optimize --json`` prints."""
        skipped = ("laws", "inputs", "constraints", "h")
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skipped}
        inputs = {n: v.tolist() for n, v in self.inputs.items() if n not in found}
        found |= {"active": list(self.active), "notes": list(self.notes), "inputs": inputs}
        found |= dict.fromkeys(unread_sizes(self.laws))
        return {"weights": self.weights, **found, "constraints": self.constraints.to_dict()}

    def to_frame(self) -> pd.DataFrame:
        """One row per domain: its weight, and that of the reference (uniform if none is given)."""
        reference = self.constraints.mixture("reference", self.domains)
        columns = {"weight": self.h, self._baseline: reference}
        return pd.DataFrame(columns, index=pd.Index(self.domains, name="domain"))

    @property
    def _baseline(self) -> str:
        return "uniform" if self.constraints.reference is None else "reference"

    def _shown(self) -> Parts:
        tables = {"": self.to_frame(), "predicted losses, nats per token": self.predicted}
        if self.prices:
            held = {"price, nats per unit": self.prices, "that is": self.worth}
            tables["constraints that bind"] = pd.DataFrame(held).rename_axis("constraint")
        return Parts(self.headline, tables, self.notes)

    @property
    def headline(self) -> str:
        """The mixture, how low the laws predict the objective there, and what proves it."""
        order = [i for i in np.argsort(-self.h, kind="stable") if self.h[i] >= 5e-4]
        parts = [f"{_percent(float(self.h[i]))} {self.domains[i]}" for i in order]
        at = f"{', '.join(parts)} for {self.budget}" if parts else self.budget
        return f"{at}: {self._what} {self.objective:.4f} nats, {self.status}"

    @property
    def _what(self) -> str:
        """What was minimized."""
        worst = {"loss": "largest loss", "gap": "largest gap to the reference"}
        name = worst[self.worst_case] if self.worst_case else "weighted loss"
        return f"{name} with the pull" if self.pull else name

    @property
    def status(self) -> str:
        """What is known of the optimum, in words: a law's minimum proves nothing beyond its data.

        It is called optimal if the law is convex and the mixture lies among those that were run.
        """
        if not self.proven:
            return "best found, not proven"
        beaten = self.worst_case is None and self._beaten()
        inside = self.hull_distance is not None and self.hull_distance <= _NEAR_HULL
        return "proven optimal" if inside and not beaten else "proven minimum of the law"

    def _beaten(self) -> bool:
        found = measured_mixtures(self.laws, self.inputs, self.w, only_here=True)
        return found is not None and bool(found.below(self.objective).any())

    @property
    def budget(self) -> str:
        """N and D in words; those of the runs if the law does not read them."""
        return budget_words(self.counted.laws, self.n_params, self.tokens)

    @property
    def short(self) -> str:
        """The largest weights in one line."""
        order = np.argsort(-self.h, kind="stable")[:6]
        shown = ", ".join(f"{self.domains[i]} {self.h[i]:.3f}" for i in order)
        return shown + (", ..." if len(self.h) > 6 else "")

    def __repr__(self) -> str:
        return f"Optimum({self.short}; objective {self.objective:.6g}, {self.status})"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Bars of the weights, with a tick at each weight of the reference (or uniform) mixture."""
        ax = axes_or_new(ax)
        frame = self.to_frame()
        place = np.arange(len(frame))[::-1]
        ax.barh(place, frame["weight"], label="optimum")
        ax.plot(frame[self._baseline], place, "|", c=ink(), markersize=12, label=self._baseline)
        ax.set_yticks(place, map(plain, frame.index))
        ax.set(xlabel=f"weight for {self.budget}")
        legend_above(ax)
        return ax


def _percent(weight: float) -> str:
    return f"{100 * weight:.0f}%" if weight >= 0.1 else f"{100 * weight:.1f}%"


def make_optimum(
    *,
    laws: FittedLaws,
    inputs: Mapping[str, np.ndarray],
    w: np.ndarray,
    h: np.ndarray,
    predicted: np.ndarray,
    prices: Sequence[Price],
    notes: Sequence[str] = (),
    **others: Any,
) -> Optimum:
    """An optimum from arrays, with the notes that follow from where it lies.

    Args:
        laws: m fits.
        inputs: at one budget but the weights.
        w: [m] target weights.
        h: [k] weights.
        predicted: [m] losses.
        prices: the constraints that bind.
        notes: notes that come first.
        **others: the other fields of ``Optimum``.
    """
    closed = others["gap"] <= _CLOSED * (1 + abs(others["objective"]))
    others.setdefault("converged", closed and others["residual"] <= _EXPLAINED)
    merged: dict[str, float] = {}
    for price in prices:
        merged[price.label] = merged.get(price.label, 0.0) + price.price
    counted = counted_laws(laws, w, others["constraints"])
    distance = _farthest([fit.data for fit in counted], h)
    assumed = dict.fromkeys(n for f in laws for n in f.report.notes if n.startswith(ASSUMED))
    beaten = () if others.get("worst_case") else _measured_notes(laws, inputs, w, others)
    return Optimum(
        laws=laws,
        n_params=float(inputs["n_params"]),
        tokens=float(inputs["tokens"]),
        inputs=dict(inputs),
        target_weights=dict(zip(laws.targets, w.tolist(), strict=True)),
        h=h,
        predicted=dict(zip(laws.targets, predicted.tolist(), strict=True)),
        active=tuple(merged),
        prices=merged,
        worth={price.label: price.worth for price in prices},
        hull_distance=distance,
        notes=(
            *assumed,
            *notes,
            *beaten,
            *counted.mixture_notes,
            *mixture_notes(counted, h),
            *_range_notes(counted, inputs, h, distance),
            *_proof_notes(others),
        ),
        **others,
    )


def _farthest(ranges: Sequence[DataRange], h: np.ndarray) -> float | None:
    """Largest distance of a mixture to the hull of any target's runs; None if unknown."""
    seen: list[np.ndarray] = []
    for data in ranges:
        if len(data.mixtures) and not any(np.array_equal(data.mixtures, s) for s in seen):
            seen.append(data.mixtures)
    return max((hull_distance(s, h) for s in seen), default=None)


def _measured_notes(
    laws: FittedLaws, inputs: Mapping[str, np.ndarray], w: np.ndarray, of: Mapping[str, Any]
) -> list[str]:
    """A note on runs at the budget that measured less than the proposal is predicted to reach."""
    found = measured_mixtures(laws, inputs, w, only_here=True)
    return [] if found is None else measured_notes(found, of["objective"])


def measured_notes(found: MeasuredMixtures, objective: float) -> list[str]:
    """A note on mixtures that measured less than a proposal is predicted to reach."""
    less = int(found.below(objective).sum())
    if not less:
        return []
    best, mixtures = found.best, count(less, "mixture")
    return [
        Note(
            f"{mixtures} measured less at this N and D than the {objective:.4f} that this one is "
            f"predicted to reach; best measured: run {found.run[best]}, "
            f"{found.objective[best]:.4f}",
            UNSAFE,
        )
    ]


def mixture_notes(laws: FittedLaws, h: np.ndarray) -> list[str]:
    """A note on weights outside the range that was run."""
    beyond = laws.support.beyond(h) if laws.support else {}
    weights = dict(zip(laws.domains, h.tolist(), strict=True))
    said = [f"{d} {weights[d]:.3g} (run: {a:.3g} to {b:.3g})" for d, (a, b) in beyond.items()]
    many = f", and {len(said) - 4} more" if len(said) > 4 else ""
    outside = f"outside the weights that were run: {', '.join(said[:4])}{many}"
    return [Note(outside, UNSAFE)] if said else []


def _range_notes(
    laws: FittedLaws, inputs: Mapping[str, np.ndarray], h: np.ndarray, distance: float | None
) -> list[str]:
    notes = budget_notes(laws, inputs)
    if distance is not None and distance > 1e-6 and not (laws.support and laws.support.beyond(h)):
        said = "every weight was run, but no blend of the mixtures that were run has them together"
        far = f"{said} ({distance:.3g} outside the convex hull): the loss is extrapolated"
        notes.append(Note(far, GUESS))
    if "unique" in inputs and not np.isfinite(inputs["unique"]).any():
        notes.append("the law was given no available tokens, so here nothing ever repeats")
    return notes


def budget_notes(laws: FittedLaws, inputs: Mapping[str, np.ndarray]) -> list[str]:
    """Notes on a budget outside the ranges that the laws were fitted on, or that they ignore."""
    unread = unread_sizes(laws)
    ranges = {
        symbol: (inputs[name], [getattr(fit.data, name) for fit in laws])
        for name, symbol in _SYMBOLS.items()
        if name not in unread
    }
    for name in laws[0].data.others:
        seen = [fit.data.others[name] for fit in laws if name in fit.data.others]
        ranges[name] = (inputs[name], seen)
    beyond = [n for name, (at, seen) in ranges.items() for n in _beyond(name, float(at), seen)]
    return [*_ignored(laws, inputs, unread), *beyond]


def unread_sizes(laws: FittedLaws) -> list[str]:
    """Which of ``n_params`` and ``tokens`` a law does not read, so that it knows no such budget."""
    return [name for name in _SYMBOLS if not laws.law.reads(name)]


def budget_words(laws: FittedLaws, n_params: float, tokens: float) -> str:
    """A budget, or in its place the sizes that were run if the law does not read them."""
    unread, asked = unread_sizes(laws), {"n_params": n_params, "tokens": tokens}
    said = (
        _as_run(laws, n) if n in unread else f"{s} = {asked[n]:.4g}" for n, s in _SYMBOLS.items()
    )
    return ", ".join(said)


def _as_run(laws: FittedLaws, name: str) -> str:
    ends = [getattr(fit.data, name) for fit in laws]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    return f"{_SYMBOLS[name]} as run ({' to '.join(dict.fromkeys((f'{low:.4g}', f'{high:.4g}')))})"


def _ignored(laws: FittedLaws, inputs: Mapping[str, np.ndarray], unread: list[str]) -> list[str]:
    """A note on what of another budget the law does not read."""
    seen = {n: [end for fit in laws for end in getattr(fit.data, n)] for n in unread}
    other = [n for n in unread if _outside(float(inputs[n]), min(seen[n]), max(seen[n]))]
    if not other:
        return []
    asked = " and ".join(f"{_SYMBOLS[n]} = {float(inputs[n]):.4g}" for n in other)
    run = " and ".join(_as_run(laws, n) for n in other)
    names = " and ".join(_SYMBOLS[n] for n in other)
    name = laws.law.name
    said = f"the law '{name}' does not read {names}: it answers for {run}, not for {asked}"
    return [Note(said, UNSAFE)]


def _outside(value: float, low: float, high: float) -> bool:
    """Whether a size lies beyond others by more than 1%."""
    return not low * (1 - _NEAR_SIZE) <= value <= high * (1 + _NEAR_SIZE)


def _proof_notes(of: Mapping[str, Any]) -> list[str]:
    notes = []
    if not of["proven"]:
        notes.append(
            f"not proven to be the optimum: {of['reason']}; {of['agreeing']} of "
            f"{count(of['starts'], 'start')} ended at this objective and none lower"
        )
    if not of["converged"]:
        notes.append(Note(f"not converged: the duality gap is {of['gap']:.3g} nats", WRONG))
    return notes


def _beyond(name: str, value: float, ranges: Sequence[tuple[float, float]]) -> list[str]:
    """Notes on a budget outside every range it was fitted on (the narrowest one counts)."""
    low = max((r[0] for r in ranges), default=0.0)
    high = min((r[1] for r in ranges), default=np.inf)
    if np.isinf(value):
        return [Note(f"{name} is infinite: the limit of the law, beyond every run", UNSAFE)]
    if not _outside(value, low, high):
        return []
    if value > high:
        times = f"{value / high:.3g} times the largest that was run ({amount(high)})"
    else:
        times = f"{low / value:.3g} times below the smallest that was run ({amount(low)})"
    far = value > _FAR * high or value < low / _FAR
    said = f"{name} = {value:.4g} is {times}: losses there are extrapolated"
    return [Note(said, UNSAFE if far else GUESS)]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Optima(Shown, _Named, Sequence[Optimum]):
    """Optimal mixtures at B budgets; ``optima[b]`` is one ``Optimum``.

    The attributes are those of an optimum, as arrays with a leading axis B: ``target_weights`` and
    ``predicted`` are [B, m], ``h`` and ``multipliers`` [B, k]. These are the prices of the bounds,
    nats per unit of weight: positive if a minimum holds the weight, negative if a maximum does.
    ``proofs`` says of each budget whether its optimum is proven, and why it is or may not be.
    """

    laws: FittedLaws
    inputs: dict[str, np.ndarray]
    constraints: Constraints
    target_weights: np.ndarray
    h: np.ndarray
    predicted: np.ndarray
    objective: np.ndarray
    gap: np.ndarray
    multipliers: np.ndarray
    converged: np.ndarray
    agreeing: np.ndarray
    starts: np.ndarray
    proofs: tuple[tuple[bool, str], ...]

    @property
    def proven(self) -> bool:
        """Whether every budget's optimum is proven."""
        return all(proven for proven, _ in self.proofs)

    @property
    def reason(self) -> str:
        """Why they are, or why the first of the others may not be optimal."""
        return next((reason for proven, reason in self.proofs if not proven), self.proofs[0][1])

    @property
    def n_params(self) -> np.ndarray:
        """[B] N."""
        return self.inputs["n_params"]

    @property
    def tokens(self) -> np.ndarray:
        """[B] D."""
        return self.inputs["tokens"]

    def __len__(self) -> int:
        return len(self.objective)

    def __repr__(self) -> str:
        return f"Optima({count(len(self), 'budget')}, {count(len(self.domains), 'domain')})"

    def __getitem__(self, b: Any) -> Any:
        if isinstance(b, slice):
            return [self[i] for i in range(*b.indices(len(self)))]
        reads = self.laws.law.reads("unique")
        shape = self.constraints.polytope(self.domains, float(self.tokens[b]), reads_unique=reads)
        return make_optimum(
            laws=self.laws,
            inputs={name: value[b] for name, value in self.inputs.items()},
            constraints=self.constraints,
            w=self.target_weights[b],
            h=self.h[b],
            predicted=self.predicted[b],
            objective=float(self.objective[b]),
            gap=float(self.gap[b]),
            prices=box_prices(shape, self.multipliers[b]),
            residual=0.0,
            converged=bool(self.converged[b]),
            proven=self.proofs[b][0],
            reason=self.proofs[b][1],
            starts=int(self.starts[b]),
            agreeing=int(self.agreeing[b]),
        )

    def _shown(self) -> Parts:
        many, k = count(len(self), "budget"), count(len(self.domains), "domain")
        proven = "all proven" if self.proven else f"not all proven: {self.reason}"
        return Parts(f"optimal mixtures of {k} at {many}, {proven}", {"": self.to_frame()})

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The optimal weights over N, or over D if N is the same at all budgets."""
        from jaxmix.mixtures.pictures import draw_weights

        ax = axes_or_new(ax)
        by_size = np.ptp(self.n_params) > 0
        x, name = (self.n_params, "parameters N") if by_size else (self.tokens, "tokens D")
        draw_weights(ax, x, self.h, self.domains)
        ax.set(xlabel=name, ylabel="optimal weight", xscale="log")
        ax.legend(frameon=False)
        return ax

    def to_frame(self) -> pd.DataFrame:
        """One row per budget, in the columns of a run table, with objective and gap."""
        columns = {"n_params": self.n_params, "tokens": self.tokens}
        columns |= {f"w_{d}": self.h[:, i] for i, d in enumerate(self.domains)}
        columns |= {f"loss_{t}": self.predicted[:, i] for i, t in enumerate(self.targets)}
        return pd.DataFrame({**columns, "objective": self.objective, "gap": self.gap})
