"""Whether the weighted loss is convex in h, so that a small duality gap proves the optimum."""

from collections.abc import Callable, Sequence

import numpy as np

from jaxmix.fitting.fitted import StackedLaws

Params = dict[str, np.ndarray]  # every array with a leading axis, the targets
Faults = list[tuple[np.ndarray, str]]  # (which targets break the condition [m], what it was)


def _broken(holds: np.ndarray, what: str) -> tuple[np.ndarray, str]:
    return ~np.all(holds.reshape(len(holds), -1), axis=1), what


def _bias(p: Params) -> Faults:
    """1/S is convex where S is concave and positive: sums of C h^gamma with C >= 0, gamma <= 1."""
    concave = (p["gamma"] <= 1) & (p["gamma"] >= 0) & (p["C"] >= 0)
    return [_broken(concave, "a gamma is above 1")]


def _blend(c: str, gamma: str) -> Callable[[Params], Faults]:
    """(C . h)^gamma is convex for gamma <= 0 and gamma >= 1."""

    def faults(p: Params) -> Faults:
        outside = ((p[gamma] <= 0) | (p[gamma] >= 1)) & np.all(p[c] >= 0, -1)
        return [_broken(outside, f"{gamma} lies between 0 and 1")]

    return faults


def _joint(p: Params) -> Faults:
    return _bias(p) + _blend("C_A", "gamma_A")(p) + _blend("C_B", "gamma_B")(p)


def _positive_c(p: Params) -> Faults:
    return [_broken(p["C"] >= 0, "a C is negative")]


def _ge(p: Params) -> Faults:
    return [_broken((p["gamma"] >= 0) & (p["E"] >= 0) & (p["B"] >= 0), "gamma is negative")]


_CONDITIONS: dict[str, Callable[[Params], Faults]] = {
    "chinchilla": lambda p: [],
    "additive": _bias,
    "additive-fixed-n": _bias,
    "additive-fixed-nd": _bias,
    "joint": _joint,
    "simple": _blend("C", "gamma"),
    "ye-m1": _positive_c,
    "ye-m2": _positive_c,
    "ye-m4": _positive_c,
    "ge": _ge,
}


def convexity(laws: StackedLaws, targets: Sequence[str] | None = None) -> tuple[bool, str]:
    """Whether every target's loss is known to be convex in h, at every N and D.

    Then so is their sum with weights w >= 0, its duality gap bounds how far the loss is above
    the smallest one, and one start is enough.

    Args:
        laws: the fitted parameters.
        targets: names for the reason; None for their positions.

    Returns:
        (proven, reason): the reason is one sentence for people.
    """
    condition = _CONDITIONS.get(laws.law.name)
    if condition is None:
        return False, f"the law '{laws.law.name}' is not known to be convex in the weights"
    params = {name: np.asarray(value) for name, value in laws.params.items()}
    for broken, what in condition(params):
        if broken.any():
            at = int(broken.argmax())
            name = targets[at] if targets else at
            return False, f"the law '{laws.law.name}' of target '{name}' may not be convex: {what}"
    return True, f"the law '{laws.law.name}' is convex in the weights at these parameters"
