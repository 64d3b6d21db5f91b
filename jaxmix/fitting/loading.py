"""Reading files of fitted laws: everything by name, every fault in one line."""

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jaxmix.fitting.files import LawFileError
from jaxmix.fitting.fitted import DataRange, FitReport, FittedLaw
from jaxmix.laws import LAWS, NESTED, Law, find_law, get_law, law_from_recipe
from jaxmix.laws.data_reuse import SUFFIX

FORMAT = "jaxmix-law"
VERSION = 1
_NON_FINITE = ("nan", "inf", "-inf")
_KINDS = {dict: "an object", list: "a list", str: "text"}


def load_laws(path: str | os.PathLike[str], law: Law | None = None) -> tuple[FittedLaw, ...]:
    """Reads a law file; predictions equal those of what was saved, bit for bit.

    Args:
        path: a file that ``save_laws`` (or ``jaxmix fit``) wrote.
        law: the law of the fits, where the file does not say where one of one's own is defined.
            A law recorded as ``FILE.py:VARIABLE`` is found by running that Python file.

    Raises:
        JaxmixError: one line that names the file, what is wrong with it and the remedy.
    """
    document, reader = read_document(path), Reader(str(path))
    if is_nested(document):
        raise LawFileError(
            f"{path}: holds nested laws, which are one law of the mixture per budget; give it to "
            "jaxmix score, predict or optimize (Python: load_nested), or fit additive or joint here"
        )
    entry = reader.get(document, "law", dict)
    law = law or find_recorded(reader.within("'law'"), entry, Path(path))
    domains = tuple(str(d) for d in reader.get(document, "domains", list))
    mixtures = read_mixture_columns(reader, reader.get(document, "mixtures", dict), domains)
    targets = reader.get(document, "targets", dict)
    if not targets:
        raise reader.fail("'targets' is empty")
    return tuple(
        _Entry(reader.within(f"target '{name}'"), law, domains).fitted(str(name), entry, mixtures)
        for name, entry in targets.items()
    )


def find_recorded(reader: "Reader", entry: dict[str, Any], path: Path) -> Law:
    """The law that an entry of a file names, or whose Python file it names."""
    name = reader.get(entry, "name", str)
    if "defined_in" not in entry:
        try:
            if find_law(name.removesuffix(SUFFIX)) is None:
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
    return resolve_law(f"{beside}:{variable}" if beside.is_file() else reference)


def resolve_law(law: Law | str) -> Law:
    """The law of that name, or of that ``FILE.py:VARIABLE``; a law itself passes through.

    Raises:
        JaxmixError: no such law, or its file does not run.
    """
    if isinstance(law, Law):
        return law
    try:
        return get_law(law)
    except ValueError:
        raise
    except Exception as error:  # whatever the user's file does when it runs
        file = law.rsplit(":", 1)[0]
        reason = f"{type(error).__name__}: {error}"
        raise LawFileError(f"{file}: cannot be run ({reason}); correct the file") from error


def read_mixture_columns(
    reader: "Reader", held: dict[str, Any], domains: tuple[str, ...]
) -> np.ndarray:
    """The mixtures of the file [u, k], in the order of ``domains``."""
    columns = [reader.numbers(held, d) for d in domains]
    if len({len(c) for c in columns}) > 1:
        raise reader.fail("'mixtures' has columns of different lengths")
    rows = len(columns[0]) if columns else 0
    return np.array(columns, np.float64).reshape(len(domains), rows).T


class _Entry:
    """One target of a law file."""

    def __init__(self, reader: "Reader", law: Law, domains: tuple[str, ...]) -> None:
        self.reader, self.law, self.domains = reader, law, domains

    def fitted(self, target: str, entry: Any, mixtures: np.ndarray) -> FittedLaw:
        if not isinstance(entry, dict):
            raise self.reader.fail("is not an object")
        params = self._params(self.reader.get(entry, "params", dict))
        data = read_range(self.reader, self.reader.get(entry, "data", dict), mixtures)
        report = read_report(self.reader, self.reader.get(entry, "report", dict), FitReport)
        if self.law.own_weight and target not in self.domains:
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


def read_range(reader: "Reader", entry: dict[str, Any], mixtures: np.ndarray) -> DataRange:
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
    return DataRange((n_low, n_high), (d_low, d_high), mixtures[np.array(rows, int)])


Report = TypeVar("Report", bound=FitReport)


def read_report(reader: "Reader", entry: dict[str, Any], kind: type[Report]) -> Report:
    """How a fit ended, from its entry 'report'."""
    known = {}
    for field in fields(kind):
        if field.name in entry:
            known[field.name] = _report_value(entry[field.name])
        elif field.default is MISSING:
            raise reader.fail(f"'report' lacks '{field.name}'")
    return kind(**known)


def _report_value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return float(value) if isinstance(value, str) and value in _NON_FINITE else value


class Reader:
    """Looks things up in a document; what is missing becomes one line that names the file."""

    def __init__(self, path: str, place: str = "") -> None:
        self.path, self.place = path, place

    def within(self, place: str) -> "Reader":
        """The same for a part of the document."""
        return Reader(self.path, f"{self.place}{place}: ")

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


def is_nested(document: Mapping[str, Any]) -> bool:
    """Whether a law file holds nested laws."""
    law = document.get("law")
    return isinstance(law, dict) and law.get("name") == NESTED


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
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
