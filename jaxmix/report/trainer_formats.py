"""How each trainer reads a mixture: functions from an export to the lines of its file."""

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxmix.report.exports import Export


def decimal(value: Decimal | float) -> str:
    """A number as YAML, JSON and Python all read one: YAML 1.1 takes 5e-07 for text.

    >>> decimal(5e-07), decimal(1e22), decimal(Decimal(1))
    ('5.0e-07', '1.0e+22', '1.0')
    """
    text = repr(value) if isinstance(value, float) else str(value).lower()
    digits, e, exponent = text.partition("e")
    return f"{digits if '.' in digits else digits + '.0'}{e}{exponent}"


def printable(text: str) -> str:
    """One line of what every reader of a comment takes."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def quoted(value: str) -> str:
    r"""A string that YAML and Python both read back.

    >>> print(quoted('a "b" \\ é'))
    "a \"b\" \\ \xe9"
    """
    escaped = value.encode("unicode_escape").decode("ascii")
    return '"' + escaped.replace('"', r"\"") + '"'


def _megatron(export: "Export") -> list[str]:
    """Weights above 0 and paths, for ``--data-path $(grep -v '^#' FILE)``.

    Without its comments the file is one for ``--data-args-path``, too.
    """
    parts = [f"{w} {export.paths[d]}" for d, w in export.used.items()]
    return [*export.comments(), " ".join(parts)]


def _levanter(export: "Export") -> list[str]:
    configs = []
    for d, path in export.paths.items():
        configs += [f"    {quoted(d)}:", "      train_urls:", f"        - {quoted(path)}"]
    weights = [f"    {quoted(d)}: {w}" for d, w in export.weights.items()]
    return [*export.comments(), "data:", "  configs:", *configs, "  train_weights:", *weights]


def _hf(export: "Export") -> list[str]:
    factor = export.sampling is not None
    loads = [
        f'    load_dataset({quoted(export.paths[d])}, split="train", streaming=True),'
        for d in export.used
    ]
    weighted = [
        *(f"    {decimal(f)},  # {printable(d)}" for d, f in export.loss_weights.items()),
        "]",
        "# A row carries the weight of its loss, which the training loop must multiply it with.",
        "datasets = [",
        '    data.map(lambda row, weight=weight: {"loss_weight": weight})',
        "    for data, weight in zip(datasets, loss_weights)",
    ]
    shares = [f"    {w},  # {printable(d)}" for d, w in export.used.items()]
    return [
        *export.comments(),
        "from datasets import interleave_datasets, load_dataset",
        "",
        *("datasets = [", *loads, "]"),
        *(("loss_weights = [", *weighted, "]") if factor else ()),
        *("probabilities = [", *shares, "]"),
        "dataset = interleave_datasets(",
        '    datasets, probabilities=probabilities, seed=0, stopping_strategy="all_exhausted"',
        ")",
    ]


def _olmo_core(export: "Export") -> list[str]:
    lines = [*export.comments(), "sources:"]
    for d, w in export.used.items():
        lines += [f"  - source_name: {quoted(d)}", f"    target_ratio: {w}"]
        lines += ["    paths:", f"      - {quoted(export.paths[d])}"]
        if (epochs := export.epochs.get(d, 0.0)) > 1:  # the default allows one pass
            lines.append(f"    max_repetition_ratio: {decimal(_up(epochs))}")
    return lines


def _up(number: float) -> float:
    """A number rounded up, so that counting tokens in whole instances does not exceed it."""
    return math.ceil(number * 1000) / 1000


def _energon(export: "Export") -> list[str]:
    """Weights of samples, or repetitions of a whole data set, which may be fractions."""
    lines = [*export.comments(), "__module__: megatron.energon", "__class__: MetadatasetV2"]
    lines += ["splits:", "  train:", "    blend_epochized:" if export.by_epochs else "    blend:"]
    for d, w in export.used.items():
        key = f"repetitions: {decimal(export.epochs[d])}" if export.by_epochs else f"weight: {w}"
        lines += [f"      - {key}", f"        path: {quoted(export.paths[d])}"]
        lines += ["        subflavors:", f"          domain: {quoted(d)}"]
    return lines


def _automodel(export: "Export") -> list[str]:
    """The blend and, in the same order, what domains weigh in it and in the objective."""
    lines = [*export.comments(), "dataset:", "  paths:"]
    for d, w in export.used.items():
        lines += [f"    - {w}", f"    - {quoted(export.paths[d])}"]
    lines += ["domain_mixture:", "  domains:"]
    for d, w in export.used.items():
        lines += [f"    - name: {quoted(d)}", f"      sampling_weight: {w}"]
        lines += [f"      objective_weight: {export.weights[d]}"]
        lines += [f"      path: {quoted(export.paths[d])}"]
    return lines


def _yaml(export: "Export") -> list[str]:
    lines = ["weights:", *(f"  {quoted(d)}: {w}" for d, w in export.weights.items())]
    if export.sampling is not None:
        lines += ["sampling:", *(f"  {quoted(d)}: {w}" for d, w in export.drawn.items())]
        factors = export.loss_weights.items()
        lines += ["loss_weights:", *(f"  {quoted(d)}: {decimal(f)}" for d, f in factors)]
    if export.tokens:
        lines.append(f"tokens: {decimal(export.tokens)}")
    for name, values in (("available", export.available), ("epochs", export.epochs)):
        held = [f"  {quoted(d)}: {decimal(n)}" for d, n in values.items()]
        lines += [f"{name}:", *held] if held else []
    if export.given:
        lines += ["paths:", *(f"  {quoted(d)}: {quoted(p)}" for d, p in export.given.items())]
    keys = {re.sub(r"[^a-z0-9]+", "_", n.lower()).strip("_"): v for n, v in export.origin.items()}
    return [*lines, "provenance:", *(f"  {key}: {quoted(value)}" for key, value in keys.items())]


FORMATS: dict[str, Callable[["Export"], list[str]]] = {
    "megatron": _megatron,
    "levanter": _levanter,
    "hf": _hf,
    "olmo-core": _olmo_core,
    "energon": _energon,
    "automodel": _automodel,
    "yaml": _yaml,
}
