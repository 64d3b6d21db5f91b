"""From tables and budgets to x, the inputs of a law by name: the only code that knows columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from jaxmix.errors import JaxmixError, hint
from jaxmix.laws import Input, Law
from jaxmix.runs import PointTable, RunTable, RunTableError, read_points, resolve_names

Table = RunTable | PointTable | pd.DataFrame


def read_inputs(table: Table, law: Law, domains: Sequence[str]) -> dict[str, np.ndarray]:
    """The inputs of a law at the rows of a table, joined by name.

    Args:
        table: p rows.
        law: says what it reads.
        domains: bare names of the k training domains, the order of the last axis.

    Returns:
        float64 arrays by input name: [p], or [p, k] for inputs that every domain has.

    Raises:
        RunTableError: a column is missing, holds text or an impossible number, or a domain that
            is not asked for has weight.
    """
    frame = table if isinstance(table, pd.DataFrame) else table.frame
    source = "<frame>" if isinstance(table, pd.DataFrame) else table.source
    found = {}
    for one in law.inputs:
        if one.name == "weights":
            aligned = getattr(table, "domains", None) == tuple(domains)
            points = table if aligned else read_points(frame, domains, source=source)
            found["weights"] = points.weights  # type: ignore[union-attr]
        elif one.per == "row":
            found[one.name] = _column(frame, one, one.column(), source)
        else:
            columns = [_column(frame, one, one.column(d), source) for d in domains]
            found[one.name] = np.array(columns).reshape(len(domains), len(frame)).T
    return found


def _column(frame: pd.DataFrame, one: Input, column: str, source: str) -> np.ndarray:
    """One column as float64 [p], its gaps filled with the default."""
    if column not in frame.columns:
        if one.default is None:
            raise RunTableError(
                f"{source}: column '{column}' is missing, which the law reads; add it "
                f"({hint(column, map(str, frame.columns))})"
            )
        return np.full(len(frame), float(one.default))
    try:
        values = frame[column].to_numpy(dtype=np.float64)
    except ValueError:
        raise RunTableError(f"{source}: column '{column}' holds text; write numbers") from None
    if one.default is not None:
        values = np.where(np.isnan(values), one.default, values)
    bad = np.isnan(values) | ((values <= 0) & (values != one.default) if one.unit else False)
    if bad.any():
        row = int(np.argmax(bad))
        rule = "above 0" if one.unit else "that is not missing"
        empty = ", or leave it empty if data never runs out" if one.name == "unique" else ""
        raise RunTableError(
            f"{source}: column '{column}', row {row + 1}: {values[row]:g}; give a number "
            f"{rule}{empty}"
        )
    return values


def budget_inputs(
    law: Law,
    domains: Sequence[str],
    n_params: Any,
    tokens: Any,
    *,
    available: Mapping[str, float] | None = None,
    at: Mapping[str, Any] | None = None,
) -> dict[str, np.ndarray]:
    """The inputs of a law at budgets, all but the weights.

    Args:
        law: says what it reads.
        domains: bare names of the k training domains.
        n_params: N, any shape [...]; ``inf`` is the limit.
        tokens: D, likewise.
        available: stock of tokens by domain, the ``unique`` of a law that reads it; domains left
            out never run out.
        at: other inputs by name; a number, or numbers by domain.

    Returns:
        ``n_params`` and ``tokens`` (read by the law or not), and the law's other inputs but its
        weights: float64 arrays that broadcast; per domain with a last axis k.

    Raises:
        JaxmixError: a budget that is not above 0, an unknown name, or an input without a value.
    """
    found = {"n_params": np.asarray(n_params, float), "tokens": np.asarray(tokens, float)}
    for name, values in found.items():
        bad = values[~(values > 0)]
        if bad.size:
            raise JaxmixError(f"{name} must be above 0 (inf is the limit), not {bad[0]:g}")
    others = [i for i in law.inputs if i.name not in (*found, "weights")]
    given = dict(at or {})
    if available and any(i.name == "unique" for i in others):
        given.setdefault("unique", available)
    unknown = [name for name in given if name not in [i.name for i in others]]
    if unknown:
        none = "it reads nothing but N, D and the weights"
        known = hint(unknown[0], [i.name for i in others]) if others else none
        raise JaxmixError(f"law '{law.name}' has no input '{unknown[0]}'; {known}")
    return found | {i.name: _given(law, i, given.get(i.name), domains) for i in others}


def _given(law: Law, one: Input, value: Any, domains: Sequence[str]) -> np.ndarray:
    """One input at a budget: [] or [k]."""
    if value is None:
        value = one.default
    if value is None:
        raise JaxmixError(
            f"law '{law.name}' reads '{one.name}', which the budget does not give; "
            f"give --at {one.name}=..."
        )
    if one.per == "row":
        return np.asarray(value, float)
    by_domain: Mapping[str, Any] = (
        value if isinstance(value, Mapping) else dict.fromkeys(domains, value)
    )
    bare = {resolve_names([d], domains, "domain")[0]: v for d, v in by_domain.items()}
    missing = [d for d in domains if d not in bare]
    if missing and one.default is None:
        raise JaxmixError(f"input '{one.name}' lacks domain '{missing[0]}'; give one for each")
    default = np.nan if one.default is None else one.default
    values = np.array([bare.get(d, default) for d in domains], np.float64)
    if not np.all(values > 0):
        worst = domains[int(np.argmin(values > 0))]
        raise JaxmixError(f"'{one.name}' of domain '{worst}' must be above 0")
    return values
