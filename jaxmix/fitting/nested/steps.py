"""The first stage: a step law for every size and mixture, exponents shared as asked."""

from dataclasses import dataclass, replace

import numpy as np

from jaxmix.fitting.nested.curves import Curves
from jaxmix.fitting.nested.power import LOWEST, fit_power_laws, power_law

_FLAT = 1e-9  # of a loss: what a constant curve may vary by


@dataclass(frozen=True, eq=False)
class Steps:
    """Step laws E + B / D^beta of one target; NaN where a curve has none.

    Attributes:
        E: [c] floors, nats.
        B: [c] coefficients; 0 for a curve with one number of tokens, which knows no other.
        beta: [c] exponents.
        tokens: [c, 2] fewest and most tokens of each curve's rows.
    """

    E: np.ndarray
    B: np.ndarray
    beta: np.ndarray
    tokens: np.ndarray

    def losses(self, tokens: np.ndarray) -> np.ndarray:
        """Predicted losses [g, c] at D [g]; NaN where a curve cannot say, or says less than 0."""
        at = np.asarray(tokens, float)[:, None]
        found = power_law((self.E, self.B, self.beta), at)
        single = self.tokens[:, 0] == self.tokens[:, 1]
        known = ~single | np.isclose(at, self.tokens[:, 0], rtol=1e-9, atol=0)
        return np.where(known & (found > 0), found, np.nan)


@dataclass(frozen=True, eq=False)
class StepFit:
    """What fitting the step laws of one target found.

    Attributes:
        steps: the laws.
        objective: eq. (6) over the rows used.
        gradient: its largest derivative.
        rows: rows used.
        mre: mean relative error on them, percent.
        exponents: how many there are.
        at_bound: labels of exponents at the edge of their range.
        notes: what was left out and what looks odd.
    """

    steps: Steps
    objective: float
    gradient: float
    rows: int
    mre: float
    exponents: int
    at_bound: tuple[str, ...]
    notes: tuple[str, ...]


def fit_steps(curves: Curves, share: str, delta: float, residual: str) -> list[StepFit]:
    """All step laws of all targets in one compiled call."""
    usable, single = _usable(curves, share)
    weights = np.where(usable[..., None], curves.weights, 0.0)
    total = curves.weights.sum((1, 2), where=(usable | single)[..., None], keepdims=True)
    weights = weights / np.where(total > 0, total, 1.0)
    classes = curves.classes(share)
    at = (curves.tokens, curves.losses, weights, classes)
    found = fit_power_laws(*at, delta=delta, residual=residual)
    whole = np.where(single[..., None], curves.weights, 0.0)
    levels = np.sum(whole * curves.losses, -1) / np.where(single, whole.sum(-1), 1.0)
    span = curves.span()
    fits = []
    for t in range(len(curves.losses)):
        alone = single[t]
        steps = Steps(
            E=np.where(alone, levels[t], found.floor[t]),
            B=np.where(alone, 0.0, found.coefficient[t]),
            beta=np.where(alone, LOWEST, found.exponent[t]),
            tokens=np.where((usable[t] | alone)[:, None], span[t], np.nan),
        )
        predicted = np.where(alone[:, None], levels[t][:, None], found.predicted[t])
        used = (curves.weights[t] > 0) & (usable[t] | alone)[:, None]
        error = np.abs(predicted - curves.losses[t])[used] / curves.losses[t][used]
        fit = StepFit(
            steps=steps,
            objective=float(found.objective[t]),
            gradient=float(found.gradient[t]),
            rows=int(used.sum()),
            mre=100.0 * float(np.mean(error)) if used.any() else np.nan,
            exponents=len(np.unique(classes[usable[t]])),
            at_bound=_at_bound(curves, share, found.at_edge[t]),
            notes=(),
        )
        fits.append(replace(fit, notes=_notes(curves, share, t, usable[t], alone, steps)))
    return fits


def _usable(curves: Curves, share: str) -> tuple[np.ndarray, np.ndarray]:
    """[m, c] curves that a step law can be fitted to, and those with one number of tokens.

    A law of its own takes three checkpoints. Two are enough beside others that settle the exponent.
    """
    count = curves.checkpoints()
    classes = curves.classes(share)
    member = classes[:, None] == np.arange(classes.max() + 1)  # [c, s]
    settled = (np.maximum(count - 2, 0) @ member > 0)[:, classes]
    return (count >= 2) & settled, count == 1


def _at_bound(curves: Curves, share: str, edge: np.ndarray) -> tuple[str, ...]:
    labels = {
        "none": [f"beta[{name}]" for name in curves.names],
        "size": [f"beta[{n:.4g}]" for n in curves.n_params],
        "all": ["beta"] * len(edge),
    }[share]
    return tuple(dict.fromkeys(label for label, at in zip(labels, edge, strict=True) if at))


def _notes(
    curves: Curves, share: str, t: int, usable: np.ndarray, alone: np.ndarray, steps: Steps
) -> tuple[str, ...]:
    """What a reader should know about the curves of target t."""
    none = ~(curves.weights[t] > 0).any(-1)
    few = ~(usable | alone | none)
    where = steps.B != 0
    rising = usable & (steps.B < 0) & where & _visible(steps)
    floor = usable & (steps.E == 0)
    remedy = "3 checkpoints" if share != "size" else "3 checkpoints, or 2 beside others of its size"
    remedy = "3 checkpoints, or 2 beside others" if share == "all" else remedy
    said = (
        (none, "without a loss of it: left out"),
        (few, f"with too few checkpoints for a step law: left out; it takes {remedy}"),
        (alone & ~none, "with one number of tokens: used at exactly those tokens only"),
        (rising, "that rise with tokens (B below 0)"),
        (floor, "whose step law has the floor E = 0"),
        (curves.runs > 1, "that pool several runs"),
    )
    return tuple(_count(curves, which, text) for which, text in said if which.any())


def _visible(steps: Steps) -> np.ndarray:
    """Whether a curve moves by more than rounding over its own tokens."""
    first, last = (power_law((steps.E, steps.B, steps.beta), steps.tokens[:, i]) for i in range(2))
    return np.abs(first - last) > _FLAT * np.abs(first)


def _count(curves: Curves, which: np.ndarray, text: str) -> str:
    first = curves.names[int(np.argmax(which))]
    return f"{int(which.sum())} of {len(which)} curves (the first is run {first}) {text}"
