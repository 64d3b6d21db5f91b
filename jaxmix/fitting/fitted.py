"""Fitted laws: a law, its parameters in natural units, and what is known about the fit."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import jax
import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown, axes_or_new, plain
from jaxmix.errors import JaxmixError, hint
from jaxmix.fitting.evidence import unread_notes
from jaxmix.fitting.precision import float64
from jaxmix.fitting.stacked import StackedLaws as StackedLaws
from jaxmix.fitting.stacked import predict_losses
from jaxmix.fitting.stacked import stack as stack
from jaxmix.fitting.support import Support, mixture_support
from jaxmix.laws import Inputs, Law
from jaxmix.quantities import count
from jaxmix.runs import PointTable, RunTable, bare

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from jaxmix.fitting.diagnosis import Finding
    from jaxmix.fitting.uncertainty.ensemble import Ensemble
    from jaxmix.mixtures import Constraints, Optimum

Array = jax.Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Measured:
    """The last row of each of r runs, for one target: what a prediction is compared with.

    Attributes:
        run: [r] ids.
        n_params: [r] N.
        tokens: [r] D.
        weights: [r, k] mixtures.
        losses: [r] nats.
    """

    run: tuple[str, ...]
    n_params: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True)
class DataRange:
    """What a law was fitted on: the edges beyond which it extrapolates.

    Attributes:
        n_params: smallest and largest N of the rows.
        tokens: smallest and largest D of the rows.
        mixtures: the distinct mixtures that were run, [u, k].
        others: smallest and largest value of the law's other inputs per row, by name.
        measured: the ends of the runs; None if they are not known.
    """

    n_params: tuple[float, float]
    tokens: tuple[float, float]
    mixtures: np.ndarray
    others: dict[str, tuple[float, float]] = field(default_factory=dict)
    measured: Measured | None = field(default=None, compare=False)


@dataclass(frozen=True)
class FitReport:
    """How one fit ended.

    Attributes:
        objective: eq. (6) at the parameters, in the units of ``residual``.
        gradient_norm: largest absolute entry of its gradient in working parameters.
        rows: rows used.
        restarts: starts that were run.
        agreeing: how many of them ended within 1% of the best objective; most are left somewhat
            above the bottoms of their basins.
        at_bound: labels of parameters that ended at the edge of their range.
        condition: ratio of the largest to the smallest eigenvalue of the Gauss-Newton matrix of
            the scaled working parameters; above about 1e12 some parameters are not identified.
        delta: Huber threshold.
        residual: ``"loss"`` or ``"log"``.
        solver: name of the solver.
        train_mre: mean relative error on the rows fitted, percent.
        held_out_mre: the same on rows that took no part, NaN if none were given.
        held_out_rows: how many those were.
        notes: everything else a reader should know, one sentence each.
        share: strengths of the parameters that are drawn to common means; empty for a fit of its
            own. See ``jaxmix.fitting.sharing``.
        center: natural parameters at those means.
    """

    objective: float
    gradient_norm: float
    rows: int
    restarts: int
    agreeing: int
    at_bound: tuple[str, ...] = ()
    condition: float = float("nan")
    delta: float = 1e-3
    residual: str = "loss"
    solver: str = ""
    train_mre: float = float("nan")
    held_out_mre: float = float("nan")
    held_out_rows: int = 0
    notes: tuple[str, ...] = ()
    share: Mapping[str, float] = field(default_factory=dict)
    center: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class FittedLaw(Shown):
    """One law fitted to one target.

    Attributes:
        law: the law.
        target: bare name of the target loss.
        domains: bare names of the training domains, the order of every weight vector.
        params: natural parameters; scalars as 0-d and per-domain ones as [k] float64 arrays.
        data: ranges of the rows it was fitted on.
        report: how the fit ended.
    """

    law: Law
    target: str
    domains: tuple[str, ...]
    params: dict[str, np.ndarray]
    data: DataRange
    report: FitReport

    def __repr__(self) -> str:
        report = self.report
        fit = f", mre={report.train_mre:.3g}%" if np.isfinite(report.train_mre) else ""
        return (
            f"FittedLaw({self.law.name!r}, target={self.target!r}, "
            f"{count(len(self.domains), 'domain')}, "
            f"{count(report.rows, 'row')}{fit})"
        )

    def _shown(self) -> Parts:
        laws = FittedLaws([self])
        return Parts(laws.headline, {"parameters": self.labelled}, laws.notes)

    def to_frame(self) -> pd.DataFrame:
        """Natural parameters, one row per label such as ``"C[books]"``."""
        return FittedLaws([self]).params.T.rename_axis("parameter")

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Predicted loss against training tokens; see ``FittedLaws.plot``."""
        return FittedLaws([self]).plot(ax)

    @property
    def own_domain(self) -> int | None:
        """Index of the domain that the target is, for laws that read its own weight."""
        return self.domains.index(self.target) if self.law.reads_own else None

    @cached_property
    def findings(self) -> "tuple[Finding, ...]":
        """What the fit means for its user, the gravest first."""
        from jaxmix.fitting.diagnosis import findings

        return findings(self)

    @property
    def labelled(self) -> dict[str, float]:
        """The parameters by label, such as ``"C[books]"``."""
        flat = np.concatenate([np.ravel(self.params[p.name]) for p in self.law.parameters])
        return dict(zip(self.law.names(self.domains), flat.tolist(), strict=True))

    def with_report(self, **changes: Any) -> "FittedLaw":
        """The same law with fields of its report replaced."""
        return replace(self, report=replace(self.report, **changes))

    def loss(self, x: Inputs) -> Array:
        """Predicted loss as a pure JAX function in the ambient precision.

        Args:
            x: inputs by name. Those per row have any shapes that broadcast (``inf`` is the limit
                for N and D), ``weights`` and others per domain [..., k] in the order of
                ``domains``. Inputs with a default may be left out; inputs that the law does not
                read only add to the shape of the result.
        """
        return stack([self]).losses(x)[0]

    def predict(self, x: Inputs | RunTable | PointTable | pd.DataFrame) -> np.ndarray:
        """Predicted loss in float64, whatever the global precision.

        Args:
            x: inputs by name as for ``loss``, or a table whose columns hold them.

        Raises:
            RunTableError: the table lacks a column or holds an impossible value.
        """
        return np.asarray(_predict([self], x)[0])


class FittedLaws(Shown, Sequence[FittedLaw]):
    """Fits of one law to several targets over the same domains; immutable.

    ``laws["github"]`` and ``laws[0]`` are one ``FittedLaw``, ``laws[["github", "arxiv"]]`` and
    slices are some of them, and iteration is in the order of ``targets``.

    Args:
        fits: one per target.

    Raises:
        JaxmixError: no fit, different laws or domains, or one target twice.
    """

    def __init__(self, fits: Iterable[FittedLaw]) -> None:
        self._fits = tuple(fits)
        if not self._fits:
            raise JaxmixError("fits of one law over the same domains are needed; there is none")
        first = self._fits[0]
        if any(f.law != first.law or f.domains != first.domains for f in self._fits):
            raise JaxmixError("these are not fits of one law over the same domains")
        names = self.targets
        twice = [n for n in names if names.count(n) > 1]
        if twice:
            raise JaxmixError(f"two fits have the same target '{twice[0]}'; keep one of each")

    @overload
    def __getitem__(self, which: int | str) -> FittedLaw: ...
    @overload
    def __getitem__(self, which: "slice | Sequence[str]") -> "FittedLaws": ...
    def __getitem__(self, which: Any) -> Any:
        """One fit by position or target, or several by slice or targets."""
        if isinstance(which, str):
            return self._fits[self._index(which)]
        if isinstance(which, slice):
            return FittedLaws(self._fits[which])
        if isinstance(which, Sequence):
            return FittedLaws(self[name] for name in which)
        return self._fits[which]

    def _index(self, target: str) -> int:
        for name in (target, bare(target, "loss_")):
            if name in self.targets:
                return self.targets.index(name)
        raise JaxmixError(f"no fitted law of target '{target}'; {hint(target, self.targets)}")

    def __len__(self) -> int:
        return len(self._fits)

    def __iter__(self) -> Iterator[FittedLaw]:
        return iter(self._fits)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __add__(self, other: Iterable[FittedLaw]) -> "FittedLaws":
        return FittedLaws((*self._fits, *other))

    @property
    def law(self) -> Law:
        """The law that was fitted."""
        return self._fits[0].law

    @property
    def domains(self) -> tuple[str, ...]:
        """Bare names of the k training domains, the order of every weight vector."""
        return self._fits[0].domains

    @property
    def targets(self) -> tuple[str, ...]:
        """Bare names of the m targets."""
        return tuple(f.target for f in self._fits)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what the law reads."""
        return tuple(i.name for i in self.law.inputs)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What to know before using the laws, one sentence each, the gravest first.

        Each says what it means, then the evidence, then the remedy; ``jaxmix.notes.rank_of`` gives
        its rank.
        """
        from jaxmix.fitting.diagnosis import describe

        return describe(self)

    @property
    def headline(self) -> str:
        """How well the laws fit, in one sentence."""
        from jaxmix.fitting.diagnosis import headline

        return headline(self)

    @property
    def mixture_notes(self) -> tuple[str, ...]:
        """What the mixtures that were run cannot tell, one sentence each."""
        return self.support.notes if self.support and self.law.reads_mixture else ()

    @cached_property
    def support(self) -> Support | None:
        """What the mixtures that were run can tell; None if they are not known."""
        mixtures = [f.data.mixtures for f in self._fits if len(f.data.mixtures)]
        if not mixtures or not self.domains:
            return None
        return mixture_support(np.concatenate(mixtures), self.domains)

    @cached_property
    def stacked(self) -> StackedLaws:
        """The parameters as float64 arrays with a leading axis m, for batched code."""
        with float64():
            return stack(self._fits)

    @property
    def params(self) -> pd.DataFrame:
        """Natural parameters: one row per target, one column per label such as ``"C[books]"``."""
        return pd.DataFrame([f.labelled for f in self._fits], index=self._by_target())

    def _by_target(self) -> pd.Index:
        return pd.Index(self.targets, name="target")

    def predict(self, x: Inputs | RunTable | PointTable | pd.DataFrame) -> pd.DataFrame:
        """Predicted losses, nats: one column per target; ``.attrs["notes"]`` are about a table.

        Args:
            x: a table whose columns hold the inputs, joined by name, or inputs by name as for
                ``FittedLaw.loss`` at a single axis of points.

        Raises:
            RunTableError: the table lacks a column or holds an impossible value.
        """
        frame = x.frame if isinstance(x, RunTable | PointTable) else x
        index = frame.index if isinstance(frame, pd.DataFrame) else None
        losses = np.atleast_2d(_predict(self._fits, x).reshape(len(self), -1))
        found = pd.DataFrame(dict(zip(self.targets, losses, strict=True)), index=index)
        found.attrs["notes"] = unread_notes(self, x)
        return found

    def score(self, runs: RunTable | pd.DataFrame) -> pd.DataFrame:
        """Mean relative error (percent), R2, rank correlation and rows, one row per target.

        ``.attrs["notes"]`` says what varies in the rows that the law does not read.
        """
        from jaxmix.fitting.scores import score
        from jaxmix.runs import read_runs

        runs = read_runs(runs)
        scores = [vars(s) for s in score(self, runs).values()]
        found = pd.DataFrame(scores, index=self._by_target())
        found.attrs["notes"] = (*runs.notes, *unread_notes(self, runs))
        return found

    def to_frame(self) -> pd.DataFrame:
        """How the fits ended: one row per target."""
        shown = ("train_mre", "held_out_mre", "rows", "objective", "agreeing", "restarts")
        rows = [{name: getattr(f.report, name) for name in shown} for f in self._fits]
        return pd.DataFrame(rows, index=self._by_target())

    def _shown(self) -> Parts:
        rows = [
            {
                "rows": f.report.rows,
                "error %": f.report.train_mre,
                "held-out error %": f.report.held_out_mre,
                "doubts": "; ".join(one.label for one in f.findings),
            }
            for f in self._fits
        ]
        frame = pd.DataFrame(rows, index=self._by_target()).dropna(axis=1, how="all")
        if not any(f.findings for f in self._fits):
            frame = frame.drop(columns="doubts")
        return Parts(self.headline, {"": frame}, self.notes)

    def __repr__(self) -> str:
        shown = ", ".join(self.targets[:6]) + (", ..." if len(self) > 6 else "")
        return (
            f"FittedLaws({self.law.name!r}, {count(len(self), 'target')}: {shown}; "
            f"{count(len(self.domains), 'domain')})"
        )

    def save(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Writes a law file; arguments as for ``save_laws``."""
        from jaxmix.fitting.files import save_laws

        save_laws(path, self, **options)

    def optimize(
        self,
        n_params: float,
        tokens: float,
        constraints: "Constraints | None" = None,
        **options: Any,
    ) -> "Optimum":
        """The mixture with the lowest weighted loss at one budget; see ``jaxmix.optimize``."""
        from jaxmix.mixtures import optimize

        return optimize(self, n_params, tokens, constraints, **options)

    def bootstrap(self, runs: RunTable | pd.DataFrame, **options: Any) -> "Ensemble":
        """Refits on resampled rows of the runs; see ``jaxmix.fitting.bootstrap``."""
        from jaxmix.fitting.uncertainty.bootstrap import bootstrap
        from jaxmix.runs import read_runs

        return bootstrap(self, read_runs(runs), **options)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Predicted loss against training tokens, at the largest N and the mean mixture run.

        Dots are the ends of the runs of that size, at all their mixtures.
        """
        ax = axes_or_new(ax)
        for f in self._fits:
            (low, high), seen = f.data.tokens, f.data.mixtures
            mean = seen.mean(0) if len(seen) else np.full(len(f.domains), 1.0 / len(f.domains))
            tokens = np.geomspace(low, 10.0 * high, 100)
            x: dict[str, Any] = {"n_params": f.data.n_params[1], "tokens": tokens, "weights": mean}
            x |= {name: np.sqrt(a * b) for name, (a, b) in f.data.others.items()}
            (line,) = ax.plot(tokens, f.predict(x), label=plain(f.target))
            if f.data.measured:
                same = np.isclose(f.data.measured.n_params, f.data.n_params[1], rtol=0.01)
                ends = (f.data.measured.tokens[same], f.data.measured.losses[same])
                ax.plot(*ends, ".", color=line.get_color(), alpha=0.4)
        ax.set(xscale="log", xlabel="training tokens", ylabel="loss, nats per token")
        ax.legend(frameon=False)
        return ax


def _predict(fits: Sequence[FittedLaw], x: Any) -> np.ndarray:
    """Losses [m, ...] in float64."""
    if not isinstance(x, Mapping):
        from jaxmix.fitting.inputs import read_inputs

        x = read_inputs(x, fits[0].law, fits[0].domains)
    with float64():
        return predict_losses(stack(fits), x)
