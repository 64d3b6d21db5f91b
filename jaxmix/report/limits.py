"""The constraints of an optimum for readers: in words, with their prices, and for the page."""

from typing import Any, NamedTuple

import numpy as np

from jaxmix.laws import Inputs
from jaxmix.mixtures import Optimum, kl
from jaxmix.mixtures.polytope import Row
from jaxmix.report.markup import size

_MET = 1e-6  # a limit missed by less is met


class Limit(NamedTuple):
    """One constraint: as typed, in words, and in words with what it costs if it binds."""

    label: str
    text: str
    sentence: str


def limits(optimum: Optimum) -> list[Limit]:
    """What an optimum had to meet."""
    given = optimum.constraints
    texts = {row.label: _text(optimum, row) for row in rows_of(optimum, optimum.tokens)}
    if optimum.laws.law.reads("unique"):
        for name, stock in given.available.items():
            text = f"{name} has {size(stock)} tokens, and the law counts what repetition costs"
            texts[f"available {name}"] = text
    for target, more in given.guards.items():
        text = f"loss of {target} at most {more:g} nats above that of the reference mixture"
        texts[_guard(target, more)] = text
    if given.kl_max is not None:
        text = f"KL divergence from the prior mixture at most {given.kl_max:g} nats"
        texts[_divergence(given.kl_max)] = text
    if optimum.pull:
        texts["pull"] = (
            f"a pull to the prior mixture of {optimum.pull:g} nats per nat of divergence"
        )
    return [Limit(label, text, text + _price(optimum, label)) for label, text in texts.items()]


def _price(optimum: Optimum, label: str) -> str:
    if label not in optimum.active:
        return ""
    worth = optimum.worth[label]
    return f" (binding: {worth})" if worth else " (binding)"


def rows_of(optimum: Optimum, tokens: float) -> tuple[Row, ...]:
    """The linear constraints of an optimum at some D."""
    given = optimum.constraints
    return given.rows(
        optimum.domains,
        tokens,
        reads_unique=optimum.laws.law.reads("unique"),
        use_prior=bool(optimum.pull) or given.kl_max is not None,
    )


def _text(optimum: Optimum, row: Row) -> str:
    if row.kind == "epochs":
        stock = optimum.constraints.available[row.name]
        return f"{row.name} at most {row.bound / row.per_epoch:g} epochs of {size(stock)} tokens"
    words = {"minimum": "at least", "maximum": "at most", "pin": "exactly"}
    share = f"{100 * abs(row.bound):.6g}%"
    return f"{row.name} {words[row.kind]} {share}" if row.kind in words else row.label


def broken_limits(optimum: Optimum, h: np.ndarray, x: Inputs | None = None) -> list[str]:
    """Labels of the constraints that another mixture does not meet.

    Args:
        optimum: whose constraints they are.
        h: [k] the other mixture.
        x: inputs of another budget; None for that of the optimum.
    """
    given, x = optimum.constraints, optimum.inputs if x is None else x
    rows = rows_of(optimum, float(x["tokens"]))
    found = [row.label for row in rows if row.slope @ h > row.bound + _MET]
    reference, prior = (given.mixture(name, optimum.domains) for name in ("reference", "prior"))
    for target, more in given.guards.items():
        at, base = (optimum.laws[target].predict({**x, "weights": mix}) for mix in (h, reference))
        found += [_guard(target, more)] if at > base + more + _MET else []
    if given.kl_max is not None and kl(h, prior) > given.kl_max + _MET:
        found.append(_divergence(given.kl_max))
    return list(dict.fromkeys(found))


def _guard(target: str, more: float) -> str:
    return f"{target}<=reference+{more:g}"


def _divergence(most: float) -> str:
    return f"KL<={most:g}"


def page_limits(optimum: Optimum) -> dict[str, Any] | None:
    """What assets/simplex.js needs to obey the same; None if there is nothing."""
    if not limits(optimum):
        return None
    given, names = optimum.constraints, optimum.domains
    rows = [
        {
            "label": row.label,
            "slope": row.slope,
            "bound": row.bound,
            "stock": row.bound * optimum.tokens if row.kind == "epochs" else None,
        }
        for row in rows_of(optimum, optimum.tokens)
    ]
    guards = [
        {"label": _guard(target, more), "target": target, "allowed": more}
        for target, more in given.guards.items()
    ]
    return {
        "rows": rows,
        "guards": guards,
        "reference": given.mixture("reference", names),
        "prior": given.mixture("prior", names),
        "klMax": given.kl_max,
        "klLabel": "" if given.kl_max is None else _divergence(given.kl_max),
        "pull": optimum.pull,
    }
