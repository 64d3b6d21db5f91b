"""The mixtures of a study, by name, from short descriptions of designs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.mixtures import dirichlet_design, grid_design, one_out, uniform, vertices

DESIGNS = ("dirichlet", "grid", "vertices", "one-out", "uniform", "proportional")


@dataclass(frozen=True)
class Design:
    """A set of mixtures.

    Attributes:
        kind: one of DESIGNS; "proportional" is the domains' shares of tokens.
        count: number of mixtures of "dirichlet", or of steps along each edge of "grid"; the other
            kinds need none.
        minimum: smallest weight of every domain; .1 in the paper's grid.
        concentration: parameter of "dirichlet"; 1 is uniform over the simplex.
        seed: seed of "dirichlet".
    """

    kind: str
    count: int = 0
    minimum: float = 0.0
    concentration: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in DESIGNS:
            raise JaxmixError(f"unknown design '{self.kind}'; known: {', '.join(DESIGNS)}")
        if self.kind in ("dirichlet", "grid") and self.count < 1:
            raise JaxmixError(f"design '{self.kind}' needs a count, as {self.kind}:20")


@dataclass(frozen=True)
class Stage:
    """A part of a run with its own weights.

    Attributes:
        share: share of the run's tokens, above 0.
        weights: weights by domain; omitted domains have weight 0.
    """

    share: float
    weights: Mapping[str, float]


def checked_stages(name: str, stages: Sequence[Stage], domains: Sequence[str]) -> tuple[Stage, ...]:
    """Stages with a weight for every domain.

    Raises:
        JaxmixError: shares are not above 0 or do not sum to 1, or weights do not fit.
    """
    shares = [stage.share for stage in stages]
    if not shares or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        listed = ", ".join(f"{share:g}" for share in shares)
        raise JaxmixError(
            f"stages of '{name}': shares {listed} of the tokens; give shares above 0 that sum to 1"
        )
    return tuple(
        Stage(float(stage.share), checked_mixture(f"{name}, stage {i}", stage.weights, domains))
        for i, stage in enumerate(stages, 1)
    )


def checked_mixture(
    name: str, weights: Mapping[str, float], domains: Sequence[str]
) -> dict[str, float]:
    """A weight for every domain; omitted domains have weight 0.

    Raises:
        JaxmixError: a domain is unknown, or the weights are negative or do not sum to 1.
    """
    unknown = sorted(set(weights) - set(domains))
    if unknown:
        raise JaxmixError(f"mixture '{name}': '{unknown[0]}' is not a domain of the study")
    total = sum(weights.values())
    if abs(total - 1) > 0.005 or min(weights.values()) < 0:
        raise JaxmixError(
            f"mixture '{name}': weights sum to {total:g}; give weights of at least 0 that sum to 1"
        )
    return {d: float(weights.get(d, 0.0)) for d in domains}


def average(stages: Sequence[Stage]) -> dict[str, float]:
    """Weights of a run with stages, averaged over tokens.

    >>> average([Stage(0.5, {"a": 1.0, "b": 0.0}), Stage(0.5, {"a": 0.5, "b": 0.5})])
    {'a': 0.75, 'b': 0.25}
    """
    return {d: float(sum(s.share * s.weights[d] for s in stages)) for d in stages[0].weights}


def parse_design(text: str) -> Design:
    """Reads ``kind[:count][,minimum=..][,concentration=..][,seed=..]``.

    >>> parse_design("dirichlet:20,minimum=0.02")
    Design(kind='dirichlet', count=20, minimum=0.02, concentration=1.0, seed=0)

    Raises:
        JaxmixError: the text is not of this form.
    """
    head, *options = text.split(",")
    kind, _, count = head.partition(":")
    pairs = {name: value for name, _, value in (option.partition("=") for option in options)}
    wrong = JaxmixError(f"design '{text}': write kind:count,minimum=0.1,concentration=1,seed=0")
    if set(pairs) - {"minimum", "concentration", "seed"}:
        raise wrong
    try:
        numbers = {n: int(v) if n == "seed" else float(v) for n, v in pairs.items()}
        parsed = int(count or 0)
    except ValueError:
        raise wrong from None
    return Design(kind.strip(), parsed, **numbers)  # type: ignore[arg-type]


def named_mixtures(
    designs: Sequence[Design], tokens: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Mixtures of all designs by name, each mixture once.

    Args:
        designs: the designs, in order.
        tokens: training tokens by domain, in the order of the domains.
    """
    found: dict[str, dict[str, float]] = {}
    seen: set[tuple[float, ...]] = set()
    for design in designs:
        for name, row in _points(design, tokens):
            key = tuple(np.round(row, 9))
            if key not in seen:
                seen.add(key)
                unique = name if name not in found else f"{name}-{len(found)}"
                found[unique] = dict(zip(tokens, map(float, row), strict=True))
    return found


def _points(design: Design, tokens: Mapping[str, float]) -> list[tuple[str, np.ndarray]]:
    domains, k = list(tokens), len(tokens)
    match design.kind:
        case "dirichlet":
            rows = dirichlet_design(
                k,
                design.count,
                seed=design.seed,
                concentration=design.concentration,
                minimum=design.minimum,
            )
            return [(f"random{i}", row) for i, row in enumerate(rows)]
        case "grid":
            rows = grid_design(k, design.count, design.minimum)
            return [(f"grid{i}", row) for i, row in enumerate(rows)]
        case "vertices":
            pure = vertices(k) * (1 - k * design.minimum) + design.minimum
            return [(f"only-{d}", row) for d, row in zip(domains, pure, strict=True)]
        case "one-out":
            return [(f"no-{d}", row) for d, row in zip(domains, one_out(k), strict=True)]
        case "uniform":
            return [("uniform", uniform(k)[0])]
    shares = np.array([tokens[d] for d in domains], float)
    return [("proportional", shares / shares.sum())]
