"""Laws with known parameters, as fits of them would come."""

from collections.abc import Callable

import numpy as np
import pytest

from jaxmix.fitting.fitted import DataRange, FitReport, FittedLaw, FittedLaws
from jaxmix.laws import JOINT, Law

REPORT = FitReport(objective=0.0, gradient_norm=0.0, rows=100, restarts=1, agreeing=1)


def fitted(
    law: Law, params: dict, domains: str, targets: str | None = None, mixtures: object = None
) -> FittedLaws:
    """One fit per letter of ``targets``; parameters carry a leading axis, the targets."""
    names = tuple(domains)
    data = DataRange((1e8, 1e9), (1e9, 1e11), np.eye(len(names)) if mixtures is None else mixtures)
    rows = {name: np.asarray(value, float) for name, value in params.items()}
    return FittedLaws(
        FittedLaw(law, target, names, {n: v[i] for n, v in rows.items()}, data, REPORT)
        for i, target in enumerate(targets or domains)
    )


def joint_params(seed: int, m: int, k: int, *, convex: bool = True) -> dict:
    """Parameters of m joint laws over k domains, the first m domains being the targets."""
    rng = np.random.default_rng(seed)
    sign = -1.0 if convex else 1.0
    gamma_a, gamma_b = sign * rng.uniform(0.3, 0.9, (2, m))
    level_a, level_b = rng.uniform(200, 600, (m, k)), rng.uniform(500, 2000, (m, k))
    return {
        "E": rng.uniform(0.8, 1.5, m),
        "alpha": rng.uniform(0.3, 0.4, m),
        "beta": rng.uniform(0.3, 0.4, m),
        "C": rng.uniform(0.05, 0.5, (m, k)) + 3 * np.eye(m, k),
        "gamma": rng.uniform(0.2, 0.9 if convex else 2.0, (m, k)),
        "C_A": level_a ** (1 / gamma_a[:, None]),
        "C_B": level_b ** (1 / gamma_b[:, None]),
        "gamma_A": gamma_a,
        "gamma_B": gamma_b,
    }


@pytest.fixture(scope="session")
def fit_of() -> Callable[..., FittedLaws]:
    return fitted


@pytest.fixture(scope="session")
def joint3() -> FittedLaws:
    """Three targets that are the three domains; convex."""
    return fitted(JOINT, joint_params(0, 3, 3), "abc")


@pytest.fixture(scope="session")
def joint8() -> FittedLaws:
    """Eight targets that are the eight domains; convex."""
    return fitted(JOINT, joint_params(1, 8, 8), "abcdefgh")


@pytest.fixture(scope="session")
def rough3() -> FittedLaws:
    """Three targets whose loss is not known to be convex."""
    return fitted(JOINT, joint_params(2, 3, 3, convex=False), "abc")
