"""What a proposal costs on published tables: the loss that was measured, among mixtures set aside.

Nothing can be trained anew on these, so that a proposal is one of the mixtures of the table, and
its regret is its measured loss less the lowest one. A fit sees some mixtures; at the budget in
question it sees none.

- RegMix, 17 domains, 1M parameters: 128 random mixtures are fitted, all 768 stand for choice.
- RedPajama (7 domains) and fivemix (5): smaller sizes of half the mixtures are fitted, the mixtures
  of a larger size stand for choice.

Rows as in ``regret.py``, with the mean of all mixtures in the place of the uniform one;
``recommended`` has the best lower bound of its gain over the mixture that was measured best.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from jaxmix.fitting.residual import fit_residual
from jaxmix.fitting.uncertainty.clusters import mixture_labels
from jaxmix.fitting.uncertainty.ensemble import Ensemble
from jaxmix.mixtures import Constraints, optimize
from jaxmix.mixtures.measured import measured_mixtures
from jaxmix.mixtures.recommend import CONFIDENCE, residual_applies
from jaxmix.mixtures.risk import Risk
from jaxmix.mixtures.solve.refits import meets
from jaxmix.runs import RunTable, read_runs

DRAWS, HALVES = 8, 3  # of the 128 mixtures, and of those of a larger size
NOISE = 0.002  # nats by which another seed moves a loss
EIGHT = (
    "github", "pile_cc", "arxiv", "wikipedia_en", "stackexchange", "books3", "pg19", "hackernews",
)  # fmt: skip
_CUTS = ((2e8, 1.5e8), (3e8, 2.5e8), (3e8, 1.5e8))  # size in question, bound of those fitted


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """Rows to fit, and the mixtures that stand for choice with their losses at the budget."""

    table: str
    name: str
    law: str
    fitted: RunTable
    pool: RunTable


def cases(folder: Path) -> Iterator[Case]:
    """All of them, from the folder of published tables."""
    path = folder / "regmix_1M_train512_test256.csv"
    frame = pd.read_csv(path)
    for label in ("pile_cc", "mean"):
        losses = frame.filter(regex="^loss_" if label != "pile_cc" else "^loss_pile_cc$")
        runs = _one_loss(frame, losses.mean(axis=1))
        for seed in range(DRAWS):
            drawn = np.random.default_rng(seed).permutation(len(runs)) < 128
            yield Case(
                table="RegMix",
                name=f"regmix-{label}-{seed}",
                law="additive-fixed-nd",
                fitted=runs.select(drawn),
                pool=runs,
            )
    frame = pd.read_csv(folder / "redpajama_70M-410M.csv", keep_default_na=False)
    frame = frame[frame["flags"] == ""]
    runs = _one_loss(frame, frame["loss_pile_weighted_mean"].astype(float))
    yield from _by_size("RedPajama", runs)
    frame = pd.read_csv(folder / "fivemix.csv")
    runs = _one_loss(frame, frame[[f"loss_{name}" for name in EIGHT]].mean(axis=1))
    yield from _by_size("fivemix", runs)


def _one_loss(frame: pd.DataFrame, loss: pd.Series) -> RunTable:
    kept = frame.filter(regex="^(run|n_params|tokens|w_.*)$").assign(loss_mean=loss)
    return read_runs(kept[loss.notna() & (frame["tokens"] > 9e9) | (frame["tokens"] == 1e9)])


def _by_size(table: str, runs: RunTable) -> Iterator[Case]:
    runs = runs.select(runs.tokens < 3.2e10)  # few go beyond
    labels = mixture_labels(runs.weights)
    for size, below in _CUTS:
        there = np.isclose(runs.n_params, size, rtol=0.02) & (runs.tokens > 3.1e10)
        mixtures = np.unique(labels[there])
        for seed in range(HALVES):
            order = np.random.default_rng(seed).permutation(mixtures)
            aside = np.isin(labels, order[len(order) // 2 :])
            yield Case(
                table=table,
                name=f"{table.lower()}-{size:.0e}-below-{below:.1e}-{seed}",
                law="additive",
                fitted=runs.select((runs.n_params < below) & ~aside),
                pool=runs.select(there),
            )


def judge_case(case: Case, ensemble: Ensemble, level: float) -> dict[str, object]:
    """Regrets by row."""
    laws = ensemble.laws
    n, d = float(case.pool.n_params[0]), float(case.pool.tokens.max())
    inside = optimize(laws, n, d, Constraints(within="range"))
    h, loss = case.pool.weights, case.pool.losses(laws.targets)[0]
    predicted = laws[0].predict({**inside.inputs, "weights": h})
    measured = measured_mixtures(laws, inside.inputs, inside.w)
    assert measured is not None
    anchor = measured.weights[measured.best]
    residual = fit_residual(laws, case.fitted) if residual_applies(inside) else None
    risk = Risk(
        optimum=inside,
        ensemble=ensemble,
        baseline=anchor,
        residual=residual,
        level=level,
        confidence=CONFIDENCE,
    )
    allowed = meets(inside, h)
    picks = {
        "law's optimum": np.argmin(predicted),
        "law within range": np.argmin(np.where(allowed, predicted, np.inf)),
        "recommended": np.argmax(np.where(allowed, risk.bound(h), -np.inf)),
        "best measured": np.argmin(np.linalg.norm(h - anchor, axis=1)),
    }
    regrets = {name: float(loss[i] - loss.min()) for name, i in picks.items()}
    mean = float(loss.mean() - loss.min())
    row: dict[str, object] = {"study": case.name, "design": case.table, "noise": NOISE}
    row["attainable"] = mean
    return row | regrets | {"uniform": mean}
