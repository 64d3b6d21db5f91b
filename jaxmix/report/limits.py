"""The constraints of an optimum for readers and for the page: what binds, and what breaks them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from jaxmix.laws import Inputs
from jaxmix.mixtures import Optimum, kl
from jaxmix.mixtures.polytope import Row
from jaxmix.mixtures.solve.problem import problem_of
from jaxmix.report.markup import percent, size

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
    """What an optimum had to meet: by its label a sentence, with what it costs if it binds.

    Of the range that was run only the ends that bind are told.
    """
    stock = optimum.constraints.available
    rows = [r for r in rows_of(optimum) if r.kind != "run" or r.label in optimum.active]
    found = {row.label: _said(row, stock) for row in rows}
    for label in [name for name in found if name in optimum.active]:
        worth = optimum.worth[label]
        found[label] += f"; it binds: {worth}" if worth else "; it binds"
    if optimum.laws.law.reads("unique"):
        for name, tokens in stock.items():
            text = f"{name}: {size(tokens)} tokens"
            found[text] = f"{text}, whose repetition the law prices"
    if optimum.pull:
        found["pull"] = f"a pull of {optimum.pull:g} nats per nat of divergence from the prior"
    return found


def _said(row: Row, stock: Mapping[str, float]) -> str:
    """A limit in words."""
    bound = percent(abs(row.bound))
    if row.kind in ("minimum", "maximum"):
        return f"{row.name}: at {'most' if row.kind == 'maximum' else 'least'} {bound}"
    if row.kind == "run" and row.name:
        end = "most" if row.slope.sum() > 0 else "least"
        return f"{row.name}: at {end} {bound}, the {end} that was run"
    if row.kind == "pin":
        return f"{row.name}: exactly {bound}"
    if row.kind == "epochs":
        passes = row.bound / row.per_epoch
        share = f", or {bound} of the run" if row.bound < 1 else ""
        times = f"{passes:.3g} {'pass' if passes == 1 else 'passes'}"
        return f"{row.name}: at most {times} over its {size(stock[row.name])} tokens{share}"
    if row.kind == "guard":
        return f"loss of {row.name}: {row.label.removeprefix(row.name)}"
    return row.label


def broken_limits(optimum: Optimum, h: np.ndarray, x: Inputs | None = None) -> list[str]:
    """Labels of the constraints that another mixture [k] does not meet; ``x`` as in ``rows_of``."""
    losses = optimum.laws.predict({**(x or optimum.inputs), "weights": h}).to_numpy()[0]
    values = np.append(losses, kl(h, optimum.constraints.mixture("prior", optimum.domains)))

    def value(row: Row) -> float:
        return float(row.slope @ h if row.losses is None else values[row.losses > 0].sum())

    limits = [row for row in rows_of(optimum, x) if row.kind != "run"]
    rows = [row for row in limits if value(row) > row.bound + _MET]
    return list(dict.fromkeys(row.label for row in rows))


def page_limits(optimum: Optimum) -> dict[str, Any] | None:
    """What assets/explore.js needs to tell which limits a mixture breaks; None without limits."""
    given, rows, names = optimum.constraints, rows_of(optimum), optimum.domains
    rows = [row for row in rows if row.kind != "run"]
    if not rows:
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
    }
