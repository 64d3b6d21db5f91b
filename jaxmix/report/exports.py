"""Mixtures in the formats of trainers, each with where it comes from."""

import re
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from math import fsum, isfinite
from typing import Any, NamedTuple

from jaxmix import __version__
from jaxmix.errors import JaxmixError
from jaxmix.mixtures import Optimum
from jaxmix.quantities import amount
from jaxmix.report.limits import limits
from jaxmix.report.trainer_formats import FORMATS, decimal, printable
from jaxmix.runs.names import resolve_name

_ROUNDING = 1e-8  # a weight below 0 or above 1 by no more is 0 or 1
_UNIT = Decimal("1e-27")  # of weights; sums of decimals have 28 digits
_RARE = 10  # a loss weight above this lets few samples decide
_BY_EPOCHS = ("energon", "yaml")
_WITH_LOSS_WEIGHTS = ("automodel", "hf", "yaml")


class Export(NamedTuple):
    """A mixture to be written.

    Attributes:
        format: a key of ``FORMATS``.
        weights: by domain, as text that reads back as the weight and whose sum is exactly 1.
        paths: what the trainer knows each domain by: a path, a folder or a data set's name.
        given: the paths that are not just the domain's own name.
        total: sum of the weights as they were given.
        tokens: D; None if it is not known or infinite.
        available: tokens that exist, by domain, as far as they are known.
        by_epochs: whether the file is to hold epochs in place of weights.
        sampling: weights that domains are drawn with, as text, if they are not `weights`; the loss
            of a token is then weighted, so that its expectation is that of `weights`.
        origin: what a reader should know of where the mixture comes from, by name.
    """

    format: str
    weights: dict[str, str]
    paths: dict[str, str]
    given: dict[str, str]
    total: float
    tokens: float | None
    available: dict[str, float]
    by_epochs: bool
    sampling: dict[str, str] | None
    origin: dict[str, str]

    @property
    def drawn(self) -> dict[str, str]:
        """The weights that domains are drawn with."""
        return self.weights if self.sampling is None else self.sampling

    @property
    def used(self) -> dict[str, str]:
        """Weights above 0 of those that domains are drawn with."""
        return {d: w for d, w in self.drawn.items() if float(w) > 0}

    @property
    def epochs(self) -> dict[str, float]:
        """Passes over the available tokens, by domain; none if D is not known."""
        read = {d: float(w) * (self.tokens or 0) for d, w in self.drawn.items()}
        return {d: read[d] / stock for d, stock in self.available.items() if self.tokens}

    @property
    def loss_weights(self) -> dict[str, float]:
        """Factor of the loss of a domain's tokens, by domain that is drawn."""
        return {d: float(self.weights[d]) / float(w) for d, w in self.used.items()}

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
        factors = {} if self.sampling is None else self.loss_weights
        most = max(factors, key=factors.__getitem__, default="")
        left_out = f"weight 0, so not in the file: {', '.join(unused)}"
        named = f"no --prefix for {', '.join(unnamed)}: the file has the domain's name as its path"
        said = {
            f"weights renormalized (sum {self.total:.6g})": abs(self.total - 1) > _ROUNDING,
            left_out: unused and self.format not in ("levanter", "yaml"),
            named: unnamed,
            f"the loss of {most} is weighted {factors.get(most, 0):.3g} times, so that few samples "
            "decide; draw more of it": factors.get(most, 0) > _RARE,
        }
        return [note for note, true in said.items() if true]

    def comments(self) -> list[str]:
        """The origin and the domains without weight, as comments of one line each."""
        lines = [f"{name}: {value}" for name, value in self.origin.items()]
        unused = [d for d in self.weights if d not in self.used]
        lines += [f"weight 0: {', '.join(unused)}"] if unused else []
        if self.sampling is not None:
            lines.append(f"mixture: {' '.join(f'{d}={w}' for d, w in self.weights.items())}")
        if self.by_epochs:
            stocks = " ".join(f"{d}={amount(n)}" for d, n in self.available.items())
            lines.append(f"epochs: {amount(self.tokens or 0)} tokens of {stocks}")
        return [f"# {printable(line)}" for line in lines]


def export_mixture(mixture: Optimum | Mapping[str, float], format: str, **options: Any) -> str:
    """Returns a mixture as a trainer reads it.

    Args:
        mixture: an optimum, whose tokens and origin are written too; or weights by domain, with
            sum 1 within .005.
        format: one of ``FORMATS``: ``"megatron"`` (``--data-path`` of Megatron-LM), ``"levanter"``
            (the data configuration with ``train_weights``), ``"hf"`` (Python with
            ``interleave_datasets``), ``"olmo-core"`` (a ``SourceMixtureList``), ``"energon"`` (a
            ``MetadatasetV2``), ``"automodel"`` (the ``domain_mixture`` of NeMo Automodel) or
            ``"yaml"``.
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
    available: Mapping[str, float] | None = None,
    by_epochs: bool = False,
    sampling: Mapping[str, float] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Export:
    """Returns the text of an export and what to know about it.

    Args:
        mixture: as of ``export_mixture``.
        format: likewise.
        prefixes: path or name of each domain's data; the domain's own name if not given.
        tokens: D, for the formats that have a place for it; None for that of an optimum.
        available: tokens that exist, by domain; None for those of an optimum. ``"olmo-core"`` is
            then allowed to repeat what must be repeated, and ``"yaml"`` says how often.
        by_epochs: write how often the available tokens are read in place of weights, for trainers
            that count epochs.
        sampling: draw domains with these weights in place of the mixture's, and weight the loss of
            their tokens by the ratio, so that the expected loss is that of the mixture.
        provenance: written as comments, or as keys in ``"yaml"``.

    Raises:
        JaxmixError: an unknown format or domain, a weight that is no number from 0 to 1, a sum that
            is not 1, a path that two domains share, tokens that epochs need, or something that the
            format cannot carry.
    """
    if format not in FORMATS:
        raise JaxmixError(f"unknown format '{format}': choose one of {', '.join(FORMATS)}")
    origin = {"made by": f"jaxmix {__version__}"}
    if isinstance(mixture, Optimum):
        tokens = mixture.tokens if tokens is None else tokens
        available = mixture.constraints.available if available is None else available
        origin |= _origin(mixture)
        mixture = mixture.weights
    weights = rounded(mixture)

    def named(values: Mapping[str, Any] | None) -> dict[str, Any]:
        return {resolve_name(d, tuple(weights), "domain"): v for d, v in (values or {}).items()}

    given = named(prefixes)
    export = Export(
        format=format,
        weights=weights,
        paths={d: given.get(d, d) for d in weights},
        given=given,
        total=fsum(mixture.values()),
        tokens=tokens if tokens is not None and isfinite(tokens) else None,
        available={d: float(n) for d, n in named(available).items() if isfinite(n)},
        by_epochs=by_epochs,
        sampling=_sampling(named(sampling), weights) if sampling is not None else None,
        origin=origin | {name: str(value) for name, value in (provenance or {}).items()},
    )
    _check_format(export)
    _check_paths(export)
    return export


def _sampling(given: Mapping[str, float], weights: Mapping[str, str]) -> dict[str, str]:
    """Weights that domains are drawn with, for all domains."""
    found = rounded({domain: given.get(domain, 0.0) for domain in weights})
    for domain, weight in weights.items():
        if float(weight) and not float(found[domain]):
            raise JaxmixError(
                f"the sampling weight of '{domain}' is 0, but its weight in the mixture is "
                f"{float(weight):g}; draw some of it"
            )
    return found


def _check_format(export: Export) -> None:
    """Refuses what the format cannot carry, and epochs of unknown stocks."""
    if export.sampling is not None and export.format not in _WITH_LOSS_WEIGHTS:
        raise JaxmixError(
            f"{export.format}: has no place for loss weights; leave --sampling out, or write "
            f"{' or '.join(_WITH_LOSS_WEIGHTS)}"
        )
    if export.format == "automodel" and len(export.used) < 2:
        raise JaxmixError("automodel: a domain_mixture has two domains or more; write another")
    if not export.by_epochs:
        return
    if export.format not in _BY_EPOCHS:
        raise JaxmixError(
            f"{export.format}: takes shares of the samples, not epochs; leave --epochs out, or "
            f"write {' or '.join(_BY_EPOCHS)}"
        )
    unknown = [d for d in export.used if d not in export.available]
    if unknown or not export.tokens:
        lacks = f"--available of {', '.join(unknown)}" if unknown else "--tokens"
        raise JaxmixError(f"{export.format}: epochs need {lacks} too")


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
    return {name: decimal(value.normalize()) for name, value in found.items()}


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
