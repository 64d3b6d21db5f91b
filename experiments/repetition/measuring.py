"""How much the held-out loss of the scarce domain rises again, over seeds."""

from collections.abc import Iterator
from typing import Any

import config

from jaxmix.runs import RunTable


def rises(runs: RunTable) -> Iterator[dict[str, Any]]:
    """Of runs with several seeds, the least loss of their mean, where it is, and the rise after it."""
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
