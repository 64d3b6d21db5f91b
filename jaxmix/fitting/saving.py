"""Fitted laws as readable JSON files that load back to bit-equal predictions."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from jaxmix.fitting.files import LawFileError as LawFileError
from jaxmix.fitting.files import to_json, write_text
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.loading import FORMAT, VERSION
from jaxmix.fitting.loading import load_laws as load_laws
from jaxmix.laws import Law, Parameter, law_recipe


def save_laws(
    path: str | os.PathLike[str],
    laws: Sequence[FittedLaw],
    provenance: Mapping[str, Any] | None = None,
    *,
    law_ref: str | None = None,
) -> None:
    """Writes fits of one law over the same domains, whole or not at all.

    Args:
        path: the file; it appears under its name only when it is complete.
        laws: one fit per target.
        provenance: what a reader should know of the origin; values that JSON can hold.
        law_ref: ``FILE.py:VARIABLE`` of a law of one's own, by which loading finds it again.

    Raises:
        JaxmixError: the fits do not belong together, or the file cannot be written.
    """
    first = laws[0] if laws else None
    if first is None or any(f.law != first.law or f.domains != first.domains for f in laws):
        raise LawFileError(f"{path}: a law file holds fits of one law over the same domains")
    if len({f.target for f in laws}) != len(laws):
        raise LawFileError(f"{path}: two fits have the same target; keep one of each")
    mixtures, used = _shared_mixtures(laws)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "law": law_to_json(first.law, len(first.domains), law_ref),
        "domains": list(first.domains),
        "provenance": dict(provenance or {}),
        "mixtures": dict(zip(first.domains, mixtures.T.tolist(), strict=True)),
        "targets": {f.target: _fit_to_json(f, rows) for f, rows in zip(laws, used, strict=True)},
    }
    write_text(path, to_json(document) + "\n")


def law_to_json(law: Law, k: int, law_ref: str | None) -> dict[str, Any]:
    """What finds a law of k domains again, and what it is."""
    recipe = law_recipe(law)
    return {
        **(recipe or {"name": law.name, "defined_in": law_ref}),
        "formula": law.formula,
        "source": law.source,
        "parameters": law.count(k),
    }


def _shared_mixtures(laws: Sequence[FittedLaw]) -> tuple[np.ndarray, list[list[int] | None]]:
    """The distinct mixtures of all fits [u, k], and each fit's rows of it (None for all)."""
    index: dict[bytes, int] = {}
    found: list[np.ndarray] = []
    used: list[list[int]] = []
    for fit in laws:
        rows = np.ascontiguousarray(fit.data.mixtures, np.float64)  # [u, k], k may be 0
        for row in rows:
            if index.setdefault(row.tobytes(), len(found)) == len(found):
                found.append(row)
        used.append([index[row.tobytes()] for row in rows])
    everything = list(range(len(found)))
    mixtures = np.array(found).reshape(len(found), len(laws[0].domains))
    return mixtures, [None if rows == everything else rows for rows in used]


def _fit_to_json(fit: FittedLaw, mixture_rows: list[int] | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "n_params": [float(x) for x in fit.data.n_params],
        "tokens": [float(x) for x in fit.data.tokens],
    }
    if mixture_rows is not None:
        data["mixtures"] = mixture_rows
    return {"params": params_to_json(fit), "report": asdict(fit.report), "data": data}


def params_to_json(fit: FittedLaw) -> dict[str, Any]:
    """Natural parameters by name: a number, or one per domain by the domain's name."""
    return {p.name: _param_to_json(p, fit) for p in fit.law.parameters}


def _param_to_json(parameter: Parameter, fit: FittedLaw) -> Any:
    value = np.asarray(fit.params[parameter.name], np.float64)
    if parameter.shape == "scalar":
        return float(value)
    return dict(zip(fit.domains, value.tolist(), strict=True))
