"""Among the best mixtures, does the residual pick better than the law? Cross-validated by mixture.

Run: JAXMIX_PUBLIC_RUNS=FOLDER python benchmarks/near_ties.py [TABLE ...]

Each mixture is predicted by a law that has not seen it, without and with ``fit_residual``, whose
own choice rests on folds within the training mixtures. Scores are taken where runs end, at each
size, for the mean of the targets and for each target, and averaged: rank correlation and regret of
the mixture predicted lowest, over all held-out mixtures and within their best tenth (at least
five), and the median absolute error, nats. "on" is the share of targets that use the residual.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

import jaxmix as jm
from jaxmix.fitting import fit
from jaxmix.fitting.residual import fit_residual
from jaxmix.fitting.scores import spearman
from jaxmix.fitting.selection import Candidate, FitSettings, run_trials
from jaxmix.fitting.selection.splits import make_splits, mixture_ids
from jaxmix.laws import get_law
from jaxmix.runs import RunTable, read_runs

TABLES = ("regmix-512", "regmix-128", "redpajama", "fivemix", "text", "vision", "multimodal")
PILE = ("github", "arxiv", "wikipedia_en", "stackexchange", "books3", "pile_cc", "hackernews")
RESTARTS = 8


def table(name: str) -> tuple[RunTable, tuple[str, ...], str]:
    """Runs, targets and law."""
    if name in ("text", "vision", "multimodal"):
        runs = jm.load_example(name)
        return runs, runs.targets, "additive"
    folder = Path(os.environ["JAXMIX_PUBLIC_RUNS"])
    if name == "redpajama":
        return read_runs(folder / "redpajama_70M-410M.csv", where="flags == ''"), PILE, "additive"
    if name == "fivemix":
        return read_runs(folder / "fivemix.csv", where="tokens > 9e9"), PILE, "additive"
    runs = read_runs(folder / "regmix_1M_train512_test256.csv")
    return runs, runs.targets, "additive-fixed-nd"


def held_out(name: str, runs: RunTable, targets: tuple[str, ...]) -> list[np.ndarray]:
    """Masks [p] of the rows that each fold predicts; the others may be fitted."""
    if name.startswith("regmix"):
        return [runs.frame["split"].to_numpy() == "test"]
    return [
        s.test.any(0) | s.choices
        for s in make_splits(runs, ("mixtures",), targets=targets, late=0.0)
    ]


def thinned(name: str, train: np.ndarray) -> np.ndarray:
    """The training rows [p] of a fold: of RegMix as many as its name says."""
    if not name.startswith("regmix"):
        return train
    kept = np.random.default_rng(1).permutation(np.flatnonzero(train))[: int(name.split("-")[1])]
    return np.isin(np.arange(len(train)), kept)


def left_out(runs: RunTable, targets: tuple[str, ...], law: str) -> np.ndarray:
    """Residuals [m, p] under fits without the mixture of the row."""
    splits = make_splits(runs, ("mixtures",), targets=targets, late=0.0)
    settings = FitSettings(restarts=RESTARTS)
    trials = run_trials(runs, targets, [Candidate(get_law(law))], splits, settings)
    found = np.full((len(targets), len(runs)), np.nan)
    for split, predicted in zip(splits, trials.predicted[0], strict=True):
        found = np.where(split.test, runs.losses(targets) - predicted, found)
    return found


def predict(name: str) -> tuple[RunTable, np.ndarray, np.ndarray, np.ndarray, list[float]]:
    """Losses [m, p] observed and predicted without and with the residual; how often it is on."""
    runs, targets, law = table(name)
    observed, on = runs.losses(targets), []
    without, corrected = (np.full(observed.shape, np.nan) for _ in range(2))
    for held in held_out(name, runs, targets):
        train, test = runs.select(thinned(name, ~held)), runs.select(held)
        laws = fit(train, law, targets=targets, restarts=RESTARTS)
        residual = fit_residual(laws, train, left_out(train, targets, law))
        without[:, held] = laws.predict(test).to_numpy().T
        on.append(0.0 if residual is None else float(residual.used.mean()))
        added = 0.0 if residual is None else residual.mean(test.weights)
        corrected[:, held] = without[:, held] + added
    return runs, observed, without, corrected, on


def ends(runs: RunTable) -> list[np.ndarray]:
    """Masks [p] of the rows where the runs of each size end."""
    return [
        of_size & (runs.tokens >= 0.99 * runs.tokens[of_size].max())
        for of_size in (runs.n_params == size for size in np.unique(runs.n_params))
    ]


def scores(runs: RunTable, observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Mean of rank correlation and regret, over all mixtures and the best tenth, and error, [5]."""
    found = []
    for rows in ends(runs):
        rows = rows & np.isfinite(predicted).all(0) & np.isfinite(observed).all(0)
        at = mixture_ids(runs)[rows]
        pairs = [*zip(observed, predicted, strict=True), (observed.mean(0), predicted.mean(0))]
        for losses, guesses in pairs:
            y, q = (
                np.bincount(at, x[rows])[np.unique(at)] / np.bincount(at)[np.unique(at)]
                for x in (losses, guesses)
            )
            if len(y) < 10:
                continue
            top = np.argsort(y)[: max(5, round(0.1 * len(y)))]
            ranks = spearman(q, y), spearman(q[top], y[top])
            regrets = y[np.argmin(q)] - y.min(), y[top][np.argmin(q[top])] - y.min()
            found.append((ranks[0], regrets[0], ranks[1], regrets[1], np.median(np.abs(q - y))))
    return np.mean(found, axis=0)


def main(names: list[str]) -> None:
    """Prints the Markdown table."""
    print(
        "| table | on | rank, all | regret, all | rank, best tenth | regret, best tenth | error |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in names:
        start = time.perf_counter()
        runs, observed, without, corrected, on = predict(name)
        pairs = np.stack([scores(runs, observed, p) for p in (without, corrected)], 1)
        cells = [f"{a:.4f} → {b:.4f}" for a, b in pairs]
        print(f"| {name} | {np.mean(on):.0%} | {' | '.join(cells)} |", flush=True)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:] or list(TABLES))
