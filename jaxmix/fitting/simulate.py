"""Simulated studies: run tables drawn from a known law, design and noise."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import DataRange, FitReport, FittedLaw, FittedLaws
from jaxmix.fitting.precision import float64
from jaxmix.laws import Law, Params, Scales
from jaxmix.runs import RunTable, read_runs

_DRAWS = 4096
_LOSSES = (1.8, 4.8)  # nats: where plausible losses lie
_EFFECT = 0.08  # nats: what N, D and h each move, at least


def simulate(
    law: Law,
    params: Params | Mapping[str, Params],
    *,
    domains: Sequence[str],
    mixtures: Any,
    n_params: Sequence[float],
    tokens: Sequence[float],
    targets: Sequence[str],
    noise: float = 0.0,
    seed: int = 0,
    replicates: int = 1,
    unique: Mapping[str, float] | None = None,
) -> RunTable:
    """Draws a study: every size on every mixture, evaluated at every token count.

    Args:
        law: the true law.
        params: its natural parameters by target; for a single target the parameters themselves.
        domains: bare names of the k domains.
        mixtures: [q, k], rows on the simplex.
        n_params: sizes N of the models.
        tokens: token counts D at which each run is evaluated: one run is one trajectory.
        targets: bare names of the losses; domains, where the law looks at its own weight.
        noise: relative standard deviation of each loss (log-normal, independent).
        seed: of the noise.
        replicates: runs per size and mixture; the ``seed`` column tells them apart.
        unique: unique tokens available by domain, for a law that knows repetition; domains left
            out never repeat.

    Returns:
        The run table; losses where the law diverges are missing.

    Raises:
        JaxmixError: shapes, names or ranges do not fit together.
    """
    truth = true_laws(
        law,
        params,
        domains=domains,
        mixtures=mixtures,
        n_params=n_params,
        tokens=tokens,
        targets=targets,
    )
    return simulate_laws(
        truth,
        mixtures=mixtures,
        n_params=n_params,
        tokens=tokens,
        noise=noise,
        seed=seed,
        replicates=replicates,
        unique=unique,
    )


def simulate_laws(
    truth: Sequence[FittedLaw],
    *,
    mixtures: Any,
    n_params: Sequence[float],
    tokens: Sequence[float],
    noise: float = 0.0,
    seed: int = 0,
    replicates: int = 1,
    unique: Mapping[str, float] | None = None,
) -> RunTable:
    """Draws a study, as ``simulate`` does, from laws that are taken to be true."""
    if noise < 0 or replicates < 1:
        raise JaxmixError("noise must be at least 0 and replicates at least 1")
    domains = truth[0].domains
    mixtures = _mixtures(mixtures, domains)
    available = _available(unique, domains)
    shape = (len(n_params), len(mixtures), replicates, len(tokens))
    size, mixture, replicate, step = (axis.ravel() for axis in np.indices(shape))
    sizes, budgets = np.asarray(n_params, np.float64)[size], np.asarray(tokens, np.float64)[step]
    weights = mixtures[mixture]
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "run": [f"n{s}-m{m}-r{r}" for s, m, r in zip(size, mixture, replicate, strict=True)],
        "n_params": sizes,
        "tokens": budgets,
        "seed": replicate,
        **{f"w_{d}": weights[:, i] for i, d in enumerate(domains)},
        **{f"unique_{d}": np.full(len(sizes), u) for d, u in (unique or {}).items()},
    }
    for law in truth:
        x = {"n_params": sizes, "tokens": budgets, "weights": weights, **available}
        exact = law.predict(x)
        noisy = exact * np.exp(noise * rng.standard_normal(len(exact)))
        columns[f"loss_{law.target}"] = np.where(np.isfinite(exact), noisy, np.nan)
    return read_runs(columns, source="<simulated>")


def true_laws(
    law: Law,
    params: Params | Mapping[str, Params],
    *,
    domains: Sequence[str],
    mixtures: Any,
    n_params: Sequence[float],
    tokens: Sequence[float],
    targets: Sequence[str],
) -> FittedLaws:
    """True parameters as the fitted laws that scores, predictions and optima take."""
    names = tuple(domains)
    if not len(targets) or not len(n_params) or not len(tokens):
        raise JaxmixError("a study needs at least one target, one size and one token count")
    if law.reads_own and not set(targets) <= set(names):
        raise JaxmixError(
            f"law '{law.name}' reads its target's own weight: name targets that "
            f"are domains ({', '.join(names)})"
        )
    by_target: Mapping[str, Any] = params
    if set(targets) - set(params) and len(targets) == 1:
        by_target = {targets[0]: params}
    data = DataRange(_ends(n_params), _ends(tokens), _mixtures(mixtures, names))
    report = FitReport(0.0, 0.0, 0, 0, 0, solver="truth", notes=("true parameters, not a fit",))
    return FittedLaws(
        FittedLaw(law, t, names, _natural(law, by_target, t, len(names)), data, report)
        for t in targets
    )


def random_truth(
    law: Law,
    k: int,
    seed: int,
    *,
    count: int = 1,
    n_params: tuple[float, float] = (1e7, 1e9),
    tokens: tuple[float, float] = (1e9, 1e11),
) -> tuple[dict[str, np.ndarray], ...]:
    """Plausible natural parameters of any law: those of its starting points with sane losses.

    Losses at the corners of the ranges and of the simplex lie in about 2 to 5 nats, and N, D and
    the mixture each move them by at least a tenth of a nat, as far as the law allows.

    Args:
        law: any law.
        k: number of domains.
        seed: of the draw.
        count: how many to return, one for each target.
        n_params: smallest and largest N to be plausible at.
        tokens: smallest and largest D.
    """
    n_unit, d_unit = (float(np.sqrt(low * high)) for low, high in (n_params, tokens))
    with float64():
        keys = jax.random.split(jax.random.key(seed), _DRAWS)
        scales = Scales(n_unit, d_unit, 2.2, 3.6)
        params, losses = _draw(law, k, keys, scales, _corners(law, n_params, tokens, k))
        order = np.argsort(_implausibility(np.asarray(losses), law), kind="stable")
        held = {name: np.asarray(value) for name, value in params.items()}
    return tuple({name: value[i] for name, value in held.items()} for i in order[:count])


@partial(jax.jit, static_argnums=(0, 1))
def _draw(
    law: Law, k: int, keys: jax.Array, scales: Scales, grid: dict[str, jax.Array]
) -> tuple[Params, jax.Array]:
    """Starting points in natural units (leaves [draws, ...]) and their losses [draws, 2, 2, q]."""

    def one(key: jax.Array) -> tuple[Params, jax.Array]:
        params = law.from_working(law.sample_start(key, scales, k), k)
        if law.rescale:
            params = law.rescale(params, 1.0 / scales.n_params, 1.0 / scales.tokens)
        return params, _losses_at(law, params, grid)

    return jax.vmap(one)(keys)


def _losses_at(law: Law, params: Params, grid: dict[str, jax.Array]) -> jax.Array:
    """Losses [2, 2, q] on a grid; inputs without a place in it at their defaults (1 if none)."""
    x = {i.name: jnp.asarray(1.0 if i.default is None else i.default) for i in law.inputs}
    x = {i.name: x[i.name][None] if i.per == "domain" else x[i.name] for i in law.inputs}
    shape = grid["n_params"].shape
    return jnp.broadcast_to(law.loss(params, x | {n: grid[n] for n in grid if n in x}), shape)


def _corners(
    law: Law, n_params: tuple[float, float], tokens: tuple[float, float], k: int
) -> dict[str, np.ndarray]:
    """N and D [2, 2, q] and mixtures [2, 2, q, k]: vertices and center; own weights [2, 2, q]."""
    mixtures = np.vstack([np.eye(k), np.full((1, k), 1.0 / k)])
    weights = np.array([0.05, 0.2, 0.5, 1.0]) if law.reads_own else mixtures
    shape = (2, 2, len(weights))
    grid = {
        "n_params": np.broadcast_to(np.array(n_params)[:, None, None], shape),
        "tokens": np.broadcast_to(np.array(tokens)[:, None], shape),
    }
    return grid | {"weights": np.broadcast_to(weights, (*shape, *weights.shape[1:]))}


def _implausibility(losses: np.ndarray, law: Law) -> np.ndarray:
    """How far draws [draws, 2, 2, q] are from plausible; plausible ones have 0."""
    axes = {"n_params": 1, "tokens": 2, "weights": 3}
    low, high = losses.min((1, 2, 3)), losses.max((1, 2, 3))
    badness = np.maximum(_LOSSES[0] - low, 0) + np.maximum(high - _LOSSES[1], 0)
    for name in (i.name for i in law.inputs if i.name in axes):
        spread = np.ptp(losses, axis=axes[name]).min((1, 2))
        badness = badness + np.maximum(_EFFECT - spread, 0)
    return np.nan_to_num(badness, nan=np.inf)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return float(min(values)), float(max(values))


def _mixtures(mixtures: Any, domains: Sequence[str]) -> np.ndarray:
    found = np.asarray(mixtures, np.float64)
    if found.ndim != 2 or found.shape[1] != len(domains) or not len(found):
        raise JaxmixError(
            f"mixtures must be [q, {len(domains)}] for the domains "
            f"{', '.join(domains)}, not {list(found.shape)}"
        )
    return found


def _available(unique: Mapping[str, float] | None, domains: Sequence[str]) -> dict[str, np.ndarray]:
    """The input ``unique`` [k]; empty if none is given."""
    if unique is None:
        return {}
    unknown = set(unique) - set(domains)
    if unknown or not all(u > 0 for u in unique.values()):
        raise JaxmixError(
            f"unique tokens must be numbers above 0 by domain ({', '.join(domains)}), not "
            f"{dict(unique)}"
        )
    return {"unique": np.array([unique.get(d, np.inf) for d in domains])}


def _natural(law: Law, params: Mapping[str, Any], target: str, k: int) -> dict[str, np.ndarray]:
    if target not in params:
        raise JaxmixError(f"no parameters for target '{target}'")
    found = {}
    for p in law.parameters:
        shape = () if p.shape == "scalar" else (k,)
        value = np.asarray(params[target].get(p.name, np.nan), np.float64)
        if value.shape != shape or not np.isfinite(value).all():
            raise JaxmixError(
                f"parameter '{p.name}' of target '{target}' must be finite numbers "
                f"of shape {list(shape)}"
            )
        found[p.name] = value
    return found
