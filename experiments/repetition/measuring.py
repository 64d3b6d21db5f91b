"""What needs no law: harm over seeds, and which mixtures proxies find best."""

from collections.abc import Iterator
from typing import Any

import config
import numpy as np
from config import GOALS

from jaxmix.runs import RunTable


def rises(runs: RunTable) -> Iterator[dict[str, Any]]:
    """Of runs with several seeds: the least loss of their mean, where it is, and the rise after."""
    frame = runs.frame[runs.frame[f"unique_{config.SCARCE}"] == config.STOCKS[0]]
    for (preset, mixture), own in frame.groupby(["preset", "mixture"], sort=False):
        losses = own.pivot(index="seed", columns="tokens", values=f"loss_{config.SCARCE}")
        if len(losses) < 2:
            continue
        best, last = losses.mean().idxmin(), losses.columns[-1]
        rise = losses[last] - losses[best]
        reads = own[f"w_{config.SCARCE}"].iloc[0] / config.STOCKS[0]
        yield {
            "preset": preset,
            "mixture": mixture,
            "seeds": len(losses),
            "epochs_at_least": float(best * reads),
            "least_loss": losses[best].mean(),
            "epochs_at_end": float(last * reads),
            "last_loss": losses[last].mean(),
            "rise": rise.mean(),
            "sem": rise.sem(),
        }


def proxies(runs: RunTable) -> Iterator[dict[str, Any]]:
    """The best weight by proxies with the whole stock and with matched pools, and what it gives.

    Both have a quarter of the tokens of the large run and differ in their pools alone. A weight's
    loss is the mean over the mixtures that have it; the large run's is that of the mixture with the
    nearest weight.
    """
    frame = runs.frame[(runs.frame["seed"] == 0) & (runs.frame["mixture"] != "proportional")]
    pools = frame[f"unique_{config.SCARCE}"]
    small = frame["preset"].isin([size.preset for size in config.matched().sizes])
    kinds = {
        "whole stock": frame[small & (pools == config.STOCKS[0])],
        "matched pools": frame[small & (pools == config.STOCKS[0] / 4)],
    }
    large = frame[(frame["preset"] == config.LARGEST) & (pools == config.STOCKS[0])]
    for goal, domains in GOALS.items():
        target = _by_weight(large, config.TOKENS, domains)
        for kind, rows in kinds.items():
            for preset, own in rows.groupby("preset", sort=False):
                losses = _by_weight(own, config.TOKENS / 4, domains)
                best = losses.idxmin()
                nearest = min(target.index, key=lambda w, best=best: abs(np.log(w / best)))
                yield {
                    "goal": goal,
                    "proxies": kind,
                    "preset": preset,
                    "proposed_weight": best,
                    "large_run_best_weight": target.idxmin(),
                    "large_run_loss": target[nearest],
                    "large_run_least_loss": target.min(),
                }


def _by_weight(frame, tokens: float, domains: tuple[str, ...]):
    """Mean loss of some domains at so many tokens, by weight of the scarce domain."""
    own = frame[(frame["tokens"] / tokens - 1).abs() < 0.02]
    losses = own[[f"loss_{domain}" for domain in domains]].mean(axis=1)
    return losses.groupby(own[f"w_{config.SCARCE}"].round(3)).mean()
