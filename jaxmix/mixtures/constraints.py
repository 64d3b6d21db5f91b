"""Constraints on the mixture by name, and what they come to at one budget D."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.mixtures.simplex import Bounds
from jaxmix.runs.expressions import parse_linear
from jaxmix.runs.names import resolve

_SAME = 1e-12

Values = Mapping[str, float]
Pair = tuple[float | None, float | None]
Kind = Literal["minimum", "maximum", "pin", "epochs", "linear", "prior"]


@dataclass(frozen=True)
class Constraints:
    """What a mixture must meet, by bare name; made and checked by ``constraints``.

    Attributes:
        domains: all domains, the order of every array made from this.
        minimum: smallest weight by domain.
        maximum: largest weight by domain.
        pinned: given weights by domain.
        linear: inequalities between weights as typed, group budgets among them.
        unique_tokens: unique tokens U available by domain.
        max_epochs: most passes over these by domain: ``h D / U <= max_epochs``.
        guards: by target, how much its loss may exceed that of ``reference``, nats.
        reference: the mixture that ``guards`` compare with, by domain; None where there are none.
        prior: the mixture that KL(h‖prior) is measured from, by domain; None for uniform.
        kl_max: largest KL(h‖prior), nats; None for any.
    """

    domains: tuple[str, ...]
    minimum: dict[str, float]
    maximum: dict[str, float]
    pinned: dict[str, float]
    linear: tuple[str, ...]
    unique_tokens: dict[str, float]
    max_epochs: dict[str, float]
    guards: dict[str, float]
    reference: dict[str, float] | None
    prior: dict[str, float] | None
    kl_max: float | None

    def reference_weights(self) -> np.ndarray | None:
        """The reference mixture as [k], or None."""
        return None if self.reference is None else _weights(self.reference, self.domains)

    def prior_weights(self) -> np.ndarray:
        """The prior as [k]; uniform where none was given."""
        k = len(self.domains)
        return np.full(k, 1 / k) if self.prior is None else _weights(self.prior, self.domains)


@dataclass(frozen=True, eq=False)
class Row:
    """One linear constraint ``slope . h <= bound``.

    Attributes:
        label: the constraint as people write it.
        slope: [k].
        bound: right-hand side.
        kind: where it came from.
        domain: the domain it limits, where it is one.
        per_epoch: weight that one epoch of the domain fills, U / D; 0 where it is no availability.
    """

    label: str
    slope: np.ndarray
    bound: float
    kind: Kind
    domain: str = ""
    per_epoch: float = 0.0


@dataclass(frozen=True, eq=False)
class Polytope:
    """The linear constraints at one budget, split into a box and the rest.

    Attributes:
        bounds: the box; not known to leave a mixture.
        rows: every constraint on its own, without ``h >= 0``.
        lower_row: [k] the row that gives ``bounds.lower``, -1 where that is ``h >= 0``.
        upper_row: [k] the row that gives ``bounds.upper``, -1 where that is ``h <= 1``.
        mixed: indices of the rows with several domains.
    """

    bounds: Bounds
    rows: tuple[Row, ...]
    lower_row: np.ndarray
    upper_row: np.ndarray
    mixed: tuple[int, ...]

    @property
    def matrix(self) -> np.ndarray:
        """Slopes of the rows with several domains, [q, k]."""
        k = len(self.bounds.domains)
        return np.array([self.rows[i].slope for i in self.mixed]).reshape(-1, k)

    @property
    def right(self) -> np.ndarray:
        """Their bounds, [q]."""
        return np.array([self.rows[i].bound for i in self.mixed])


def constraints(
    domains: Sequence[str],
    *,
    minimum: Values | None = None,
    maximum: Values | None = None,
    pinned: Values | None = None,
    groups: Mapping[str, float | Pair] | None = None,
    linear: Sequence[str] = (),
    unique_tokens: Values | None = None,
    max_epochs: float | Values = 4.0,
    guards: Values | None = None,
    reference: Values | None = None,
    prior: Values | None = None,
    kl_max: float | None = None,
) -> Constraints:
    """Constraints on a mixture of named domains.

    Args:
        domains: names of all domains.
        minimum: smallest weight of some domains.
        maximum: largest weight of some domains.
        pinned: weights that are given.
        groups: budgets of sums such as ``{"books+wiki": (0.1, 0.3)}``; a single number is the
            largest, None leaves a side open.
        linear: inequalities such as ``"2*web + code <= 0.5"`` (``jaxmix.runs.expressions``).
        unique_tokens: unique tokens available, of the domains where they run out.
        max_epochs: most passes over the unique tokens, one number or by domain. Up to about four
            are worth almost as much as fresh tokens (Muennighoff et al. 2023, arXiv 2305.16264).
        guards: targets and by how many nats their loss may exceed the one at ``reference``.
        reference: the mixture that ``guards`` compare with; all domains it leaves out get 0.
        prior: the mixture that KL(h‖prior) is measured from; None for uniform. Domains it gives
            no weight stay at 0 wherever ``kl_max`` or a pull is used.
        kl_max: largest KL(h‖prior), nats.

    Raises:
        JaxmixError: an unknown domain, a value out of range, a constraint that cannot be read, or
            guards without a reference. Whether any mixture meets them is ``check_feasible``'s.

    Example:
        >>> limits = constraints(
        ...     ["web", "books", "code"],
        ...     groups={"books+code": 0.6},
        ...     unique_tokens={"books": 25e9},
        ... )
        >>> limits.linear, limits.max_epochs
        (('books+code<=0.6',), {'books': 4.0})
    """
    names = tuple(domains)
    typed = [*_group_rows(groups or {}), *(text.strip() for text in linear)]
    for text in typed:
        parse_linear(text, names)
    low, high = (_shares(v, names, w) for v, w in ((minimum, "minimum"), (maximum, "maximum")))
    given = _shares(pinned, names, "pinned weight")
    for name in given:
        if name in low or name in high:
            raise JaxmixError(f"pinned '{name}' has a minimum or maximum as well; give one of them")
    unique, epochs = _availability(unique_tokens, max_epochs, names)
    allowed = {
        target: _positive(v, f"guard of '{target}'", 0) for target, v in (guards or {}).items()
    }
    if allowed and reference is None:
        raise JaxmixError("guards compare with a reference mixture; give one")
    radius = None if kl_max is None else _positive(kl_max, "kl_max")
    base, start = _mixture(reference, names, "reference"), _mixture(prior, names, "prior")
    rows = tuple(dict.fromkeys(typed))
    return Constraints(names, low, high, given, rows, unique, epochs, allowed, base, start, radius)


def _group_rows(groups: Mapping[str, float | Pair]) -> list[str]:
    rows = []
    for names, limits in groups.items():
        low, high = limits if isinstance(limits, tuple | list) else (None, limits)
        if low is None and high is None:
            raise JaxmixError(f"group '{names}' has neither a smallest nor a largest weight")
        rows += [] if low is None else [f"{names}>={float(low):g}"]
        rows += [] if high is None else [f"{names}<={float(high):g}"]
    return rows


def _shares(values: Values | None, domains: tuple[str, ...], what: str) -> dict[str, float]:
    found = resolve(values or {}, domains, "domain")
    for name, value in found.items():
        if not 0 <= value <= 1:
            raise JaxmixError(f"{what} of '{name}' is {value:g}: weights lie between 0 and 1")
    return found


def _positive(value: float, what: str, least: float | None = None) -> float:
    """A finite number above 0, or at least ``least``."""
    fine = value > 0 if least is None else value >= least
    if not (fine and np.isfinite(value)):
        text = "above 0" if least is None else f"of at least {least:g}"
        raise JaxmixError(f"{what} is {value:g}: it must be a number {text}")
    return float(value)


def _availability(
    unique: Values | None, epochs: float | Values, domains: tuple[str, ...]
) -> tuple[dict[str, float], dict[str, float]]:
    """Unique tokens and most epochs of the domains that have the former."""
    tokens = {
        name: _positive(value, f"unique tokens of '{name}'")
        for name, value in resolve(unique or {}, domains, "domain").items()
    }
    if not isinstance(epochs, Mapping):
        limit = _positive(epochs, "max_epochs")
        return tokens, dict.fromkeys(tokens, limit)
    limits = resolve(epochs, domains, "domain")
    for name in {*limits, *tokens}:
        if name not in tokens:
            raise JaxmixError(f"max_epochs of '{name}' needs its unique tokens; give unique_tokens")
        if name not in limits:
            raise JaxmixError(f"unique tokens of '{name}' need its max_epochs; give it")
    return tokens, {name: _positive(limits[name], f"max_epochs of '{name}'") for name in tokens}


def _mixture(values: Values | None, domains: tuple[str, ...], what: str) -> dict[str, float] | None:
    """A whole mixture, normalized where its sum is off by rounding."""
    if values is None:
        return None
    shares = _shares(values, domains, f"{what} weight")
    total = sum(shares.values())
    if abs(total - 1) > 0.005:
        raise JaxmixError(f"the {what} mixture sums to {total:.4g}, not to 1")
    return {name: shares.get(name, 0.0) / total for name in domains}


def _weights(values: Values, domains: tuple[str, ...]) -> np.ndarray:
    return np.array([values[name] for name in domains])


def linear_rows(limits: Constraints, tokens: float, *, use_prior: bool = False) -> tuple[Row, ...]:
    """Every linear constraint at a budget, each on its own.

    Args:
        limits: the constraints.
        tokens: D.
        use_prior: whether domains without prior weight are held at 0, as a finite KL asks.

    Raises:
        JaxmixError: availability at an infinite D.
    """
    if limits.unique_tokens and not np.isfinite(tokens):
        raise JaxmixError(
            "unique tokens limit no weight at D = inf; give a finite number of tokens"
        )
    unit = dict(zip(limits.domains, np.eye(len(limits.domains)), strict=True))
    rows = [Row(f"{n}>={v:g}", -unit[n], -v, "minimum", n) for n, v in limits.minimum.items()]
    rows += [Row(f"{n}<={v:g}", unit[n], v, "maximum", n) for n, v in limits.maximum.items()]
    for n, v in limits.pinned.items():
        rows += [Row(f"{n}={v:g}", sign * unit[n], sign * v, "pin", n) for sign in (1.0, -1.0)]
    for n, u in limits.unique_tokens.items():
        most = limits.max_epochs[n]
        label = f"{n}<={most:g} epoch{'s' if most != 1 else ''}"
        rows.append(Row(label, unit[n], most * u / tokens, "epochs", n, u / tokens))
    for text in limits.linear:
        halves = parse_linear(text, limits.domains)
        rows += [Row(text, slope, bound, "linear") for slope, bound in halves]
    if use_prior and limits.prior is not None:
        empty = [n for n, v in limits.prior.items() if v == 0]
        rows += [Row(f"{n} has no prior weight", unit[n], 0.0, "prior", n) for n in empty]
    return tuple(rows)


def polytope(limits: Constraints, tokens: float, *, use_prior: bool = False) -> Polytope:
    """The linear constraints at a budget as a box and rows; arguments as ``linear_rows``."""
    rows = linear_rows(limits, tokens, use_prior=use_prior)
    k = len(limits.domains)
    lower, upper = np.zeros(k), np.ones(k)
    lower_row, upper_row, mixed = np.full(k, -1), np.full(k, -1), []
    for index, row in enumerate(rows):
        involved = np.flatnonzero(row.slope)
        if len(involved) > 1:
            mixed.append(index)
            continue
        i = involved[0]
        edge = row.bound / row.slope[i]
        if row.slope[i] > 0 and edge < upper[i] + (_SAME if upper_row[i] < 0 else 0):
            upper[i], upper_row[i] = min(edge, 1.0), index
        elif row.slope[i] < 0 and edge > lower[i]:
            lower[i], lower_row[i] = edge, index
    return Polytope(Bounds(limits.domains, lower, upper), rows, lower_row, upper_row, tuple(mixed))
