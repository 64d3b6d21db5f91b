"""Fitted laws at a given availability of data, and laws that assume what repetition costs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.laws import R_D_STAR, R_N_STAR, Law, bound, is_bound, repeated
from jaxmix.mixtures.names import resolve


def with_unique(laws: Sequence[FittedLaw], unique: Mapping[str, float]) -> tuple[FittedLaw, ...]:
    """Laws that know repetition, tied to the unique tokens that there are.

    The result is laws of N, D and h like any others: predictions, optima, sensitivities and plans
    work on them. Predictions equal those of the law itself at these unique tokens.

    Args:
        laws: fits of a law such as ``additive+repetition``; tied ones are tied anew.
        unique: unique tokens available by domain; domains left out never repeat (``inf``).

    Raises:
        JaxmixError: an unknown domain, a number not above 0, or a law that knows no repetition.
    """
    return tuple(_tied(law, _available(unique, law.domains)) for law in laws)


def assume_repetition(
    laws: Sequence[FittedLaw],
    unique: Mapping[str, float],
    r_star: float = R_D_STAR,
    *,
    r_star_params: float = R_N_STAR,
) -> tuple[FittedLaw, ...]:
    """Laws fitted without repeated data, with a stated decay of repeated tokens.

    Args:
        laws: fits of a law that knows no repetition.
        unique: unique tokens available by domain; domains left out never repeat (``inf``).
        r_star: R*_D; the default is what Muennighoff et al. 2023 fitted (arXiv 2305.16264,
            appendix A).
        r_star_params: R*_N, likewise; only Chinchilla's law has it.

    Returns:
        Laws tied to the availability, whose ``report.notes`` say what was assumed.

    Raises:
        JaxmixError: as for ``with_unique``; a law that knows repetition already, or a decay that is
            not above 0.
    """
    for name, value in (("r_star", r_star), ("r_star_params", r_star_params)):
        if not (value > 0 and math.isfinite(value)):
            raise JaxmixError(f"{name} must be a number above 0, not {value:g}")
    decays = {"R_D_star": r_star, "R_N_star": r_star_params}
    return tuple(_assumed(law, decays, _available(unique, law.domains)) for law in laws)


def unique_of(law: FittedLaw) -> np.ndarray:
    """Unique tokens [k] that a law is tied to; inf where it is tied to none."""
    if not is_bound(law.law):
        return np.full(len(law.domains), np.inf)
    return np.asarray(law.params["unique"])


def _available(unique: Mapping[str, float], domains: Sequence[str]) -> np.ndarray:
    given = resolve(unique, domains, "domain")
    for name, value in given.items():
        if not value > 0:
            raise JaxmixError(f"unique tokens of '{name}' must be above 0, not {value:g}")
    return np.array([given.get(name, np.inf) for name in domains])


def _tied(law: FittedLaw, unique: np.ndarray) -> FittedLaw:
    if not (is_bound(law.law) or "unique" in law.law.uses):
        raise JaxmixError(
            f"law '{law.law.name}' knows no repetition: fit '{law.law.name}+repetition' on rows "
            "that repeat data, or use assume_repetition"
        )
    return replace(law, law=bound(law.law), params={**law.params, "unique": unique})


def _assumed(law: FittedLaw, decays: Mapping[str, float], unique: np.ndarray) -> FittedLaw:
    aware: Law = repeated(law.law)
    added = {p.name: np.asarray(decays[p.name]) for p in aware.parameters if p.name in decays}
    stated = ", ".join(f"{name} = {float(value):.4g}" for name, value in added.items())
    published = all(decays[n] == d for n, d in (("R_D_star", R_D_STAR), ("R_N_star", R_N_STAR)))
    origin = (
        "the published fit of Muennighoff et al. 2023 on C4 (arXiv 2305.16264)"
        if published
        else "as given"
    )
    note = (
        f"what repeated tokens are worth is assumed, not fitted on these runs: {stated}, {origin}"
    )
    tied = replace(law, law=bound(aware), params={**law.params, **added, "unique": unique})
    return tied.with_report(notes=(*law.report.notes, note))
