"""Nested laws as readable JSON files that load back to bit-equal predictions."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from jaxmix.fitting.files import LawFileError, to_json, write_text
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.loading import (
    FORMAT,
    VERSION,
    Reader,
    find_recorded,
    is_nested,
    load_laws,
    read_document,
    read_mixture_columns,
    read_range,
    read_report,
)
from jaxmix.fitting.nested.how import FORMULA, SOURCE, Nested, NestedReport
from jaxmix.fitting.nested.law import NestedLaw, check_alike
from jaxmix.fitting.nested.steps import Steps
from jaxmix.fitting.saving import law_to_json
from jaxmix.laws import NESTED

_HOW = ("share_steps", "share_sizes", "solver", "restarts", "seed", "delta", "residual")
_VALUES = ("E", "B", "beta")


def save_nested(
    path: str | os.PathLike[str],
    laws: Sequence[NestedLaw],
    provenance: Mapping[str, Any] | None = None,
    *,
    law_ref: str | None = None,
) -> None:
    """Writes the nested laws of one fit, whole or not at all.

    Args:
        path: the file; it appears under its name only when it is complete.
        laws: one per target.
        provenance: what a reader should know of the origin; values that JSON can hold.
        law_ref: ``FILE.py:VARIABLE`` of a mixture law of one's own, by which loading finds it.

    Raises:
        JaxmixError: the laws do not belong together, or the file cannot be written.
    """
    if not laws or len({law.target for law in laws}) != len(laws):
        raise LawFileError(f"{path}: a law file holds one law per target, and at least one")
    check_alike(laws)
    first = laws[0]
    how = {name: getattr(first.how, name) for name in _HOW}
    law = law_to_json(first.law, len(first.domains), law_ref)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "law": {"name": NESTED, **how, "mixture_law": law, "formula": FORMULA, "source": SOURCE},
        "domains": list(first.domains),
        "provenance": dict(provenance or {}),
        "mixtures": dict(zip(first.domains, first.mixtures.T.tolist(), strict=True)),
        "curves": {"n_params": first.n_params.tolist(), "mixture": first.mixture.tolist()},
        "targets": {law.target: _to_json(law) for law in laws},
    }
    write_text(path, to_json(document) + "\n")


def _to_json(law: NestedLaw) -> dict[str, Any]:
    rows = [int(np.flatnonzero((law.mixtures == m).all(1))[0]) for m in law.data.mixtures]
    data = {"n_params": law.data.n_params, "tokens": law.data.tokens, "mixtures": rows}
    return {"steps": steps_to_json(law), "report": asdict(law.report), "data": data}


def steps_to_json(law: NestedLaw) -> dict[str, Any]:
    """The step laws by parameter, a value per curve, and the tokens they were fitted on."""
    steps = law.steps
    spans = {
        "first_tokens": steps.tokens[:, 0].tolist(),
        "last_tokens": steps.tokens[:, 1].tolist(),
    }
    return {name: getattr(steps, name).tolist() for name in _VALUES} | spans


def load_nested(path: str | os.PathLike[str]) -> tuple[NestedLaw, ...]:
    """Reads a file of nested laws; predictions equal those of what was saved, bit for bit.

    Raises:
        JaxmixError: one line that names the file, what is wrong with it and the remedy.
    """
    document, reader = read_document(path), Reader(str(path))
    if not is_nested(document):
        raise LawFileError(f"{path}: holds no nested laws; read it with load_laws")
    how = _how(reader.within("'law'"), reader.get(document, "law", dict), Path(path))
    domains = tuple(str(d) for d in reader.get(document, "domains", list))
    mixtures = read_mixture_columns(reader, reader.get(document, "mixtures", dict), domains)
    curves = reader.get(document, "curves", dict)
    n_params = np.array(reader.numbers(curves, "n_params"))
    mixture = np.array(reader.numbers(curves, "mixture")).astype(int)
    if len(mixture) != len(n_params) or not set(mixture) <= set(range(len(mixtures))):
        raise reader.fail("'curves' does not say size and mixture of each curve")
    laws = []
    for name, entry in reader.get(document, "targets", dict).items():
        own = reader.within(f"target '{name}'")
        steps = _steps(own, own.get(entry, "steps", dict), len(n_params))
        data = read_range(own, own.get(entry, "data", dict), mixtures)
        report = read_report(own, own.get(entry, "report", dict), NestedReport)
        shared = (mixtures, n_params, mixture)
        laws.append(NestedLaw(how, str(name), domains, *shared, steps, data, report))
    if not laws:
        raise reader.fail("'targets' is empty")
    return tuple(laws)


def load_any(path: str | os.PathLike[str]) -> "tuple[FittedLaw, ...] | tuple[NestedLaw, ...]":
    """Reads a file of fitted laws or of nested ones; raises as ``load_laws`` does."""
    return load_nested(path) if is_nested(read_document(path)) else load_laws(path)


def _how(reader: Reader, entry: dict[str, Any], path: Path) -> Nested:
    missing = [name for name in _HOW if name not in entry]
    if missing:
        raise reader.fail(f"'{missing[0]}' is missing")
    inner = reader.within("'mixture_law'")
    law = find_recorded(inner, reader.get(entry, "mixture_law", dict), path)
    try:
        return Nested(mixture_law=law, **{name: entry[name] for name in _HOW})
    except ValueError as error:
        raise reader.fail(str(error)) from error


def _steps(reader: Reader, entry: dict[str, Any], count: int) -> Steps:
    names = (*_VALUES, "first_tokens", "last_tokens")
    values = [np.array(reader.numbers(entry, name)) for name in names]
    if any(len(value) != count for value in values):
        raise reader.fail(f"'steps' does not hold a value for each of the {count} curves")
    floor, coefficient, exponent, first, last = values
    return Steps(floor, coefficient, exponent, np.stack([first, last], -1))
