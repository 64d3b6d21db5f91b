"""Law files: fitted laws as readable JSON that loads back to bit-equal predictions."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.files import to_json, write_text
from jaxmix.fitting.fitted import DataRange, FitReport, FittedLaw, FittedLaws, Measured
from jaxmix.laws import (
    LAWS,
    Law,
    Parameter,
    base_name,
    find_law,
    get_law,
    law_from_recipe,
    law_recipe,
)
from jaxmix.notes import MINOR, Note, rank_of
from jaxmix.runs import RunTable, read_runs

FORMAT = "jaxmix-law"
VERSION = 1
_NON_FINITE = ("nan", "inf", "-inf")
_KINDS = {dict: "an object", list: "a list", str: "text"}


class LawFileError(JaxmixError):
    """A file of fitted laws that cannot be read or written, explained in one line."""


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
    laws = laws if isinstance(laws, FittedLaws) else FittedLaws(laws)
    mixtures, used = _shared_mixtures(laws)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "law": _law_to_json(laws.law, len(laws.domains), law_ref),
        "domains": list(laws.domains),
        "provenance": dict(provenance or {}),
        "notes": list(laws.notes),
        "mixtures": dict(zip(laws.domains, mixtures.T.tolist(), strict=True)),
        "targets": {f.target: _fit_to_json(f, rows) for f, rows in zip(laws, used, strict=True)},
    }
    write_text(path, to_json(document) + "\n")


def _law_to_json(law: Law, k: int, law_ref: str | None) -> dict[str, Any]:
    """What finds a law of k domains again, and what it is."""
    recipe = law_recipe(law)
    return {
        **(recipe or {"name": law.name, "defined_in": law_ref}),
        "formula": law.formula,
        "source": law.source,
        "parameters": law.count(k),
    }


def _shared_mixtures(laws: FittedLaws) -> tuple[np.ndarray, list[list[int] | None]]:
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
    mixtures = np.array(found).reshape(len(found), len(laws.domains))
    return mixtures, [None if rows == everything else rows for rows in used]


def _fit_to_json(fit: FittedLaw, mixture_rows: list[int] | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "n_params": [float(x) for x in fit.data.n_params],
        "tokens": [float(x) for x in fit.data.tokens],
    }
    if mixture_rows is not None:
        data["mixtures"] = mixture_rows
    if fit.data.others:
        data["others"] = {name: list(ends) for name, ends in fit.data.others.items()}
    if fit.data.measured:
        data["measured"] = _measured_to_json(fit.data.measured, fit.data.mixtures)
    report = {**asdict(fit.report), "note_ranks": [rank_of(note) for note in fit.report.notes]}
    return {"params": params_to_json(fit), "report": report, "data": data}


def _measured_to_json(ends: Measured, mixtures: np.ndarray) -> dict[str, list[Any]]:
    """Columns of the runs' last rows; a mixture is a row of those of the target."""
    index = {tuple(row): i for i, row in enumerate(mixtures.tolist())}
    columns = {name: getattr(ends, name).tolist() for name in ("n_params", "tokens", "losses")}
    rows = [index[tuple(row)] for row in ends.weights.tolist()] if index else []
    return {"run": list(ends.run), "mixture": rows, **columns}


def params_to_json(fit: FittedLaw) -> dict[str, Any]:
    """Natural parameters by name: a number, or one per domain by the domain's name."""
    return {p.name: _param_to_json(p, fit) for p in fit.law.parameters}


def _param_to_json(parameter: Parameter, fit: FittedLaw) -> Any:
    value = np.asarray(fit.params[parameter.name], np.float64)
    if parameter.shape == "scalar":
        return float(value)
    return dict(zip(fit.domains, value.tolist(), strict=True))


def load_laws(path: str | os.PathLike[str], law: Law | None = None) -> FittedLaws:
    """Reads a law file; predictions equal those of what was saved, bit for bit.

    Args:
        path: a file that ``save_laws`` (or ``jaxmix fit``) wrote.
        law: the law of the fits, where the file does not say where one of one's own is defined.
            A law recorded as ``FILE.py:VARIABLE`` is found by running that Python file.

    Raises:
        JaxmixError: one line that names the file, what is wrong with it and the remedy.
    """
    document, reader = _read_document(path), _Reader(str(path))
    entry = reader.get(document, "law", dict)
    law = law or _find_recorded(reader.within("'law'"), entry, Path(path))
    domains = tuple(str(d) for d in reader.get(document, "domains", list))
    mixtures = _read_mixtures(reader, reader.get(document, "mixtures", dict), domains)
    targets = reader.get(document, "targets", dict)
    if not targets:
        raise reader.fail("'targets' is empty")
    return FittedLaws(
        _Entry(reader.within(f"target '{name}'"), law, domains).fitted(str(name), entry, mixtures)
        for name, entry in targets.items()
    )


def _find_recorded(reader: "_Reader", entry: dict[str, Any], path: Path) -> Law:
    """The law that an entry of a file names, or whose Python file it names."""
    name = reader.get(entry, "name", str)
    if "defined_in" not in entry:
        try:
            if find_law(base_name(name)) is None:
                raise reader.fail(f"unknown law '{name}'", f"known: {', '.join(LAWS)}")
            return law_from_recipe(entry)
        except LawFileError:
            raise
        except (ValueError, TypeError, AttributeError) as error:
            raise reader.fail(str(error)) from error
    reference = entry["defined_in"]
    if not isinstance(reference, str) or ".py:" not in reference:
        remedy = "pass it: load_laws(path, law=...), or save with law_ref='FILE.py:VARIABLE'"
        raise reader.fail(f"'{name}' is a law of one's own, defined nowhere in the file", remedy)
    file, variable = reference.rsplit(":", 1)
    beside = path.parent / file
    return get_law(f"{beside}:{variable}" if beside.is_file() else reference)


def _read_mixtures(reader: "_Reader", held: dict[str, Any], domains: tuple[str, ...]) -> np.ndarray:
    """The mixtures of the file [u, k], in the order of ``domains``."""
    columns = [reader.numbers(held, d) for d in domains]
    if len({len(c) for c in columns}) > 1:
        raise reader.fail("'mixtures' has columns of different lengths")
    rows = len(columns[0]) if columns else 0
    return np.array(columns, np.float64).reshape(len(domains), rows).T


class _Entry:
    """One target of a law file."""

    def __init__(self, reader: "_Reader", law: Law, domains: tuple[str, ...]) -> None:
        self.reader, self.law, self.domains = reader, law, domains

    def fitted(self, target: str, entry: Any, mixtures: np.ndarray) -> FittedLaw:
        if not isinstance(entry, dict):
            raise self.reader.fail("is not an object")
        params = self._params(self.reader.get(entry, "params", dict))
        data = _read_range(self.reader, self.reader.get(entry, "data", dict), mixtures)
        report = _read_report(self.reader, self.reader.get(entry, "report", dict))
        if self.law.reads_own and target not in self.domains:
            raise self.reader.fail(f"law '{self.law.name}' needs a target that is a domain")
        return FittedLaw(self.law, target, self.domains, params, data, report)

    def _params(self, entry: dict[str, Any]) -> dict[str, np.ndarray]:
        params = {}
        for p in self.law.parameters:
            value: float | list[float]
            if p.shape == "scalar":
                value = self.reader.number(entry, p.name)
            else:
                by_domain = self.reader.get(entry, p.name, dict)
                inner = self.reader.within(f"'{p.name}'")
                value = [inner.number(by_domain, d) for d in self.domains]
            params[p.name] = np.asarray(value, np.float64)
        return params


def _read_range(reader: "_Reader", entry: dict[str, Any], mixtures: np.ndarray) -> DataRange:
    """The edges of the rows of one target, from its entry 'data'."""
    rows = entry.get("mixtures", list(range(len(mixtures))))
    if not isinstance(rows, list) or not all(
        isinstance(r, int) and 0 <= r < len(mixtures) for r in rows
    ):
        raise reader.fail("'mixtures' names rows that the file does not hold")
    ranges = [reader.numbers(entry, key) for key in ("n_params", "tokens")]
    if any(len(r) != 2 for r in ranges):
        raise reader.fail("'n_params' and 'tokens' need a smallest and a largest value")
    (n_low, n_high), (d_low, d_high) = ranges
    others = {
        str(name): (ends[0], ends[1])
        for name in entry.get("others", {})
        for ends in [reader.numbers(entry["others"], name)]
    }
    seen = mixtures[np.array(rows, int)]
    measured = _read_measured(reader.within("'measured'"), entry.get("measured"), seen)
    return DataRange((n_low, n_high), (d_low, d_high), seen, others, measured)


def _read_measured(
    reader: "_Reader", entry: dict[str, Any] | None, mixtures: np.ndarray
) -> Measured | None:
    """The last rows of the runs, from an entry 'measured'."""
    if entry is None:
        return None
    runs, rows = (reader.get(entry, name, list) for name in ("run", "mixture"))
    columns = [np.array(reader.numbers(entry, n)) for n in ("n_params", "tokens", "losses")]
    wrong = any(len(c) != len(runs) for c in columns) or len(rows) not in (0, len(runs))
    if wrong or not all(isinstance(r, int) and 0 <= r < len(mixtures) for r in rows):
        raise reader.fail("columns of different lengths, or mixtures that the file does not hold")
    n, d, losses = columns
    weights = mixtures[np.array(rows, int)] if rows else np.zeros((len(runs), mixtures.shape[1]))
    names = tuple(str(run) for run in runs)
    return Measured(run=names, n_params=n, tokens=d, weights=weights, losses=losses)


def _read_report(reader: "_Reader", entry: dict[str, Any]) -> FitReport:
    """How a fit ended, from its entry 'report'."""
    known = {}
    for field in fields(FitReport):
        if field.name in entry:
            known[field.name] = _report_value(entry[field.name])
        elif field.default is MISSING:
            raise reader.fail(f"'report' lacks '{field.name}'")
    ranks = entry.get("note_ranks") or [MINOR] * len(known.get("notes", ()))
    pairs = zip(known.get("notes", ()), ranks, strict=False)
    notes = tuple(Note(text, rank) if rank != MINOR else text for text, rank in pairs)
    return FitReport(**{**known, "notes": notes})


def _report_value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_report_value(v) for v in value)
    if isinstance(value, dict):
        return {name: _report_value(v) for name, v in value.items()}
    return float(value) if isinstance(value, str) and value in _NON_FINITE else value


class _Reader:
    """Looks things up in a document; what is missing becomes one line that names the file."""

    def __init__(self, path: str, place: str = "") -> None:
        self.path, self.place = path, place

    def within(self, place: str) -> "_Reader":
        """The same for a part of the document."""
        return _Reader(self.path, f"{self.place}{place}: ")

    def fail(self, problem: str, remedy: str = "write the file again with jaxmix fit") -> Exception:
        """The error to raise."""
        return LawFileError(f"{self.path}: {self.place}{problem}; {remedy}")

    def get(self, mapping: Mapping[str, Any], key: str, kind: type) -> Any:
        """An entry of that kind."""
        if key not in mapping:
            raise self.fail(f"'{key}' is missing")
        if not isinstance(mapping[key], kind):
            raise self.fail(f"'{key}' is not {_KINDS[kind]}")
        return mapping[key]

    def number(self, mapping: Mapping[str, Any], key: str) -> float:
        """A number."""
        if key not in mapping:
            raise self.fail(f"'{key}' is missing")
        return self._float(mapping[key], key)

    def numbers(self, mapping: Mapping[str, Any], key: str) -> list[float]:
        """A list of numbers."""
        return [self._float(value, key) for value in self.get(mapping, key, list)]

    def _float(self, value: Any, key: str) -> float:
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if not plain and value not in _NON_FINITE:
            raise self.fail(f"'{key}' holds {json.dumps(value)[:40]}, not a number")
        return float(value)


def _read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A law file as JSON holds it.

    Raises:
        LawFileError: it cannot be read, or is no law file of this version.
    """
    try:
        document = json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise LawFileError(f"{path}: no such file; jaxmix fit writes one") from None
    except OSError as error:
        raise LawFileError(f"{path}: cannot be read ({error.strerror}); name a file") from None
    except (ValueError, RecursionError):
        raise LawFileError(f"{path}: not a law file (not JSON); jaxmix fit writes one") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise LawFileError(
            f"{path}: not a law file ('format' is not \"{FORMAT}\"); jaxmix fit writes one"
        )
    if document.get("version") != VERSION:
        raise LawFileError(
            f"{path}: version {document.get('version')} of the format, but this jaxmix reads "
            f"{VERSION}; install the jaxmix that wrote it, or fit again"
        )
    return document


def read_provenance(law: str | os.PathLike[str]) -> dict[str, Any]:
    """What a law file says of its origin; empty where it says nothing.

    The file is one that ``load_laws`` has read.
    """
    found = json.loads(Path(law).read_bytes()).get("provenance")
    return found if isinstance(found, dict) else {}


def read_fitted_rows(
    law: str | os.PathLike[str],
    runs: str | os.PathLike[str],
    where: str | None = None,
    pool: Sequence[str] = (),
) -> tuple[RunTable, str]:
    """The rows of a table that the laws in a file were fitted on, and how they were weighed.

    Args:
        law: the law file; its provenance says ``where``, ``pool`` and ``weighting``.
        runs: the run table.
        where: the rows, where the file does not say.
        pool: as in ``read_runs``, where the file does not say.
    """
    origin = read_provenance(law)
    chosen = where or origin.get("where") or None
    table = read_runs(runs, where=chosen, pool=tuple(pool or origin.get("pool") or ()))
    return table, str(origin.get("weighting") or "equal")
