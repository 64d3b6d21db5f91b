"""How many mixtures to run, before any run is trained: figure 5 of the paper, simulated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown, axes_or_new
from jaxmix.errors import JaxmixError
from jaxmix.fitting.fit import fit
from jaxmix.fitting.fitted import FittedLaw, FittedLaws
from jaxmix.fitting.inputs import budget_inputs
from jaxmix.fitting.precision import float64
from jaxmix.fitting.simulate import random_truth, simulate_laws, true_laws
from jaxmix.fitting.solvers.multistart import Progress
from jaxmix.laws import Law, get_law
from jaxmix.mixtures.constraints import Constraints
from jaxmix.mixtures.designs import dirichlet_design
from jaxmix.mixtures.optimize import optimize_many
from jaxmix.quantities import count
from jaxmix.runs import RunTable, read_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STEP, _COUNTS = 1.6, 8  # ratio and number of counts if none are given


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class SampleSize(Shown):
    """What studies of q mixtures achieve, for s counts and t simulated truths.

    Attributes:
        law: name of the law, true and fitted.
        domains: number of domains.
        counts: [s] numbers of mixtures q.
        runs: [s] numbers of runs: q times the number of sizes.
        mre: [s, t] mean relative error at the big run's N and D on unseen mixtures, percent.
        regret: [s, t] share of the optimal gain over the uniform mixture that the fit's optimum
            loses at the big run; a gain below the noise of one run counts as that noise.
        n_params: N of the big run.
        tokens: D of the big run.
        noise: relative standard deviation of each run's loss.
        notes: what a reader should know, one sentence each.
    """

    law: str
    domains: int
    counts: tuple[int, ...]
    runs: tuple[int, ...]
    mre: np.ndarray
    regret: np.ndarray
    n_params: float
    tokens: float
    noise: float
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"SampleSize({self.law!r}, {self.domains} domains, {self.mre.shape[1]} truths)"

    def smallest(self, regret: float = 0.01, share: float = 0.9) -> int | None:
        """The smallest q from which on that share of the truths has at most this regret.

        None if the largest q does not.
        """
        met = np.mean(self.regret <= regret, axis=1) >= share
        from_here = np.logical_and.accumulate(met[::-1])[::-1]
        return self.counts[int(from_here.argmax())] if from_here.any() else None

    def curve(self, regret: float = 0.01) -> list[dict[str, float]]:
        """One row per count: ``mixtures``, ``runs``, medians and 90% quantiles over the truths.

        Args:
            regret: ``share_met`` is the share of truths with at most this regret.
        """
        rows = zip(self.counts, self.runs, self.mre, self.regret, strict=True)
        return [
            {
                "mixtures": q,
                "runs": runs,
                "mre_median": float(np.median(mre)),
                "mre_90": float(np.quantile(mre, 0.9)),
                "regret_median": float(np.median(lost)),
                "regret_90": float(np.quantile(lost, 0.9)),
                "share_met": float(np.mean(lost <= regret)),
            }
            for q, runs, mre, lost in rows
        ]

    def to_dict(self, regret: float = 0.01) -> dict[str, Any]:
        """The ``--json`` of ``jaxmix sample-size``; ``mixtures`` is None if no count is enough."""
        names = ("law", "domains", "n_params", "tokens", "noise", "notes")
        return {
            "mixtures": self.smallest(regret),
            "regret": regret,
            "curve": self.curve(regret),
            **{name: getattr(self, name) for name in names},
        }

    def to_frame(self, regret: float = 0.01) -> pd.DataFrame:
        """``curve`` with the counts as index."""
        return pd.DataFrame(self.curve(regret)).set_index("mixtures")

    def _shown(self) -> Parts:
        found = self.smallest()
        enough = count(found, "mixture is", "mixtures are") if found else ""
        answer = f"{enough} enough" if found else "none of these counts is enough"
        said = f"{answer} for a regret of at most 1% of the gain in 90% of the truths"
        return Parts(said, {"": self.to_frame()}, self.notes)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Median and 90% quantile of the regret against the number of mixtures."""
        ax = axes_or_new(ax)
        frame = self.to_frame()
        ax.plot(frame.index, frame["regret_median"], marker="o", label="median")
        ax.plot(frame.index, frame["regret_90"], marker="o", label="90% quantile")
        ax.set(xscale="log", yscale="log", xlabel="mixtures", ylabel="regret, share of the gain")
        ax.legend(frameon=False)
        return ax


def sample_size(
    law: Law | str,
    domains: int,
    *,
    sizes: Sequence[float],
    tokens: Sequence[float],
    noise: float = 0.003,
    counts: Sequence[int] | None = None,
    truths: int | Sequence[FittedLaw] = 20,
    target: tuple[float, float] | None = None,
    constraints: Constraints | None = None,
    tests: int = 200,
    restarts: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> SampleSize:
    """Error and regret at the big run against the number of mixtures, by simulation.

    Truths are drawn, a nested random design is run on each, with noise, at every size and token
    count, the law is fitted to the first q mixtures, and the optimum of the fit is judged by the
    truth. All fits are one batch: every pair of truth and count is a target of one table.

    Args:
        law: a law that reads the mixture, or its name. The truths are of the same law, so the
            answer is a lower bound: real losses follow no law exactly.
        domains: k.
        sizes: N of the runs; every mixture is run at each.
        tokens: D at which each run records its loss.
        noise: relative standard deviation of a run's loss, the same for all of its checkpoints.
        counts: numbers of mixtures q; None for eight from the fewest that can be fitted.
        truths: how many plausible truths to draw (``jaxmix.fitting.random_truth``), or fitted laws
            to take as true, such as those of a pilot study.
        target: N and D of the big run; None for ten times the largest of each.
        constraints: on the big run's mixture: bounds and available tokens. Available tokens also
            limit the simulated runs if the law reads them.
        tests: unseen mixtures on which predictions are judged.
        restarts: local solves per fit.
        seed: of truths, design and noise.
        progress: called with the local solves done and their total.

    Raises:
        JaxmixError: a law that does not read the mixture, or counts, sizes or noise out of range.

    Source: figure 5 of the paper, with laws in place of trained models.
    """
    law = get_law(law) if isinstance(law, str) else law
    _check(law, domains, sizes, tokens, noise)
    counts = _counts(law, domains, counts, len(sizes) * len(tokens))
    big = target or (10.0 * max(sizes), 10.0 * max(tokens))
    true = _truths(law, domains, sizes, tokens, big, truths, seed)
    runs = _study(true, counts, sizes, tokens, noise, constraints, seed)
    fits = fit(runs, law, restarts=restarts, seed=seed, progress=progress)
    mre, regret = judge(
        true, fits, big, noise=noise, constraints=constraints, tests=tests, seed=seed
    )
    drawn = (
        f"{len(true)} truths drawn from the {law.name} law's starting points: real losses follow "
        "no law exactly, so take this as the least that is needed"
    )
    return SampleSize(
        law=law.name,
        domains=domains,
        counts=counts,
        runs=tuple(q * len(sizes) for q in counts),
        mre=mre.reshape(len(counts), -1),
        regret=regret.reshape(len(counts), -1),
        n_params=big[0],
        tokens=big[1],
        noise=noise,
        notes=(drawn,) if isinstance(truths, int) else (),
    )


def _check(
    law: Law, domains: int, sizes: Sequence[float], tokens: Sequence[float], noise: float
) -> None:
    if not law.reads_mixture:
        raise JaxmixError(f"law '{law.name}' does not read the mixture; choose one that does")
    if domains < 2:
        raise JaxmixError(f"a mixture needs at least 2 domains, not {domains}")
    if noise < 0:
        raise JaxmixError(f"noise must be at least 0, not {noise:g}")
    for name, values in (("n_params", sizes), ("tokens", tokens)):
        if law.reads(name) and len(set(values)) < 2:
            what = "--sizes" if name == "n_params" else "--tokens"
            raise JaxmixError(
                f"law '{law.name}' depends on {name}: at one value its term is not identified; "
                f"give two or more {what}, or a law for fixed N or D such as additive-fixed-nd"
            )


def _counts(law: Law, domains: int, given: Sequence[int] | None, rows: int) -> tuple[int, ...]:
    """Numbers of mixtures in ascending order, each with as many rows as the law has parameters."""
    fewest = -(-law.count(domains) // rows)
    if given is None:
        start = max(fewest, domains)
        return tuple(sorted({round(start * _STEP**i) for i in range(_COUNTS)}))
    counts = tuple(sorted(set(given)))
    if not counts or counts[0] < fewest:
        few = count(counts[0] if counts else 0, "mixture is", "mixtures are")
        raise JaxmixError(
            f"{few} too few: the {law.name} law has {count(law.count(domains), 'parameter')} for "
            f"{domains} domains, so give at least {fewest} (--mixtures)"
        )
    return counts


def _truths(
    law: Law,
    domains: int,
    sizes: Sequence[float],
    tokens: Sequence[float],
    big: tuple[float, float],
    truths: int | Sequence[FittedLaw],
    seed: int,
) -> FittedLaws:
    """True laws, named t0, t1, ..."""
    if not isinstance(truths, int):
        if not truths or any(f.law != law or len(f.domains) != domains for f in truths):
            raise JaxmixError(
                f"the truths must be fits of the {law.name} law over {domains} domains"
            )
        return FittedLaws(replace(f, target=f"t{i}") for i, f in enumerate(truths))
    if truths < 1:
        raise JaxmixError(f"truths must be at least 1, not {truths}")
    n_range = min(sizes), max(*sizes, big[0])
    d_range = min(tokens), max(*tokens, big[1])
    drawn = random_truth(law, domains, seed, count=truths, n_params=n_range, tokens=d_range)
    names = tuple(f"t{i}" for i in range(truths))
    return true_laws(
        law,
        dict(zip(names, drawn, strict=True)),
        domains=tuple(f"d{i}" for i in range(domains)),
        mixtures=dirichlet_design(domains, 1, seed=0),
        n_params=sizes,
        tokens=tokens,
        targets=names,
    )


def _study(
    truths: FittedLaws,
    counts: tuple[int, ...],
    sizes: Sequence[float],
    tokens: Sequence[float],
    noise: float,
    constraints: Constraints | None,
    seed: int,
) -> RunTable:
    """A table with targets ``t<i>-q<q>``, counts outermost, empty beyond the first q mixtures."""
    design = dirichlet_design(len(truths.domains), counts[-1], seed=seed)
    available = constraints.available if constraints and truths.law.reads("unique") else None
    exact = simulate_laws(
        truths, mixtures=design, n_params=sizes, tokens=tokens, unique=available or None
    )
    run, of_row = np.unique(exact.frame["run"], return_inverse=True)
    mixture = np.array([int(name.split("-m")[1].split("-")[0]) for name in run])[of_row]
    # The checkpoints of a run share most of their error: one draw per run.
    draws = np.random.default_rng(seed).standard_normal((len(truths), len(run)))[:, of_row]
    noisy = exact.losses(truths.targets) * np.exp(noise * draws)
    columns: dict[str, Any] = {
        str(c): exact.frame[c] for c in exact.frame.columns if not str(c).startswith("loss_")
    }
    for q in counts:
        for target, losses in zip(truths.targets, noisy, strict=True):
            columns[f"loss_{target}-q{q}"] = np.where(mixture < q, losses, np.nan)
    return read_runs(columns, source="<simulated>")


def judge(
    truths: FittedLaws,
    fits: FittedLaws,
    big: tuple[float, float],
    *,
    noise: float,
    constraints: Constraints | None = None,
    tests: int = 200,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """MRE in percent and regret of fits of t truths, [s * t] each, counts outermost."""
    k, t = len(truths.domains), len(truths)
    unseen, of_fit = dirichlet_design(k, tests, seed=seed + 1), np.arange(len(fits)) % t
    best, chosen = (_optima(laws, big, constraints) for laws in (truths, fits))
    available = constraints.available if constraints else None
    x = budget_inputs(truths.law, truths.domains, *big, available=available)
    points = np.concatenate([unseen, np.full((1, k), 1.0 / k), best, chosen])
    with float64():
        true = np.asarray(truths.stacked.losses(x | {"weights": jnp.asarray(points)}))
        found = np.asarray(fits.stacked.losses(x | {"weights": jnp.asarray(unseen)}))
    uniform, optimum = true[:, tests], np.diagonal(true[:, tests + 1 : tests + 1 + t])
    reached = true[of_fit, tests + 1 + t + np.arange(len(fits))]
    gain = np.maximum(uniform - optimum, noise * uniform)
    mre = 100.0 * np.mean(np.abs(found / true[of_fit, :tests] - 1.0), 1)
    return mre, np.maximum(reached - optimum[of_fit], 0.0) / np.maximum(gain, 1e-12)[of_fit]


def _optima(
    laws: FittedLaws, big: tuple[float, float], constraints: Constraints | None
) -> np.ndarray:
    """The optimum of every law alone, [laws, k], in one batch."""
    alone = np.eye(len(laws))
    return optimize_many(laws, *big, constraints, target_weights=alone).h
