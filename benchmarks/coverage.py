"""Whether intervals hold the losses of larger sizes and longer budgets that were really measured.

Every table is cut several ways: the rows up to some size, the rows up to some number of tokens, and
both at once without a third of the mixtures. A law is fitted to the rows below the cut and refitted
on wild resamples; its 90% intervals, which include the noise of one run, are compared with the
measured losses beyond the cut.

Printed by table and cut are the share of measured losses inside, the mean half width of the
intervals over the mean absolute error of the predictions, and both in nats. The mean of a table
weighs its cuts equally.

Run ``JAXMIX_PUBLIC_RUNS=FOLDER python benchmarks/coverage.py [--only TABLE] [--law additive]``;
without the folder only the three studies that ship with the package are judged.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from jaxmix.examples.loading import load_example
from jaxmix.fitting import Ensemble, bootstrap, fit
from jaxmix.fitting.uncertainty.clusters import mixture_labels
from jaxmix.runs import RunTable, read_runs

LEVEL = 0.9
TARGETS = {
    "redpajama": ("github", "arxiv", "wikipedia_en", "pile_weighted_mean"),
    "fivemix": ("github", "pile_cc", "arxiv", "wikipedia_en"),
    "text": ("api_docs", "code_cpp", "multilingual", "scripture"),
    "multimodal": ("text", "image_caption", "interleaved"),
    "vision": ("emoji", "icons", "brands", "digits"),
}
FILES = {
    "redpajama": ("redpajama_70M-410M.csv", "flags == ''"),
    "fivemix": ("fivemix.csv", "tokens > 9e9"),  # earlier rows are those of the warm-up
}
EVERY = {"redpajama": 2, "fivemix": 3}  # of the token counts one in so many is kept, for speed


@dataclass(frozen=True)
class Cut:
    """A table, what was left out, and which of its rows [p] are fitted and judged."""

    table: str
    left_out: str
    runs: RunTable
    fitted: np.ndarray
    judged: np.ndarray


def tables(folder: str | None) -> Iterator[tuple[str, RunTable]]:
    """The run tables at hand by name."""
    for name in TARGETS:
        if name not in FILES:
            yield name, load_example(name)
        elif folder:
            file, where = FILES[name]
            runs = read_runs(Path(folder) / file, where=where)
            lengths = np.unique(runs.tokens)[:: -EVERY[name]]
            yield name, runs.select(np.isin(runs.tokens, lengths))


def cuts(name: str, runs: RunTable, seed: int = 0) -> Iterator[Cut]:
    """All ways to cut a table."""
    n, d = runs.n_params, runs.tokens
    sizes, lengths = np.unique(n), np.unique(d)
    for edge in sizes[1:-1][::-1]:
        yield Cut(name, f"N > {edge:.3g}", runs, n <= edge, n > edge)
    middle = lengths[len(lengths) // 2 - 1]
    yield Cut(name, f"D > {middle:.3g}", runs, d <= middle, d > middle)
    labels = mixture_labels(runs.weights)
    later = np.random.default_rng(seed).permutation(labels.max() + 1)[labels] % 3 == 0
    top = sizes[-2]
    fitted = (n <= top) & (d <= middle) & ~later
    unseen = ~np.isin(labels, labels[fitted])
    judged = (n > top) & (d > middle) & unseen
    yield Cut(name, f"N > {top:.3g}, D > {middle:.3g}, mixtures", runs, fitted, judged)


def refitted(cut: Cut, law: str, resamples: int) -> Ensemble:
    """The law fitted and refitted below a cut."""
    below = cut.runs.select(cut.fitted)
    laws = fit(below, law, targets=TARGETS[cut.table], restarts=32)
    return bootstrap(laws, below, resamples=resamples, cluster="mixture", restarts=16)


def judge(cut: Cut, ensemble: Ensemble) -> dict[str, object]:
    """Coverage and half width of one cut."""
    beyond = cut.runs.select(cut.judged)
    found = ensemble.predict(beyond, level=LEVEL)
    losses = beyond.losses(ensemble.laws.targets)
    known = np.isfinite(losses)
    inside = ((losses >= found.low) & (losses <= found.high))[known]
    half, error = (found.high - found.low)[known] / 2, np.abs(losses - found.estimate)[known]
    return {
        "table": cut.table,
        "left out": cut.left_out,
        "rows": len(beyond),
        "coverage": float(inside.mean()),
        "half/error": float(half.mean() / error.mean()),
        "half width": float(half.mean()),
        "error": float(error.mean()),
    }


def main() -> None:
    """Judges all cuts and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="name of a table")
    parser.add_argument("--law", default="additive")
    parser.add_argument("--resamples", type=int, default=100)
    options = parser.parse_args()
    rows = []
    for name, runs in tables(os.environ.get("JAXMIX_PUBLIC_RUNS")):
        if options.only in (None, name):
            for cut in cuts(name, runs):
                rows.append(judge(cut, refitted(cut, options.law, options.resamples)))
                print(rows[-1], flush=True)
    frame = pd.DataFrame(rows)
    print(frame.round(4).to_string(index=False))
    means = frame.groupby("table", sort=False)[["coverage", "half/error"]].mean()
    print(means.to_string(float_format="%.3f"))


if __name__ == "__main__":
    main()
