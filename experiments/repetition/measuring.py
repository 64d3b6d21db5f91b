"""What needs no law: harm over seeds, and which mixtures proxies find best."""

from collections.abc import Iterator
from typing import Any

from experiments.repetition import config
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
    """The scarce domain's best weight by proxies with the whole stock and with matched pools.

    Both have a quarter of the tokens of the large run and differ in their pools alone. The large
    run's losses are those of the larger size at the same weight, and its best weight.
    """
    frame = runs.frame[(runs.frame["seed"] == 0) & (runs.frame["mixture"] != "proportional")]
    pools = frame[f"unique_{config.SCARCE}"]
    proxy = frame["preset"].isin([size.preset for size in config.matched().sizes])
    kinds = {"whole stock": config.STOCKS[0], "matched pools": config.STOCKS[0] / 4}
    whole = pools == config.STOCKS[0]
    large = _by_weight(frame[whole & (frame["preset"] == config.LARGEST)], config.TOKENS)
    for kind, stock in kinds.items():
        for preset, own in frame[proxy & (pools == stock)].groupby("preset", sort=False):
            best = _by_weight(own, config.TOKENS / 4).idxmin()
            yield {
                "proxies": kind,
                "preset": preset,
                "proposed_weight": best,
                "large_run_best_weight": large.idxmin(),
                "large_run_loss": large[best],
                "large_run_least_loss": large.min(),
            }


def _by_weight(frame, tokens: float):
    """Mean loss of the scarce domain at so many tokens, by its weight."""
    own = frame[(frame["tokens"] / tokens - 1).abs() < 0.02]
    return own[f"loss_{config.SCARCE}"].groupby(own[f"w_{config.SCARCE}"].round(3)).mean()
