"""The constraints of an optimum for readers and for the page: what binds, and what breaks them."""

from dataclasses import replace
from typing import Any

import numpy as np

from jaxmix.laws import Inputs
from jaxmix.mixtures import Optimum, kl
from jaxmix.mixtures.polytope import Row
from jaxmix.mixtures.solve.problem import problem_of
from jaxmix.report.markup import size

_MET = 1e-6  # a limit missed by less is met


def rows_of(optimum: Optimum, x: Inputs | None = None) -> list[Row]:
    """The constraints of an optimum: linear rows, guardrails and KL.

    Args:
        optimum: whose constraints they are.
        x: inputs of another budget; None for that of the optimum.
    """
    given = optimum.constraints
    problem = replace(problem_of(optimum), x=dict(x or optimum.inputs))
    linear = given.rows(
        optimum.domains,
        float(problem.x["tokens"]),
        reads_unique=optimum.laws.law.reads("unique"),
        use_prior=bool(optimum.pull) or given.kl_max is not None,
    )
    curved = problem.program(optimum.laws.stacked).rows
    rows = [*linear, *(row for row in curved if row.kind in ("guard", "kl"))]
    return list({(row.label, *row.slope): row for row in rows}.values())


def limits(optimum: Optimum) -> dict[str, str]:
    """What an optimum had to meet: by its label a sentence, with what it costs if it binds."""
    stock = optimum.constraints.available
    found = {row.label: row.label for row in rows_of(optimum)}
    for row in rows_of(optimum):
        if row.kind == "epochs":
            found[row.label] += f" of {size(stock[row.name])} tokens"
        if row.label in optimum.active:
            worth = optimum.worth[row.label]
            found[row.label] += f" (binding: {worth})" if worth else " (binding)"
    if optimum.laws.law.reads("unique"):
        for name, tokens in stock.items():
            text = f"{name}: {size(tokens)} tokens"
            found[text] = f"{text}, whose repetition the law prices"
    if optimum.pull:
        found["pull"] = f"a pull of {optimum.pull:g} nats per nat of divergence from the prior"
    return found


def broken_limits(optimum: Optimum, h: np.ndarray, x: Inputs | None = None) -> list[str]:
    """Labels of the constraints that another mixture [k] does not meet; ``x`` as in ``rows_of``."""
    losses = optimum.laws.predict({**(x or optimum.inputs), "weights": h}).to_numpy()[0]
    values = np.append(losses, kl(h, optimum.constraints.mixture("prior", optimum.domains)))

    def value(row: Row) -> float:
        return float(row.slope @ h if row.losses is None else values[row.losses > 0].sum())

    rows = [row for row in rows_of(optimum, x) if value(row) > row.bound + _MET]
    return list(dict.fromkeys(row.label for row in rows))


def page_limits(optimum: Optimum) -> dict[str, Any] | None:
    """What assets/simplex.js needs to obey the same; None if there is nothing to obey."""
    given, rows, names = optimum.constraints, rows_of(optimum), optimum.domains
    if not (rows or optimum.pull):
        return None
    return {
        "rows": [
            {
                "label": row.label,
                "slope": row.slope,
                "bound": row.bound,
                "stock": row.bound * optimum.tokens if row.kind == "epochs" else None,
            }
            for row in rows
            if row.losses is None
        ],
        "guards": [
            {"label": row.label, "target": row.name, "allowed": given.guards[row.name]}
            for row in rows
            if row.kind == "guard"
        ],
        "reference": given.mixture("reference", names),
        "prior": given.mixture("prior", names),
        "klMax": given.kl_max,
        "klLabel": f"KL<={given.kl_max:g}" if given.kl_max else "",
        "pull": optimum.pull,
    }
