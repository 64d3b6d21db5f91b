"""The nested procedure at the rows of another table: one mixture law per size and token count."""

from dataclasses import dataclass

import numpy as np

from jaxmix.fitting import ShareSizes, ShareSteps, extrapolate, fit
from jaxmix.runs import RunTable


@dataclass(frozen=True)
class Nested:
    """How exponents are shared, and the law of the mixture."""

    share_steps: ShareSteps = "size"
    share_sizes: ShareSizes = "all"
    law: str = "ye-m4"

    @property
    def name(self) -> str:
        """What tables call it: ``"nested"``, with what differs from that."""
        parts = (
            f"steps={self.share_steps}" if self.share_steps != "size" else "",
            f"sizes={self.share_sizes}" if self.share_sizes != "all" else "",
            f"mixtures={self.law}" if self.law != "ye-m4" else "",
        )
        changed = ", ".join(part for part in parts if part)
        return f"nested({changed})" if changed else "nested"


def predicted(train: RunTable, test: RunTable, how: Nested, restarts: int) -> np.ndarray:
    """Losses [m, p] at the rows of ``test``, in the order of the targets of ``train``.

    Args:
        train: rows to extrapolate from.
        test: rows to predict; their mixtures may be others.
        how: the procedure.
        restarts: local solves of every mixture law.

    Raises:
        FitError: ``train`` determines too few mixtures at a size and token count of ``test``.
    """
    budgets = np.unique(np.stack([test.n_params, test.tokens], 1), axis=0)  # [b, 2]
    sharing = {"share_steps": how.share_steps, "share_sizes": how.share_sizes}
    at = extrapolate(train, *budgets.T, residual="log", **sharing)
    found = np.empty((len(train.targets), len(test)))
    for n, d in budgets:
        known = at.select((at.n_params == n) & (at.tokens == d))
        laws = fit(known, how.law, targets=train.targets, residual="log", restarts=restarts)
        rows = (test.n_params == n) & (test.tokens == d)
        found[:, rows] = laws.predict(test.select(rows)).to_numpy().T
    return found
