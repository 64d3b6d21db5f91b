"""Gradient-based sensitivity: what each run does to h*, and each domain to each target.

    python -m experiments.sensitivity.run [--smoke] [--only leaving,slopes]

Implicit derivatives of the fit and of h* say what happens to the optimal mixture and to predicted
losses when a mixture (or a run) is left out; so do steps downhill from the full fit, as ``jaxmix
trust --influence`` takes them. Refits without it say what does happen: at the bottom of the full
fit's basin, and at the best optima of two searches, which show how far refits agree with each
other. The derivatives also for a tenth of a unit's weight, and for an objective without kinks
(Huber threshold .05 instead of .001). Then the slope of every target's loss towards every domain,
with its checks. Cases of leaving out that ``results/noise.csv`` has are kept: remove it to make
all of them again. RedPajama needs the published runs.
"""

import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Literal

import jax
import numpy as np
import pandas as pd

from experiments import family_tables, harness
from experiments.harness import Setting
from jaxmix.fitting import FittedLaw, bootstrap, fit, influence
from jaxmix.fitting.uncertainty import mixture_labels, run_labels
from jaxmix.mixtures import leave_one_out, optimize, uniform
from jaxmix.runs import RunTable

RESTARTS, REFITS = 48, 64
SHARP, SMOOTH = 1e-3, 0.05  # Huber thresholds, on the logarithm of the loss
VARIANTS = (("additive", SHARP), ("joint", SHARP), ("additive", SMOOTH), ("joint", SMOOTH))
SEARCHES, SEARCH_RESTARTS = ("search", "again"), 24
# What predicts, and what it is compared with.
PAIRS = (
    ("derivative", "tenth"),
    ("derivative", "same"),
    ("steps", "same"),
    ("derivative", "search"),
    ("steps", "search"),
    ("again", "search"),
)
# Validation losses of RedPajama's own sources; the law of their weighted mean gives h*.
SOURCES = ("pile_cc", "github", "arxiv", "books3", "stackexchange", "wikipedia_en")
MEAN = ("pile_weighted_mean",)


def run(setting: Setting) -> None:
    """What leaving mixtures out does in every study, and the slopes of its domains."""
    if "leaving" in setting.parts:
        _leaving(setting)
    if "slopes" in setting.parts:
        _slopes(setting)


def _leaving(setting: Setting) -> None:
    from experiments.sensitivity.sensitivity_plots import plot_moves

    paths = [setting.out / f"{name}.csv" for name in ("moves", "agreement", "noise")]
    moves, scores, noises = ([] if setting.smoke else _made(path) for path in paths)
    for name, runs, goal, _ in studies(setting.smoke):
        for law, delta, unit in cases_of(name, setting.smoke):
            label = {"study": name, "law": law, "delta": delta, "unit": unit}
            if any(label.items() <= row.items() for row in noises):
                continue
            print(*label.values(), flush=True)
            jax.clear_caches()  # programs of a dozen cases would fill the memory
            laws = fitted(runs, law, goal, delta, setting.smoke)
            found, agreed, noise = leaving(laws, runs, unit, delta == SHARP)
            moves += [{**label, **row} for row in found]
            scores += [{**label, **row} for row in agreed]
            noises.append({**label, **noise})
            for path, rows in zip(paths, (moves, scores, noises), strict=True):
                harness.write_csv(path, rows)
    plot_moves(moves, setting.out / "moves.png")


def _made(path: pathlib.Path) -> list[dict[str, Any]]:
    """Rows of the cases that an earlier call made."""
    return pd.read_csv(path).to_dict("records") if path.is_file() else []


def _slopes(setting: Setting) -> None:
    from experiments.sensitivity.sensitivity_plots import plot_slopes

    slopes = []
    for name, runs, _, targets in studies(setting.smoke):
        law = "joint" if name == "multimodal" and not setting.smoke else "additive"
        slopes += [
            {"study": name, "law": law, **row}
            for row in domain_slopes_of(runs, law, targets, setting.smoke)
        ]
        harness.write_csv(setting.out / "slopes.csv", slopes)
    if not setting.smoke:
        harness.write_csv(setting.out / "recovery.csv", recovery())
    plot_slopes(slopes, setting.out / "slopes.png")


def cases_of(study: str, smoke: bool) -> list[tuple[str, float, Literal["mixture", "run"]]]:
    """Law, threshold, and what is left out."""
    if smoke:
        return [("additive", SMOOTH, "mixture")]
    cases: list[tuple[str, float, Literal["mixture", "run"]]]
    cases = [(law, delta, "mixture") for law, delta in VARIANTS]
    return [*cases, ("joint", SHARP, "run")] if study == "multimodal" else cases


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
    laws: Sequence[FittedLaw], runs: RunTable, unit: Literal["mixture", "run"], search: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Changes of h* for every unit left out, how well they agree, and the noise of h* itself."""
    from experiments.sensitivity.leaving import Moves, Place, agreement, derivatives, refits

    keys = mixture_labels(runs.weights) if unit == "mixture" else run_labels(runs)
    influences = [influence(law, runs) for law in laws]
    first = optimize(laws, *budget_of(runs)).h
    laws = tuple(i.fitted for i in influences)  # at the bottoms of their basins
    best = optimize(laws, *budget_of(runs))
    place = Place(best, uniform(len(runs.domains))[0])
    searches = SEARCHES if search and unit == "mixture" else ()
    options = {"restarts": SEARCH_RESTARTS, "searches": searches}
    done = refits(laws, runs, place, keys, **options)
    done["derivative"] = derivatives(influences, place, keys)
    left = leave_one_out(best, runs, cluster=unit)
    noise = {
        "bottom": _distance(first, best.h).max(),
        "equally_good": left.spread,
        **{name: float(np.median(_distance(done[name].weights))) for name in ("same", *searches)},
    }
    agreed = [
        {
            "predicted": said,
            "compared_with": with_,
            "of": what,
            "units": int(keys.max()) + 1,
            **asdict(
                agreement(
                    getattr(done[said] * (0.1 if with_ == "tenth" else 1.0), what),
                    getattr(done[with_], what),
                )
            ),
        }
        for said, with_ in PAIRS
        if said in done and with_ in done
        for what in ("weights", "losses")
    ]
    missing = Moves(np.full_like(done["same"].weights, np.nan), done["same"].losses)
    rows = [
        {"left_out": name, "domain": domain}
        | {
            column: float(done.get(column, missing).weights[u, i])
            for column in ("derivative", "steps", "same", *SEARCHES)
        }
        for u, name in enumerate(names_of(runs, keys, unit))
        for i, domain in enumerate(runs.domains)
    ]
    return rows, agreed, noise


def _distance(moved: np.ndarray, other: Any = 0.0) -> np.ndarray:
    """The weight that moves from one domain to another, [...]."""
    return np.abs(moved - other).sum(-1) / 2


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
    harness.main(__file__, __doc__ or "", run, parts=("leaving", "slopes"))
