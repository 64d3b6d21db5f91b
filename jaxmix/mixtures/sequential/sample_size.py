"""How many mixtures are enough, before any run is trained: figure 5 of the paper, simulated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fit import fit
from jaxmix.fitting.fitted import FittedLaw, stack
from jaxmix.fitting.simulate import random_truth, simulate_laws, true_laws
from jaxmix.fitting.solvers.multistart import Progress
from jaxmix.laws import Law, get_law
from jaxmix.mixtures.designs import dirichlet_design
from jaxmix.mixtures.optimize import optimize_many
from jaxmix.runs import RunTable, read_runs

QUANTILE = 0.9
_TESTS = 200
_STEP = 1.6  # ratio of successive counts where none are given
_COUNTS = 8


@dataclass(frozen=True, eq=False)
class Enough:
    """What q mixtures buy; t truths, s counts.

    Attributes:
        law: name of the law, true and fitted.
        domains: number of domains.
        counts: [s] numbers of mixtures q.
        runs: [s] runs each takes: q times the sizes.
        mre: [s, t] mean relative error at the target scale on mixtures not run, percent.
        regret: [s, t] share of the optimal gain over the uniform mixture that h* of the fit loses
            at the target scale; a gain below the noise of one run counts as that noise.
        n_params: N of the target scale.
        tokens: D of the target scale.
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

    def smallest(self, regret: float, share: float = QUANTILE) -> int | None:
        """The smallest q from which on ``regret`` is met in that share of the truths.

        None where the largest q does not do.
        """
        met = np.mean(self.regret <= regret, axis=1) >= share
        from_here = np.logical_and.accumulate(met[::-1])[::-1]
        return self.counts[int(from_here.argmax())] if from_here.any() else None

    def curve(self, regret: float) -> list[dict[str, float]]:
        """One row per count: ``mixtures``, ``runs``, medians and 90% quantiles over the truths.

        Args:
            regret: the share that ``share_met`` counts truths by.
        """
        rows = zip(self.counts, self.runs, self.mre, self.regret, strict=True)
        return [
            {
                "mixtures": q,
                "runs": runs,
                "mre_median": float(np.median(mre)),
                "mre_90": float(np.quantile(mre, QUANTILE)),
                "regret_median": float(np.median(lost)),
                "regret_90": float(np.quantile(lost, QUANTILE)),
                "share_met": float(np.mean(lost <= regret)),
            }
            for q, runs, mre, lost in rows
        ]


class _Study(NamedTuple):
    """One table in which every truth is studied with every count; a target for each pair."""

    truths: tuple[FittedLaw, ...]  # [t]
    runs: RunTable
    targets: tuple[str, ...]  # [s * t], counts outermost


def how_many(
    law: Law | str,
    domains: int,
    *,
    sizes: Sequence[float],
    tokens: Sequence[float],
    noise: float = 0.003,
    counts: Sequence[int] | None = None,
    truths: int | Sequence[FittedLaw] = 20,
    target: tuple[float, float] | None = None,
    restarts: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> Enough:
    """Error and regret at the target scale against the number of mixtures, by simulation.

    Truths are drawn, a nested random design is run on each, with noise, at every size and token
    count, the law is fitted to the first q mixtures, and h* of the fit is judged by the truth. All
    fits are one batch: truths and counts are targets of one table.

    Args:
        law: a law that depends on the mixture, or its name. The truths are of the same law, so
            this is a lower bound: a real law is not quite any of them.
        domains: k.
        sizes: N of the runs; every mixture is run at each.
        tokens: D at which each run records its loss.
        noise: relative standard deviation of a run's loss, one for all of its checkpoints.
        counts: numbers of mixtures q; None for some from the fewest that can be fitted.
        truths: how many plausible truths to draw (``jaxmix.fitting.random_truth``), or fitted laws
            to take as true, such as a bootstrap's: a prior of one's own.
        target: N and D of the big run; None for ten times the largest of each.
        restarts: local solves per fit.
        seed: of truths, design and noise.
        progress: called with the local solves done and their total.

    Raises:
        JaxmixError: a law that does not see the mixture, or counts, sizes or noise out of range.

    Source: figure 5 of the paper, for laws in place of trained models.
    """
    law = get_law(law) if isinstance(law, str) else law
    _check(law, domains, sizes, tokens, noise)
    counts = _counts(law, domains, counts, len(sizes) * len(tokens))
    big = target or (10.0 * max(sizes), 10.0 * max(tokens))
    true = _truths(law, domains, sizes, tokens, big, truths, seed)
    study = _study(true, counts, sizes, tokens, noise, seed)
    fits = fit(
        study.runs, law, targets=study.targets, restarts=restarts, seed=seed, progress=progress
    )
    shape = (len(counts), len(true))
    mre, regret = (x.reshape(shape) for x in _judge(true, fits, big, noise, seed))
    runs = tuple(q * len(sizes) for q in counts)
    notes = () if not isinstance(truths, int) else _drawn(true)
    return Enough(law.name, domains, counts, runs, mre, regret, *big, noise, notes)


def _check(
    law: Law, domains: int, sizes: Sequence[float], tokens: Sequence[float], noise: float
) -> None:
    if not law.reads_mixture:
        raise JaxmixError(
            f"law '{law.name}' does not look at the whole mixture; choose one that does"
        )
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
        raise JaxmixError(
            f"{counts[0] if counts else 0} mixtures are too few: the {law.name} law has "
            f"{law.count(domains)} parameters for {domains} domains, so give at least {fewest}"
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
) -> tuple[FittedLaw, ...]:
    """True laws, named t0, t1, ..."""
    if not isinstance(truths, int):
        if not truths or any(f.law != law or len(f.domains) != domains for f in truths):
            raise JaxmixError(
                f"the truths must be fits of the {law.name} law over {domains} domains"
            )
        return tuple(replace(f, target=f"t{i}") for i, f in enumerate(truths))
    if truths < 1:
        raise JaxmixError(f"truths must be at least 1, not {truths}")
    ranges = {
        "n_params": (min(sizes), max(*sizes, big[0])),
        "tokens": (min(tokens), max(*tokens, big[1])),
    }
    drawn = random_truth(law, domains, seed, count=truths, **ranges)
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
    truths: tuple[FittedLaw, ...],
    counts: tuple[int, ...],
    sizes: Sequence[float],
    tokens: Sequence[float],
    noise: float,
    seed: int,
) -> _Study:
    """A table with columns ``loss_t<i>-q<q>``, empty beyond the first q mixtures."""
    design = dirichlet_design(len(truths[0].domains), counts[-1], seed=seed)
    exact = simulate_laws(truths, mixtures=design, n_params=sizes, tokens=tokens)
    run, first = np.unique(exact.frame["run"], return_inverse=True)
    mixture = np.array([int(name.split("-m")[1].split("-")[0]) for name in run])[first]
    # The checkpoints of one run share most of their error: one draw for each run.
    draws = np.random.default_rng(seed).standard_normal((len(truths), len(run)))[:, first]
    noisy = exact.losses([f.target for f in truths]) * np.exp(noise * draws)
    columns: dict[str, Any] = {
        f"loss_{f.target}-q{q}": np.where(mixture < q, losses, np.nan)
        for q in counts
        for f, losses in zip(truths, noisy, strict=True)
    }
    held = [str(c) for c in exact.frame.columns if not str(c).startswith("loss_")]
    kept: dict[str, Any] = {c: exact.frame[c] for c in held}
    runs = read_runs({**kept, **columns}, source="<simulated>")
    return _Study(truths, runs, runs.targets)


def _judge(
    truths: Sequence[FittedLaw],
    fits: Sequence[FittedLaw],
    big: tuple[float, float],
    noise: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """MRE in percent and regret of every fit, [s * t] each, counts outermost."""
    tests = dirichlet_design(len(truths[0].domains), _TESTS, seed=seed + 1)
    which = np.arange(len(fits)) % len(truths)
    best, acted = (_optima(laws, big) for laws in (truths, fits))
    with jax.enable_x64(True):
        fitted, true = stack(fits), stack(truths)
        seen = np.asarray(
            true.losses({"n_params": big[0], "tokens": big[1], "weights": jnp.asarray(tests)})
        )
        guess = np.asarray(
            fitted.losses({"n_params": big[0], "tokens": big[1], "weights": jnp.asarray(tests)})
        )
        even = np.full(tests.shape[1:], 1.0 / tests.shape[1])
        plain = np.asarray(
            true.losses({"n_params": big[0], "tokens": big[1], "weights": jnp.asarray(even)})
        )
        at = np.asarray(
            true.losses(
                {
                    "n_params": big[0],
                    "tokens": big[1],
                    "weights": jnp.asarray(np.vstack([best, acted])),
                }
            )
        )
    optimum = np.diagonal(at[:, : len(truths)])  # [t]
    found = at[which, len(truths) + np.arange(len(fits))]
    gain = np.maximum(plain - optimum, noise * plain)
    mre = 100.0 * np.mean(np.abs(guess / seen[which] - 1.0), 1)
    return mre, np.maximum(found - optimum[which], 0.0) / np.maximum(gain, 1e-12)[which]


def _optima(laws: Sequence[FittedLaw], big: tuple[float, float]) -> np.ndarray:
    """h* of every law alone, [laws, k], in one batch."""
    rows: Any = np.eye(len(laws))
    return optimize_many(laws, big[0], big[1], target_weights=rows).weights


def _drawn(truths: Sequence[FittedLaw]) -> tuple[str, ...]:
    name = truths[0].law.name
    return (
        f"{len(truths)} truths drawn from the {name} law's starting points: real losses are not "
        "quite of any law, so take this as the least that is needed",
    )
