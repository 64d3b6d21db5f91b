"""Measured gains of one mixture over another: differences paired by seed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.runs import RunTable


@dataclass(frozen=True)
class Gain:
    """Loss of a baseline minus loss of a mixture, positive if the mixture is better.

    Attributes:
        mean: mean over seeds, in nats per token.
        sem: standard error of the mean over seeds; NaN with one seed.
        seeds: number of seeds that have both runs.
        noise: standard deviation over seeds of the unpaired losses, in nats per token.
        loss: mean loss of the mixture over these seeds, in nats per token.
    """

    mean: float
    sem: float
    seeds: int
    noise: float
    loss: float

    @property
    def is_clear(self) -> bool:
        """Whether the gain is more than twice its standard error."""
        return self.mean > 2 * self.sem


def mixture_weights(table: RunTable, mixture: str) -> dict[str, float]:
    """The weights of a mixture by domain.

    Raises:
        JaxmixError: no run has a mixture of this name.
    """
    rows = np.flatnonzero(table.frame["mixture"].astype(str) == mixture)
    if not len(rows):
        raise JaxmixError(f"{table.source}: no run has a mixture '{mixture}'")
    return dict(zip(table.domains, table.weights[rows[0]].tolist(), strict=True))


def measured_gains(
    proof: RunTable,
    mixture: str,
    baselines: Iterable[str],
    targets: Mapping[str, float] | Sequence[str],
) -> dict[str, Gain]:
    """What a mixture gained over baselines at the end of the runs, by baseline.

    Args:
        proof: runs of one size by mixture and seed, as for `final_losses`.
        mixture: name of the mixture.
        baselines: names of the mixtures to compare with.
        targets: as for `final_losses`.

    Raises:
        JaxmixError: no seed has runs of the mixture and of a baseline.
    """
    losses = final_losses(proof, targets)
    return {name: gain(losses, mixture, name) for name in baselines}


def final_losses(
    table: RunTable, targets: Mapping[str, float] | Sequence[str]
) -> dict[tuple[str, int], float]:
    """Weighted mean loss of `targets` at the end of every run, by mixture and seed.

    Args:
        table: runs of one size, with columns mixture and seed.
        targets: names, or weights by name, which are normalized.
    """
    weights = dict(targets) if isinstance(targets, Mapping) else dict.fromkeys(targets, 1.0)
    shares = np.array(list(weights.values())) / sum(weights.values())
    losses = shares @ table.losses(list(weights))
    last = table.tokens == table.tokens.max()
    mixtures = table.frame["mixture"].astype(str).tolist()
    seeds = table.frame["seed"].astype(int).tolist()
    return {(mixtures[i], seeds[i]): float(losses[i]) for i in np.flatnonzero(last)}


def gain(losses: Mapping[tuple[str, int], float], mixture: str, baseline: str) -> Gain:
    """The gain of a mixture over a baseline, paired by seed.

    Raises:
        JaxmixError: no seed has runs of both.
    """
    seeds = [s for m, s in losses if m == mixture and (baseline, s) in losses]
    if not seeds:
        raise JaxmixError(f"no seed has runs of both '{mixture}' and '{baseline}'")
    better = np.array([losses[mixture, s] for s in seeds])
    worse = np.array([losses[baseline, s] for s in seeds])
    n = len(seeds)
    difference, loss = worse - better, float(better.mean())
    if n == 1:
        return Gain(float(difference[0]), float("nan"), 1, float("nan"), loss)
    noise = np.sqrt((better.var(ddof=1) + worse.var(ddof=1)) / 2)
    sem = float(difference.std(ddof=1) / n**0.5)
    return Gain(float(difference.mean()), sem, n, float(noise), loss)
