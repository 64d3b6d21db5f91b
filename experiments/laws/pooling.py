"""Parameters shared over targets and domains against separate fits, few and many mixtures.

    python -m experiments.laws.pooling [--only TABLE,...] [--laws additive,...]

Mixtures are dealt at random. Each deal is fitted with every strength of sharing, on all sizes but
the largest, and so are its folds, which choose a strength as `fit --share auto` does. Tests are the
mixtures that were not dealt and the largest size. JAXMIX_PUBLIC_RUNS adds published runs.
"""

import argparse
import csv
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments import family_tables, harness
from experiments.masked_fits import Deal, deal, grouped
from jaxmix.fitting import share_text, shares_to_try
from jaxmix.fitting.selection import (
    Candidate,
    FitSettings,
    Split,
    Trials,
    choose_strength,
    held_out_errors,
    run_trials,
    splits_of,
    trajectory_share,
)
from jaxmix.laws import get_law
from jaxmix.runs import RunTable, read_runs

OUT = pathlib.Path(__file__).resolve().parent / "results" / "pooling.csv"
RESTARTS = 8
LATE = 0.5  # share of a run from which on its rows are tested


@dataclass(frozen=True)
class Table:
    """A run table, four of its targets, and how many mixtures are dealt how often."""

    name: str
    read: Callable[[], RunTable]
    targets: tuple[str, ...]
    counts: tuple[int, ...]
    draws: int = 3


def tables() -> Iterator[Table]:
    """Those that can be read here."""
    if family_tables.published_are_here():
        four = ("github", "arxiv", "pile_cc", "books3")
        yield Table("RedPajama", _redpajama, four, (8, 12, 20, 32))
        four = ("github", "arxiv", "pile_cc", "wikipedia_en")
        yield Table("fivemix", _fivemix, four, (8, 12, 20))
    four = ("code_python", "dictionary", "multilingual", "scripture")
    yield Table("text", lambda: thinned(family_tables.text()), four, (8, 12, 20))
    three = ("text", "image_caption", "interleaved")
    yield Table("multimodal", lambda: thinned(family_tables.multimodal()), three, (8, 12))
    four = ("emoji", "icons", "brands", "digits")
    yield Table("vision", lambda: thinned(family_tables.vision()), four, (8, 12))


def _redpajama() -> RunTable:
    return thinned(family_tables.redpajama(), 4)


def _fivemix() -> RunTable:
    return thinned(read_runs(harness.published("fivemix.csv"), where="tokens > 9e9"), 4)


def thinned(runs: RunTable, each: int = 6) -> RunTable:
    """A few checkpoints of each run."""
    kept = np.zeros(len(runs), bool)
    for rows in runs.frame.groupby("run").indices.values():
        rows = rows[np.argsort(runs.tokens[rows], kind="stable")]
        kept[rows[np.linspace(0, len(rows) - 1, min(each, len(rows))).round().astype(int)]] = True
    return runs.select(kept)


def scored(table: Table, name: str) -> Iterator[dict[str, Any]]:
    """The errors of every deal under every strength, and under the one that its folds choose."""
    runs, law = table.read(), get_law(name)
    largest = runs.n_params == runs.n_params.max()
    deals = deal(runs, table.counts, table.draws, rows=~largest)
    known, none = np.isfinite(runs.losses(table.targets)), np.zeros(len(runs), bool)
    flat, folds = [], []
    for one in deals:
        own = Split("deal", "deal", one.fitted & known, (one.unseen | largest) & known, none)
        inner = splits_of(runs, table.targets, 0, rows=one.fitted & known)
        folds.append(range(len(flat) + 1, len(flat) + 1 + len(inner)))
        flat += [own, *inner]
    shares = shares_to_try(law)
    candidates = [Candidate(law, "log", share=tuple(s.items())) for s in shares]
    made = run_trials(runs, table.targets, candidates, flat, FitSettings(restarts=RESTARTS))
    for one, inner in zip(deals, folds, strict=True):
        entry = {"table": table.name, "law": name, "mixtures": one.count, "draw": one.draw}
        groups = held_out_errors(made.take(range(len(shares)), list(inner)))
        cost, pick = groups.score(), choose_strength(groups)
        for c, share in enumerate(shares):
            tests = _tests(runs, made, c, inner[0] - 1, one, largest)
            text = share_text(share, law)
            yield {**entry, "share": text, **tests, "folds": cost[c], "chosen": int(c == pick)}


def _tests(
    runs: RunTable, made: Trials, c: int, split: int, one: Deal, largest: np.ndarray
) -> dict[str, float]:
    """Mean relative errors of one candidate on one deal, percent."""
    observed = runs.losses(made.targets)
    off = 100 * np.abs(made.predicted[c, split] - observed) / observed
    late = trajectory_share(runs) >= LATE
    held = {"new mixtures": one.unseen & late, "larger size": largest & late}
    return {name: float(np.nanmean(off[:, rows])) for name, rows in held.items()}


def summary(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Mean errors of separate fits, and paired differences of shared ones with their errors."""
    for key, own in grouped(rows, "table", "law", "mixtures"):
        apart = {r["draw"]: r for r in own if r["share"] == "0"}
        for label in [*dict.fromkeys(r["share"] for r in own), "auto"]:
            some = [r for r in own if (r["chosen"] if label == "auto" else r["share"] == label)]
            entry = {**key, "share": label, "draws": len(some)}
            for test in ("new mixtures", "larger size"):
                values = np.array([r[test] for r in some])
                gaps = values - np.array([apart[r["draw"]][test] for r in some])
                entry[test] = float(values.mean())
                entry[f"{test}, less separate"] = float(gaps.mean())
                entry[f"{test}, standard error"] = float(gaps.std(ddof=1) / np.sqrt(len(gaps)))
            yield entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--laws", default="additive,effective")
    given = parser.parse_args()
    made: list[dict[str, Any]] = []
    if OUT.is_file():  # rows of other tables and laws stay
        with OUT.open(newline="") as file:
            made = list(csv.DictReader(file))
    for table in tables():
        for law in given.laws.split(","):
            if given.only and table.name not in given.only.split(","):
                continue
            began = time.monotonic()
            found = list(summary(list(scored(table, law))))
            made = [r for r in made if (r["table"], r["law"]) != (table.name, law)] + found
            harness.write_csv(OUT, made)
            print(f"{table.name}, {law}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
