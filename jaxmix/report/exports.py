"""Mixtures in the formats of trainers, each with where it comes from."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import fsum, isfinite
from typing import Any, NamedTuple

from jaxmix import __version__
from jaxmix.errors import JaxmixError
from jaxmix.mixtures import Optimum
from jaxmix.report.limits import limits
from jaxmix.runs.names import resolve_name

_ROUNDING = 1e-8  # a weight below 0 or above 1 by no more is 0 or 1
_UNIT = Decimal("1e-27")  # of weights; sums of decimals have 28 digits


class Export(NamedTuple):
    """A mixture to be written.

    Attributes:
        format: a key of ``FORMATS``.
        weights: by domain, as text that reads back as the weight and whose sum is exactly 1.
        paths: what the trainer knows each domain by: a path, a folder or a data set's name.
        given: the paths that are not just the domain's own name.
        total: sum of the weights as they were given.
        tokens: D; None if it is not known or infinite.
        origin: what a reader should know of where the mixture comes from, by name.
    """

    format: str
    weights: dict[str, str]
    paths: dict[str, str]
    given: dict[str, str]
    total: float
    tokens: float | None
    origin: dict[str, str]

    @property
    def used(self) -> dict[str, str]:
        """Weights above 0."""
        return {d: w for d, w in self.weights.items() if float(w) > 0}

    @property
    def written(self) -> list[str]:
        """Domains whose path is in the file."""
        if self.format == "yaml":
            return list(self.given)
        return list(self.weights if self.format == "levanter" else self.used)

    @property
    def text(self) -> str:
        """The whole file."""
        return "\n".join(FORMATS[self.format](self)) + "\n"

    @property
    def notes(self) -> list[str]:
        """What a user should know before training, one sentence each."""
        unused = [d for d in self.weights if d not in self.used]
        unnamed = [d for d in self.written if d not in self.given]
        left_out = f"weight 0, so not in the file: {', '.join(unused)}"
        named = f"no --prefix for {', '.join(unnamed)}: the file has the domain's name as its path"
        said = {
            f"weights renormalized (sum {self.total:.6g})": abs(self.total - 1) > _ROUNDING,
            left_out: unused and self.format not in ("levanter", "yaml"),
            named: unnamed,
        }
        return [note for note, true in said.items() if true]

    def comments(self) -> list[str]:
        """The origin and the domains without weight, as comments of one line each."""
        lines = [f"{name}: {value}" for name, value in self.origin.items()]
        unused = [d for d in self.weights if d not in self.used]
        lines += [f"weight 0: {', '.join(unused)}"] if unused else []
        return [f"# {_printable(line)}" for line in lines]


def export_mixture(mixture: Optimum | Mapping[str, float], format: str, **options: Any) -> str:
    """Returns a mixture as a trainer reads it.

    Args:
        mixture: an optimum, whose tokens and origin are written too; or weights by domain, with
            sum 1 within .005.
        format: one of ``FORMATS``: ``"megatron"`` (``--data-path`` of Megatron-LM), ``"levanter"``
            (the data configuration with ``train_weights``), ``"hf"`` (Python with
            ``interleave_datasets``), ``"olmo-core"`` (a ``SourceMixtureList``) or ``"yaml"``.
        **options: as of ``prepare_export``, like the errors.

    Example:
        >>> print(export_mixture({"web": 0.7, "code": 0.3}, "megatron").splitlines()[-1])
        0.7 web 0.3 code
    """
    return prepare_export(mixture, format, **options).text


def prepare_export(
    mixture: Optimum | Mapping[str, float],
    format: str,
    *,
    prefixes: Mapping[str, str] | None = None,
    tokens: float | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Export:
    """Returns the text of an export and what to know about it.

    Args:
        mixture: as of ``export_mixture``.
        format: likewise.
        prefixes: path or name of each domain's data; the domain's own name if not given.
        tokens: D, for the formats that have a place for it; None for that of an optimum.
        provenance: written as comments, or as keys in ``"yaml"``.

    Raises:
        JaxmixError: an unknown format or domain, a weight that is no number from 0 to 1, a sum that
            is not 1, or a path that two domains share or that the format cannot carry.
    """
    if format not in FORMATS:
        raise JaxmixError(f"unknown format '{format}': choose one of {', '.join(FORMATS)}")
    origin = {"made by": f"jaxmix {__version__}"}
    if isinstance(mixture, Optimum):
        tokens = mixture.tokens if tokens is None else tokens
        origin |= _origin(mixture)
        mixture = mixture.weights
    weights, paths = rounded(mixture), (prefixes or {}).items()
    given = {resolve_name(domain, tuple(weights), "domain"): path for domain, path in paths}
    export = Export(
        format=format,
        weights=weights,
        paths={d: given.get(d, d) for d in weights},
        given=given,
        total=fsum(mixture.values()),
        tokens=tokens if tokens is not None and isfinite(tokens) else None,
        origin=origin | {name: str(value) for name, value in (provenance or {}).items()},
    )
    _check_paths(export)
    return export


def _origin(optimum: Optimum) -> dict[str, str]:
    """What a mixture was optimized for, by name."""
    found = {
        "law": optimum.laws.law.name,
        "budget": optimum.budget,
        "targets": ", ".join(f"{t} {w:.4g}" for t, w in optimum.target_weights.items()),
        "constraints": "; ".join(limits(optimum)),
    }
    return {name: value for name, value in found.items() if value}


def rounded(weights: Mapping[str, float]) -> dict[str, str]:
    """Weights as decimals whose sum is exactly 1.

    Each is the shortest text that reads back as its number, or has 27 decimals; the largest is what
    the others leave of 1.

    Raises:
        JaxmixError: no weights, one that is not from 0 to 1, or a sum off 1 by more than .005.

    >>> rounded({"a": 0.7, "b": 0.29999995, "c": 5e-8})
    {'a': '0.7', 'b': '0.29999995', 'c': '5.0e-8'}
    """
    for name, value in weights.items():
        if not -_ROUNDING <= value <= 1 + _ROUNDING:
            raise JaxmixError(f"weight of '{name}' is {value:g}: weights lie between 0 and 1")
    held = {name: max(float(value), 0.0) for name, value in weights.items()}
    total = fsum(held.values())
    if abs(total - 1) > 0.005:
        raise JaxmixError(f"the weights sum to {total:.6g}, not 1")
    scale = total if abs(total - 1) > _ROUNDING else 1.0  # 0.7 stays 0.7
    found = {n: Decimal(repr(value / scale)).quantize(_UNIT) for n, value in held.items()}
    found[max(held, key=held.__getitem__)] += 1 - sum(found.values())
    return {name: _decimal(value.normalize()) for name, value in found.items()}


def _decimal(value: Decimal | float) -> str:
    """A number as YAML, JSON and Python all read one: YAML 1.1 takes 5e-07 for text.

    >>> _decimal(5e-07), _decimal(1e22), _decimal(Decimal(1))
    ('5.0e-07', '1.0e+22', '1.0')
    """
    text = repr(value) if isinstance(value, float) else str(value).lower()
    digits, e, exponent = text.partition("e")
    return f"{digits if '.' in digits else digits + '.0'}{e}{exponent}"


def _printable(text: str) -> str:
    """One line of what every reader of a comment takes."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _quoted(value: str) -> str:
    r"""A string that YAML and Python both read back.

    >>> print(_quoted('a "b" \\ é'))
    "a \"b\" \\ \xe9"
    """
    escaped = value.encode("unicode_escape").decode("ascii")
    return '"' + escaped.replace('"', r"\"") + '"'


def _check_paths(export: Export) -> None:
    paths = {d: export.paths[d] for d in export.written}
    for d, path in paths.items():
        why = "is empty" if not path.strip() else ""
        if export.format == "megatron" and not why:
            why = _unfit_for_megatron(path)
        if why:
            raise JaxmixError(
                f"{export.format}: path {path!r} of domain '{d}' {why}; name another, such as a "
                "link to it, with --prefix"
            )
    shared, times = next(iter(Counter(paths.values()).most_common(1)), ("", 0))
    if times > 1:
        names = " and ".join(d for d in paths if paths[d] == shared)
        raise JaxmixError(
            f"{export.format}: {names} have one path, {shared!r}; give each its own --prefix, or "
            "one domain the sum of their weights"
        )


def _unfit_for_megatron(path: str) -> str:
    """Why a blend cannot carry a path, or nothing.

    --data-args-path splits its file at white space and knows no quotes; so does the shell in
    --data-path $(...), and in a command that is typed it reads quotes and $ as well.
    """
    found = re.search(r"""[\s'"\\$`*?\[;&|<>()]""", path)
    bad = found[0] if found else next((c for c in path if not c.isprintable()), None)
    if bad:
        return f"holds {bad!a}, which does not survive a Megatron blend"
    return "begins with '-', so Megatron takes it for an option" if path[0] == "-" else ""


def _megatron(export: Export) -> list[str]:
    """Weights above 0 and paths, for ``--data-path $(grep -v '^#' FILE)``.

    Without its comments the file is one for ``--data-args-path``, too.
    """
    parts = [f"{w} {export.paths[d]}" for d, w in export.used.items()]
    return [*export.comments(), " ".join(parts)]


def _levanter(export: Export) -> list[str]:
    configs = []
    for d, path in export.paths.items():
        configs += [f"    {_quoted(d)}:", "      train_urls:", f"        - {_quoted(path)}"]
    weights = [f"    {_quoted(d)}: {w}" for d, w in export.weights.items()]
    return [*export.comments(), "data:", "  configs:", *configs, "  train_weights:", *weights]


def _hf(export: Export) -> list[str]:
    loads = [
        f'    load_dataset({_quoted(export.paths[d])}, split="train", streaming=True),'
        for d in export.used
    ]
    shares = [f"    {w},  # {_printable(d)}" for d, w in export.used.items()]
    return [
        *export.comments(),
        "from datasets import interleave_datasets, load_dataset",
        "",
        *("datasets = [", *loads, "]"),
        *("probabilities = [", *shares, "]"),
        "dataset = interleave_datasets(",
        '    datasets, probabilities=probabilities, seed=0, stopping_strategy="all_exhausted"',
        ")",
    ]


def _olmo_core(export: Export) -> list[str]:
    lines = [*export.comments(), "sources:"]
    for d, w in export.used.items():
        lines += [f"  - source_name: {_quoted(d)}", f"    target_ratio: {w}"]
        lines += ["    paths:", f"      - {_quoted(export.paths[d])}"]
    return lines


def _yaml(export: Export) -> list[str]:
    lines = ["weights:", *(f"  {_quoted(d)}: {w}" for d, w in export.weights.items())]
    if export.tokens:
        lines.append(f"tokens: {_decimal(export.tokens)}")
    if export.given:
        lines += ["paths:", *(f"  {_quoted(d)}: {_quoted(p)}" for d, p in export.given.items())]
    keys = {re.sub(r"[^a-z0-9]+", "_", n.lower()).strip("_"): v for n, v in export.origin.items()}
    return [*lines, "provenance:", *(f"  {key}: {_quoted(value)}" for key, value in keys.items())]


FORMATS: dict[str, Callable[[Export], list[str]]] = {
    "megatron": _megatron,
    "levanter": _levanter,
    "hf": _hf,
    "olmo-core": _olmo_core,
    "yaml": _yaml,
}
