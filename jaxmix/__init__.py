"""Data-mixture scaling laws in JAX: fit them on small runs, then choose the big run's mixture.

The everyday names, each loaded when it is first used, so that ``import jaxmix`` is cheap::

    import jaxmix as jm

    runs = jm.read_runs("runs.csv")
    laws = jm.fit(runs, "additive")
    best = laws.optimize(7e9, 150e9, jm.Constraints(maximum={"books": 0.1}))
    print(best.summary())

The rooms behind them, in the order in which data pass through::

    training -> runs -> fitting (+ laws) -> mixtures -> report

`jaxmix.runs`, `jaxmix.laws`, `jaxmix.fitting`, `jaxmix.mixtures` and `jaxmix.report` work if flax,
grain, orbax and tokenizers are not installed.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "errors": ("JaxmixError",),
    "examples": ("load_example",),
    "fitting": (
        "FittedLaw",
        "FittedLaws",
        "bootstrap",
        "check",
        "compare",
        "extrapolate",
        "fit",
        "load_laws",
        "score",
        "select",
        "simulate",
    ),
    "laws": ("Input", "Law", "Parameter", "get_law"),
    "mixtures": (
        "Constraints",
        "Optimum",
        "Recommendation",
        "next_runs",
        "optimize",
        "optimize_many",
        "pareto",
        "recommend",
    ),
    "report": ("explore", "write_report"),
    "runs": ("RunTable", "read_runs", "write_runs"),
}
_ROOM_OF = {name: room for room, names in _HOMES.items() for name in names}

if TYPE_CHECKING:
    from jaxmix.errors import JaxmixError as JaxmixError
    from jaxmix.examples import load_example as load_example
    from jaxmix.fitting import FittedLaw as FittedLaw
    from jaxmix.fitting import FittedLaws as FittedLaws
    from jaxmix.fitting import bootstrap as bootstrap
    from jaxmix.fitting import check as check
    from jaxmix.fitting import compare as compare
    from jaxmix.fitting import extrapolate as extrapolate
    from jaxmix.fitting import fit as fit
    from jaxmix.fitting import load_laws as load_laws
    from jaxmix.fitting import score as score
    from jaxmix.fitting import select as select
    from jaxmix.fitting import simulate as simulate
    from jaxmix.laws import Input as Input
    from jaxmix.laws import Law as Law
    from jaxmix.laws import Parameter as Parameter
    from jaxmix.laws import get_law as get_law
    from jaxmix.mixtures import Constraints as Constraints
    from jaxmix.mixtures import Optimum as Optimum
    from jaxmix.mixtures import Recommendation as Recommendation
    from jaxmix.mixtures import next_runs as next_runs
    from jaxmix.mixtures import optimize as optimize
    from jaxmix.mixtures import optimize_many as optimize_many
    from jaxmix.mixtures import pareto as pareto
    from jaxmix.mixtures import recommend as recommend
    from jaxmix.report import explore as explore
    from jaxmix.report import write_report as write_report
    from jaxmix.runs import RunTable as RunTable
    from jaxmix.runs import read_runs as read_runs
    from jaxmix.runs import write_runs as write_runs


def __getattr__(name: str) -> Any:
    """An everyday name, loaded from its room at its first use (PEP 562)."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'jaxmix' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"jaxmix.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOM_OF])
