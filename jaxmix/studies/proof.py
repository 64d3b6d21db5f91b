"""Recommended mixtures put to the test: runs of a larger size beside baselines, over seeds."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jaxmix.mixtures import Recommendation
from jaxmix.runs import RunTable
from jaxmix.studies.gains import Gain, measured_gains
from jaxmix.studies.mixtures import Design
from jaxmix.studies.study import Size, Study

BASELINES = ("uniform", "proportional")  # designs of mixtures that every other is compared with


@dataclass(frozen=True)
class TestedGain:
    """A predicted gain and what was measured.

    Attributes:
        baseline: what the recommended mixture is compared with.
        predicted: the gain between the ends of its interval: low, estimate, high; nats.
        measured: the gain over seeds.
    """

    __test__ = False  # not for pytest

    baseline: str
    predicted: tuple[float, float, float]
    measured: Gain

    @property
    def off(self) -> float:
        """Distance of the measured gain from the interval, nats; 0 inside it."""
        low, _, high = self.predicted
        return max(low - self.measured.mean, self.measured.mean - high, 0.0)


def proof_study(
    study: Study, size: Size, mixtures: Mapping[str, Mapping[str, float]], seeds: Sequence[int]
) -> Study:
    """Recommended mixtures beside uniform and proportional ones at one size, by seed.

    Args:
        study: the study that the recommendation comes from; its other settings stay.
        size: the size to train, with its tokens.
        mixtures: weights by name and domain, which are rounded (`rounded_weights`).
        seeds: seeds of the runs.
    """
    return replace(
        study,
        sizes=(size,),
        designs=tuple(Design(name) for name in BASELINES),
        mixtures={name: rounded_weights(weights) for name, weights in mixtures.items()},
        seeds=tuple(seeds),
    )


def put_to_test(
    found: Recommendation,
    proof: RunTable,
    mixture: str,
    baselines: Mapping[str, str],
    targets: Mapping[str, float] | Sequence[str],
) -> list[TestedGain]:
    """Predicted gains beside measured ones.

    Args:
        found: the recommendation.
        proof: runs of the size that it is for, as for `final_losses`.
        mixture: name of the recommended mixture in these runs.
        baselines: names of baselines in these runs by their names in ``found.gains``.
        targets: as for `final_losses`.

    Raises:
        JaxmixError: no seed has runs of the mixture and of a baseline.
    """
    over = measured_gains(proof, mixture, baselines.values(), targets)
    return [TestedGain(name, found.gains[name], over[run]) for name, run in baselines.items()]


def rounded_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights to three decimals with sum 1, which stay the same when they are found anew.

    >>> rounded_weights({"a": 1 / 3, "b": 2 / 3})
    {'a': 0.333, 'b': 0.667}
    """
    ends = [round(end, 3) for end in itertools.accumulate(weights.values(), initial=0.0)]
    steps = [round(b - a, 3) for a, b in itertools.pairwise(ends)]
    return dict(zip(weights, steps, strict=True))
