"""Laws that assume what repeated data are worth."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, FittedLaws
from jaxmix.laws import R_D_STAR, R_N_STAR, repeated
from jaxmix.notes import GUESS, Note

ASSUMED = "what repeated tokens are worth is assumed, not fitted on these runs"


def assume_repetition(
    laws: Sequence[FittedLaw], r_star: float = R_D_STAR, *, r_star_params: float = R_N_STAR
) -> FittedLaws:
    """Laws fitted without repeated data, with a stated decay of repeated tokens.

    Args:
        laws: fits of a law that does not read unique tokens.
        r_star: R*_D; the default is what Muennighoff et al. 2023 fitted (arXiv 2305.16264,
            appendix A).
        r_star_params: R*_N, likewise; only Chinchilla's law has it.

    Returns:
        Laws that read ``unique``; their ``report.notes`` say what was assumed.

    Raises:
        JaxmixError: the law reads unique tokens already, or a decay that is not above 0.
    """
    for name, value in (("r_star", r_star), ("r_star_params", r_star_params)):
        if not (value > 0 and math.isfinite(value)):
            raise JaxmixError(f"{name} must be a number above 0, not {value:g}")
    return FittedLaws(_assumed(law, r_star, r_star_params) for law in laws)


def _assumed(law: FittedLaw, r_star: float, r_star_params: float) -> FittedLaw:
    aware, decays = repeated(law.law), {"R_D_star": r_star, "R_N_star": r_star_params}
    added = {p.name: np.asarray(decays[p.name]) for p in aware.parameters if p.name in decays}
    stated = ", ".join(f"{name} = {float(value):.4g}" for name, value in added.items())
    published = (r_star, r_star_params) == (R_D_STAR, R_N_STAR)
    source = "the published fit of Muennighoff et al. 2023 on C4 (arXiv 2305.16264)"
    note = Note(f"{ASSUMED}: {stated}, {source if published else 'as given'}", GUESS)
    changed = replace(law, law=aware, params={**law.params, **added})
    return changed.with_report(notes=(*law.report.notes, note))
