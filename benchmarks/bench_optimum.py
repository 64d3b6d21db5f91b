"""The optimal mixture at 1,000 budgets: 8-domain joint laws, eq. (7) and (8), after compilation."""

import time
from typing import Any

import numpy as np

from jaxmix.fitting import DataRange, FitReport, FittedLaw
from jaxmix.laws import JOINT
from jaxmix.mixtures import optimize_many

DOMAINS = "abcdefgh"
GOAL_SECONDS = 2.0
CASES = {"one target, convex": (1, True), "one target": (1, False), "eight targets": (8, False)}


def joint_law(target: str, convex: bool) -> FittedLaw:
    """A joint law of the size of real ones; eq. (7) is convex where the exponents allow it."""
    rng, k = np.random.default_rng(ord(target)), len(DOMAINS)
    gamma_a, gamma_b = (-1.0 if convex else 1.0) * rng.uniform(0.3, 0.9, 2)
    params = {
        "E": rng.uniform(0.8, 1.5),
        "alpha": rng.uniform(0.3, 0.4),
        "beta": rng.uniform(0.3, 0.4),
        "C": rng.uniform(0.05, 0.5, k) + 3.0 * (np.arange(k) == DOMAINS.index(target)),
        "gamma": rng.uniform(0.2, 0.9 if convex else 2.0, k),
        "C_A": rng.uniform(200, 600, k) ** (1 / gamma_a),
        "C_B": rng.uniform(500, 2000, k) ** (1 / gamma_b),
        "gamma_A": gamma_a,
        "gamma_B": gamma_b,
    }
    held = {name: np.asarray(value, float) for name, value in params.items()}
    data = DataRange((1e8, 1e9), (1e9, 1e11), np.eye(k))
    return FittedLaw(JOINT, target, tuple(DOMAINS), held, data, FitReport(0.0, 0.0, 100, 1, 1))


def optimum(budgets: int = 1000, repeats: int = 3) -> dict[str, Any]:
    """Seconds of ``optimize_many``, other budgets each time: the first call compiles."""
    out: dict[str, Any] = {"budgets": budgets, "goal_seconds": GOAL_SECONDS}
    for name, (targets, convex) in CASES.items():
        laws = [joint_law(target, convex) for target in DOMAINS[:targets]]
        seconds, optima = [], None
        for repeat in range(repeats + 1):
            n = np.geomspace(1e8, 1e11 * (1 + repeat), budgets)
            began = time.perf_counter()
            optima = optimize_many(laws, n, np.geomspace(1e10, 1e13, budgets))
            seconds.append(time.perf_counter() - began)
        assert optima is not None
        out[name] = {
            "seconds": float(np.median(seconds[1:])),
            "with_compilation": seconds[0],
            "starts": int(optima.starts.max()),
            "proven": bool(optima.proven),
            "converged": float(np.mean(optima.converged)),
        }
    return out


if __name__ == "__main__":
    print(optimum())
