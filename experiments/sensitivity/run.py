"""Gradient-based sensitivity: what each run does to h*, and each domain to each target.

    python -m experiments.sensitivity.run [--smoke] [--only multimodal,text,redpajama]

Implicit derivatives of the fit and of h* say what happens to the optimal mixture and to predicted
losses when a mixture (or a run) is left out. Refits without it say what does happen: once going
downhill from the full fit, and once from the best basin that a search finds. The same for a tenth
of a unit's weight, and for an objective without kinks (Huber threshold .05 instead of .001). Then
the slope of every target's loss towards every domain, with its checks. RedPajama needs the
published runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from experiments import family_tables, harness
from experiments.harness import Setting
from jaxmix.fitting import FittedLaw, bootstrap, fit
from jaxmix.fitting.uncertainty.clusters import mixture_labels, run_labels
from jaxmix.mixtures import optimize, uniform
from jaxmix.runs import RunTable

RESTARTS, REFITS = 48, 64
SHARP, SMOOTH = 1e-3, 0.05  # Huber thresholds, on the logarithm of the loss
VARIANTS = (("additive", SHARP), ("joint", SHARP), ("additive", SMOOTH), ("joint", SMOOTH))
# What share of a unit's weight is kept, and where its refit may end.
CASES = ((0.9, "same"), (0.0, "same"), (0.0, "best"))
# Validation losses of RedPajama's own sources; the law of their weighted mean gives h*.
SOURCES = ("pile_cc", "github", "arxiv", "books3", "stackexchange", "wikipedia_en")
MEAN = ("pile_weighted_mean",)


def run(setting: Setting) -> None:
    """Every study's derivatives and refits, and the slopes of its domains."""
    moves, scores, slopes = [], [], []
    for name, runs, goal, targets in studies(setting.smoke):
        if name not in setting.parts:
            continue
        for law, delta, unit in cases_of(name, setting.smoke):
            label = {"study": name, "law": law, "delta": delta, "unit": unit}
            print(*label.values(), flush=True)
            laws = fitted(runs, law, goal, delta, setting.smoke)
            # Other basins are a matter of the sharp objective.
            found, agreed = leaving(laws, runs, unit, CASES[: 3 if delta == SHARP else 2])
            moves += [{**label, **row} for row in found]
            scores += [{**label, **row} for row in agreed]
        law = "joint" if name == "multimodal" and not setting.smoke else "additive"
        slopes += [
            {"study": name, "law": law, **row}
            for row in domain_slopes_of(runs, law, targets, setting.smoke)
        ]
        harness.write_csv(setting.out / "moves.csv", moves)
        harness.write_csv(setting.out / "agreement.csv", scores)
        harness.write_csv(setting.out / "slopes.csv", slopes)
    if not setting.smoke:
        harness.write_csv(setting.out / "recovery.csv", recovery())
    from experiments.sensitivity.sensitivity_plots import plot_moves, plot_slopes

    plot_moves(moves, setting.out / "moves.png")
    plot_slopes(slopes, setting.out / "slopes.png")


def cases_of(study: str, smoke: bool) -> list[tuple[str, float, str]]:
    """Law, threshold, and what is left out."""
    if smoke:
        return [("additive", SMOOTH, "mixture")]
    runs = [("joint", SHARP, "run")] if study == "multimodal" else []
    return [(law, delta, "mixture") for law, delta in VARIANTS] + runs


def studies(
    smoke: bool,
) -> Iterator[tuple[str, RunTable, tuple[str, ...], tuple[str, ...]]]:
    """Name, table, targets whose mean h* minimizes, targets whose slopes are taken."""
    runs = family_tables.multimodal()
    if smoke:
        # Every third checkpoint, the last among them.
        runs = runs.select((runs.frame.groupby("run").cumcount() % 3 == 2).to_numpy())
    yield "multimodal", runs, runs.domains, runs.domains
    if not smoke:
        runs = family_tables.text()
        yield "text", runs, runs.domains, runs.domains
        yield "redpajama", family_tables.redpajama(), MEAN, SOURCES


def fitted(
    runs: RunTable, law: str, targets: Sequence[str], delta: float, smoke: bool
) -> tuple[FittedLaw, ...]:
    """The laws of some targets, on the logarithm of the loss."""
    restarts = 8 if smoke else RESTARTS
    return fit(runs, law, targets=targets, restarts=restarts, residual="log", delta=delta)


def budget_of(runs: RunTable) -> tuple[float, float]:
    """The largest size and the tokens of its longest run."""
    n = float(runs.n_params.max())
    return n, float(runs.tokens[runs.n_params == n].max())


def leaving(
    laws: tuple[FittedLaw, ...], runs: RunTable, unit: str, cases: Sequence[tuple[float, str]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Changes of h* for every unit left out, and how well predictions agree with refits."""
    from experiments.sensitivity.leaving import Place, agreement, predicted, refitted

    keys = mixture_labels(runs.weights) if unit == "mixture" else run_labels(runs)
    place = Place(*budget_of(runs), uniform(len(runs.domains))[0])
    out = predicted(laws, runs, place, keys)
    done = {
        (keep, basin): refitted(laws, runs, place, keys, keep, everywhere=basin == "best")
        for keep, basin in cases
    }
    agreed = [
        {
            "kept": keep,
            "basin": basin,
            "of": what,
            "units": int(keys.max()) + 1,
            "largest_gradient": max(law.report.gradient_norm for law in laws),
            **asdict(agreement(getattr(out * (1.0 - keep), what), getattr(moves, what))),
        }
        for (keep, basin), moves in done.items()
        for what in ("weights", "losses")
    ]
    same = done[0.0, "same"].weights
    best = done[0.0, "best"].weights if (0.0, "best") in done else np.full(same.shape, np.nan)
    rows = [
        {
            "left_out": name,
            "domain": domain,
            "predicted": float(out.weights[u, i]),
            "same_basin": float(same[u, i]),
            "best_basin": float(best[u, i]),
        }
        for u, name in enumerate(names_of(runs, keys, unit))
        for i, domain in enumerate(runs.domains)
    ]
    return rows, agreed


def names_of(runs: RunTable, keys: np.ndarray, unit: str) -> list[str]:
    """Readable names of the units; mixtures that only the largest size saw are marked."""
    frame, names = runs.frame, []
    sizes = len(np.unique(runs.n_params))
    for u in range(int(keys.max()) + 1):
        rows = frame[keys == u]
        label = str(rows["run"].iloc[0])
        if unit == "mixture" and "mixture" in frame:
            once = sizes > 1 and rows["n_params"].nunique() == 1
            label = str(rows["mixture"].iloc[0]) + (" (largest size)" if once else "")
        names.append(label)
    return names


def domain_slopes_of(
    runs: RunTable, law: str, targets: Sequence[str], smoke: bool
) -> Iterator[dict[str, Any]]:
    """Slopes of a law at the uniform and at the optimal mixture."""
    from experiments.sensitivity.domain_slopes import effect_rows

    laws = fitted(runs, law, targets, SMOOTH if smoke else SHARP, smoke)
    refits = None if smoke else bootstrap(laws, runs, resamples=REFITS, cluster="mixture")
    budget = budget_of(runs)
    best = optimize(laws, *budget).h
    # A slope at a weight of 0 can be infinite.
    inside = np.maximum(best, 1e-3) / np.maximum(best, 1e-3).sum()
    places = {"uniform": uniform(len(runs.domains))[0], "optimum": inside}
    return effect_rows(laws, runs, refits, budget, places)


def recovery() -> Iterator[dict[str, Any]]:
    """Slopes of a study whose truth is the multimodal joint law."""
    from experiments.sensitivity.domain_slopes import recovery_rows

    runs = family_tables.multimodal()
    truth = fitted(runs, "joint", runs.domains, SHARP, False)
    return recovery_rows(truth, runs, budget_of(runs), restarts=RESTARTS, resamples=REFITS)


if __name__ == "__main__":
    harness.main(__file__, __doc__ or "", run, parts=("multimodal", "text", "redpajama"))
