"""How nested laws (Ye et al. 2024) are fitted, and how that ended."""

from dataclasses import dataclass
from typing import Literal, get_args

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fit import DEFAULT_SOLVER
from jaxmix.fitting.fitted import FitReport
from jaxmix.laws import NESTED, Law, get_law

FORMULA = "steps: E + B/D^beta; sizes: E + A/N^alpha; mixtures at (N, D): a law of h"
SOURCE = "Ye et al. 2024, Data Mixing Laws (arXiv 2403.16952): the nested use of three scaling laws"
ShareSteps = Literal["none", "size", "all"]
ShareSizes = Literal["none", "all"]


@dataclass(frozen=True)
class Nested:
    """How nested laws are fitted.

    Attributes:
        share_steps: step laws with one exponent: ``"none"``, those of one ``"size"`` (as Ye et al.
            have it), or ``"all"``.
        share_sizes: size laws with one exponent: ``"none"`` or ``"all"``.
        mixture_law: the law of the mixture at a budget, or its name; it looks at nothing else.
        solver: of the mixture law.
        restarts: local solves of every mixture law.
        seed: of their starting points.
        delta: Huber threshold of all three stages.
        residual: ``"loss"`` or ``"log"``, likewise.

    Raises:
        JaxmixError: an unknown way to share, or a law that does not fit in.
    """

    share_steps: ShareSteps = "size"
    share_sizes: ShareSizes = "all"
    mixture_law: Law | str = "ye-m4"
    solver: str = DEFAULT_SOLVER
    restarts: int = 16
    seed: int = 0
    delta: float = 1e-3
    residual: Literal["loss", "log"] = "loss"

    def __post_init__(self) -> None:
        for name, kinds in (("share_steps", ShareSteps), ("share_sizes", ShareSizes)):
            if getattr(self, name) not in get_args(kinds):
                known = ", ".join(get_args(kinds))
                raise JaxmixError(f"unknown {name} '{getattr(self, name)}': choose one of {known}")
        law = self.law
        if law.own_weight or law.uses != ("weights",):
            raise JaxmixError(
                f"the {law.name} law looks at {', '.join(law.uses) or 'nothing'}: a mixture law of "
                "the nested laws looks at the weights only; choose ye-m4, ye-implicit-2, ..."
            )

    @property
    def name(self) -> str:
        """What tables call it: ``"nested"``, with what is not as by default."""
        plain = Nested()
        changed = [
            f"{label}={found}"
            for label, found, usual in (
                ("steps", self.share_steps, plain.share_steps),
                ("sizes", self.share_sizes, plain.share_sizes),
                ("mixtures", self.law.name, plain.law.name),
            )
            if found != usual
        ]
        return f"{NESTED}({', '.join(changed)})" if changed else NESTED

    @property
    def law(self) -> Law:
        """The mixture law."""
        return get_law(self.mixture_law) if isinstance(self.mixture_law, str) else self.mixture_law


@dataclass(frozen=True)
class NestedReport(FitReport):
    """How nested fits ended. Inherited fields speak of the step laws, with these exceptions.

    ``restarts``, ``agreeing`` and ``condition`` are those of the mixture law at the largest budget
    of the rows, and ``train_mre`` is that of the whole way, from the rows through three laws back
    to the rows.

    Attributes:
        n_parameters: of all step laws, the size laws at one D and one mixture law.
        curves: sizes and mixtures with a step law.
        step_mre: mean relative error of the step laws on the rows, percent.
        size_mre: of the size laws on what step laws say at the most tokens; NaN without one.
        mixture_mre: of the mixture law on what it was fitted to at the largest budget.
    """

    n_parameters: int = 0
    curves: int = 0
    step_mre: float = float("nan")
    size_mre: float = float("nan")
    mixture_mre: float = float("nan")
