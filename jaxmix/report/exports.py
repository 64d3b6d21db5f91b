"""Mixtures in the formats of trainers, each with where it comes from."""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxmix import __version__
from jaxmix.errors import JaxmixError

DIGITS = 6  # after the point; weights sum to exactly 1 in them


@dataclass(frozen=True)
class Export:
    """A mixture to be written.

    Attributes:
        weights: by domain, as text of ``DIGITS`` decimals whose sum is exactly 1.
        prefixes: what the trainer knows a domain by: a path, a folder or a data set's name; the
            domain's own name where none was given.
        tokens: D, None where it is not known or infinite.
        provenance: what a reader should know of the origin, by name.
    """

    weights: dict[str, str]
    prefixes: dict[str, str] = field(default_factory=dict)
    tokens: float | None = None
    provenance: dict[str, str] = field(default_factory=dict)

    @property
    def used(self) -> dict[str, str]:
        """The domains with a weight above 0."""
        return {d: w for d, w in self.weights.items() if float(w) > 0}

    @property
    def unused(self) -> list[str]:
        """The domains without."""
        return [d for d in self.weights if d not in self.used]

    def prefix(self, domain: str) -> str:
        """What the trainer knows a domain by."""
        return self.prefixes.get(domain, domain)


def export_mixture(
    weights: Mapping[str, float],
    format: str,
    *,
    prefixes: Mapping[str, str] | None = None,
    tokens: float | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> str:
    """A mixture as a trainer reads it.

    Args:
        weights: by domain, with sum 1 within .005; ``Optimum.mixture`` is one.
        format: one of ``FORMATS``: ``"megatron"`` (``--data-path`` of Megatron-LM), ``"levanter"``
            (the data configuration with ``train_weights``), ``"hf"`` (Python with
            ``interleave_datasets``), ``"olmo-core"`` (a ``SourceMixtureList``) or ``"yaml"``.
        prefixes: path or name of each domain's data; the domain's own name where not given.
        tokens: D, for the formats that have a place for it.
        provenance: written as comments, or as keys in ``"yaml"``.

    Returns:
        The text of a file.

    Raises:
        JaxmixError: an unknown format or domain, a weight that is no number from 0 to 1, or a sum
            that is not 1.

    Example:
        >>> print(export_mixture({"web": 0.7, "code": 0.3}, "megatron").splitlines()[-1])
        0.700000 web 0.300000 code
    """
    if format not in FORMATS:
        raise JaxmixError(f"unknown format '{format}': choose one of {', '.join(FORMATS)}")
    known = dict(prefixes or {})
    for name in known:
        if name not in weights:
            raise JaxmixError(f"unknown domain '{name}'; the mixture has {', '.join(weights)}")
    finite = tokens if tokens is not None and tokens < float("inf") else None
    origin = {
        "made by": f"jaxmix {__version__}",
        **{k: str(v) for k, v in (provenance or {}).items()},
    }
    return FORMATS[format](Export(rounded(weights), known, finite, origin))


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


def _comments(export: Export) -> list[str]:
    lines = [f"{name}: {value}" for name, value in export.provenance.items()]
    if export.unused:
        lines.append(f"weight 0: {', '.join(export.unused)}")
    return [f"# {' '.join(line.split())}" for line in lines]


def _quoted(value: str) -> str:
    """A string that YAML and Python both read back."""
    text = json.dumps(value, ensure_ascii=True)
    if max(value, default="") > "\uffff":  # JSON splits these in two; neither reads that back
        text = re.sub(r"\\ud[89ab]..\\ud[c-f]..", lambda m: _one_escape(m.group()), text)
    return text


def _one_escape(pair: str) -> str:
    return f"\\U{ord(json.loads(chr(34) + pair + chr(34))):08x}"


def _joined(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _megatron(export: Export) -> str:
    """Weights above 0 only: a blend refuses others.

    Use ``--data-path $(grep -v '^#' FILE)``; paths with spaces are quoted and need ``eval``.
    """
    parts = [f"{w} {shlex.quote(export.prefix(d))}" for d, w in export.used.items()]
    return _joined(*_comments(export), " ".join(parts))


def _levanter(export: Export) -> str:
    configs = []
    for d in export.weights:
        urls = f"      - {_quoted(export.prefix(d))}"
        configs += [f"    {_quoted(d)}:", "      train_urls:", f"  {urls}"]
    weights = [f"    {_quoted(d)}: {w}" for d, w in export.weights.items()]
    return _joined(
        *_comments(export), "data:", "  configs:", *configs, "  train_weights:", *weights
    )


def _hf(export: Export) -> str:
    loads = [
        f'    load_dataset({_quoted(export.prefix(d))}, split="train", streaming=True),'
        for d in export.used
    ]
    shares = [f"    {w},  # {' '.join(d.split())}" for d, w in export.used.items()]
    return _joined(
        *_comments(export),
        "from datasets import interleave_datasets, load_dataset",
        "",
        "datasets = [",
        *loads,
        "]",
        "probabilities = [",
        *shares,
        "]",
        "dataset = interleave_datasets(",
        '    datasets, probabilities=probabilities, seed=0, stopping_strategy="all_exhausted"',
        ")",
    )  # fmt: skip


def _olmo_core(export: Export) -> str:
    lines = []
    for d, w in export.used.items():
        lines += [
            f"  - source_name: {_quoted(d)}",
            f"    target_ratio: {w}",
            "    paths:",
            f"      - {_quoted(export.prefix(d))}",
        ]
    return _joined(*_comments(export), "sources:", *lines)


def _yaml(export: Export) -> str:
    origin = [f"  {_key(name)}: {_quoted(value)}" for name, value in export.provenance.items()]
    weights = [f"  {_quoted(d)}: {w}" for d, w in export.weights.items()]
    tokens = [f"tokens: {export.tokens!r}"] if export.tokens else []
    paths = [f"  {_quoted(d)}: {_quoted(p)}" for d, p in export.prefixes.items()]
    return _joined(
        "weights:",
        *weights,
        *tokens,
        *(["paths:", *paths] if paths else []),
        "provenance:",
        *origin,
    )


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


FORMATS: dict[str, Callable[[Export], str]] = {
    "megatron": _megatron,
    "levanter": _levanter,
    "hf": _hf,
    "olmo-core": _olmo_core,
    "yaml": _yaml,
}
