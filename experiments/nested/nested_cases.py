"""What is fitted and what is predicted: every law sees the same rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from experiments import family_tables, harness
from jaxmix.fitting.selection import mixture_ids, trajectory_share
from jaxmix.runs import RunTable, read_runs

OURS = ("api_docs", "code_python", "multilingual", "scripture")  # the last is never trained on
HALF = 0.51  # of a trajectory, with room for a checkpoint right in its middle


@dataclass(frozen=True, eq=False)
class Case:
    """One split of a table, or the parts of one that are averaged.

    Attributes:
        name: in the results.
        parts: bool [p] rows to fit and bool [p] rows to predict.
    """

    name: str
    parts: Sequence[tuple[np.ndarray, np.ndarray]]


def redpajama() -> RunTable:
    """Published runs: the overall loss, and five groups averaged by their share of validation."""
    runs, overall = family_tables.redpajama(), "loss_pile_weighted_mean"
    shares = pd.read_csv(harness.published("mixinglaws_valid_weights.csv"))
    kept = runs.frame.filter(regex=rf"^(run|n_params|tokens|w_.*|{overall})$").copy()
    for name, group in shares.groupby("group_notebook"):
        losses = runs.frame[group["column"]].astype(float)
        kept[f"loss_{name}"] = np.average(losses, axis=1, weights=group["valid_weight"])
    return read_runs(kept)


def tables(smoke: bool) -> Iterator[tuple[str, RunTable]]:
    """The tables that can be read here; a trial takes ours alone, with one target."""
    if smoke:
        yield "text", only(family_tables.text(), OURS[:1])
        return
    if family_tables.published_are_here():
        yield "RedPajama", redpajama()
    yield "text", only(family_tables.text(), OURS)


def only(runs: RunTable, targets: Sequence[str]) -> RunTable:
    """The table with some of its losses."""
    drop = [f"loss_{t}" for t in runs.targets if t not in targets]
    return read_runs(runs.frame.drop(columns=drop))


def cases(runs: RunTable, seed: int = 0) -> Iterator[Case]:
    """Larger, longer, both, and unseen mixtures."""
    large = runs.n_params == runs.n_params.max()
    late = trajectory_share(runs) > HALF
    yield Case("larger", [(~large, large)])
    yield Case("longer", [(~large & ~late, ~large & late)])
    yield Case("larger and longer", [(~large & ~late, large & late)])
    yield Case("unseen mixtures", list(folds(runs, 3, seed)))


def folds(runs: RunTable, count: int, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Whole mixtures dealt into parts, each predicted from the others."""
    ids = mixture_ids(runs)
    order = np.random.default_rng(seed).permutation(np.unique(ids))
    for i in range(count):
        held = np.isin(ids, order[i::count])
        yield ~held, held


def at_one_budget(name: str, runs: RunTable) -> RunTable:
    """The last checkpoints of the size with the most mixtures; of ours the largest of those."""
    counts = {n: len(np.unique(mixture_ids(runs)[runs.n_params == n])) for n in set(runs.n_params)}
    size = max(counts, key=lambda n: (counts[n], n))
    here = runs.select(runs.n_params == size)
    return here.select(here.tokens == here.tokens.max())


def regmix() -> tuple[RunTable, list[tuple[np.ndarray, np.ndarray]]]:
    """512 published mixtures of 17 domains to fit and 256 to predict, three losses."""
    runs = only(family_tables.regmix(), ("pile_cc", "github", "arxiv"))
    test = runs.frame["split"].to_numpy() == "test"
    return runs, [(~test, test)]
