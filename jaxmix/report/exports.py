"""Mixtures in the formats of trainers, each with where it comes from."""

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxmix import __version__
from jaxmix.errors import JaxmixError
from jaxmix.mixtures import Optimum
from jaxmix.report.limits import limits
from jaxmix.runs.names import resolve_name

DIGITS = 6  # after the point; weights sum to exactly 1 in them


class Export(NamedTuple):
    """A mixture to be written.

    Attributes:
        weights: by domain, as text of ``DIGITS`` decimals whose sum is exactly 1.
        used: those above 0.
        paths: what the trainer knows each domain by: a path, a folder or a data set's name.
        given: the paths that are not just the domain's own name.
        tokens: D; None if it is not known or infinite.
        origin: what a reader should know of where the mixture comes from, by name.
    """

    weights: dict[str, str]
    used: dict[str, str]
    paths: dict[str, str]
    given: dict[str, str]
    tokens: float | None
    origin: dict[str, str]

    def comments(self) -> list[str]:
        """The origin and the domains without weight, as comments of one line each."""
        lines = [f"{name}: {value}" for name, value in self.origin.items()]
        unused = [d for d in self.weights if d not in self.used]
        lines += [f"weight 0: {', '.join(unused)}"] if unused else []
        return [f"# {' '.join(line.split())}" for line in lines]


def export_mixture(
    mixture: Optimum | Mapping[str, float],
    format: str,
    *,
    prefixes: Mapping[str, str] | None = None,
    tokens: float | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> str:
    """Returns a mixture as a trainer reads it.

    Args:
        mixture: an optimum, whose tokens and origin are written too; or weights by domain, with
            sum 1 within .005.
        format: one of ``FORMATS``: ``"megatron"`` (``--data-path`` of Megatron-LM), ``"levanter"``
            (the data configuration with ``train_weights``), ``"hf"`` (Python with
            ``interleave_datasets``), ``"olmo-core"`` (a ``SourceMixtureList``) or ``"yaml"``.
        prefixes: path or name of each domain's data; the domain's own name if not given.
        tokens: D, for the formats that have a place for it; None for that of an optimum.
        provenance: written as comments, or as keys in ``"yaml"``.

    Raises:
        JaxmixError: an unknown format or domain, a weight that is no number from 0 to 1, or a sum
            that is not 1.

    Example:
        >>> print(export_mixture({"web": 0.7, "code": 0.3}, "megatron").splitlines()[-1])
        0.700000 web 0.300000 code
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
        weights=weights,
        used={d: w for d, w in weights.items() if float(w) > 0},
        paths={d: given.get(d, d) for d in weights},
        given=given,
        tokens=tokens if tokens is not None and tokens < float("inf") else None,
        origin=origin | {name: str(value) for name, value in (provenance or {}).items()},
    )
    return "\n".join(FORMATS[format](export)) + "\n"


def _origin(optimum: Optimum) -> dict[str, str]:
    """What a mixture was optimized for, by name."""
    found = {
        "law": optimum.laws.law.name,
        "budget": f"N = {optimum.n_params:g}, D = {optimum.tokens:g}",
        "targets": ", ".join(f"{t} {w:.4g}" for t, w in optimum.target_weights.items()),
        "constraints": "; ".join(limits(optimum)),
    }
    return {name: value for name, value in found.items() if value}


def rounded(weights: Mapping[str, float], digits: int = DIGITS) -> dict[str, str]:
    """Weights as decimals that sum to exactly 1, by largest remainder.

    Raises:
        JaxmixError: no weights, one that is not from 0 to 1, or a sum off 1 by more than .005.

    >>> rounded({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, 2)
    {'a': '0.34', 'b': '0.33', 'c': '0.33'}
    """
    for name, value in weights.items():
        if not 0 <= value <= 1:
            raise JaxmixError(f"weight of '{name}' is {value:g}: weights lie between 0 and 1")
    total = sum(weights.values())
    if abs(total - 1) > 0.005:
        raise JaxmixError(f"the weights sum to {total:.6g}, not 1")
    unit = 10**digits
    exact = {name: value / total * unit for name, value in weights.items()}
    counts = {name: int(value) for name, value in exact.items()}
    order = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in order[: unit - sum(counts.values())]:
        counts[name] += 1
    return {name: f"{count // unit}.{count % unit:0{digits}d}" for name, count in counts.items()}


def _quoted(value: str) -> str:
    r"""A string that YAML and Python both read back.

    >>> print(_quoted('a "b" \\ é'))
    "a \"b\" \\ \xe9"
    """
    escaped = value.encode("unicode_escape").decode("ascii")
    return '"' + escaped.replace('"', r"\"") + '"'


def _megatron(export: Export) -> list[str]:
    """Weights above 0 only: a blend refuses others.

    Use ``--data-path $(grep -v '^#' FILE)``; paths with spaces are quoted and need ``eval``.
    """
    parts = [f"{w} {shlex.quote(export.paths[d])}" for d, w in export.used.items()]
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
    shares = [f"    {w},  # {' '.join(d.split())}" for d, w in export.used.items()]
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
        lines.append(f"tokens: {export.tokens!r}")
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
