"""Constraints on the mixture by name: one immutable value, and its linear rows at one budget."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

import numpy as np
import scipy

from jaxmix.display import Parts, Shown
from jaxmix.errors import JaxmixError, hint
from jaxmix.fitting.support import Support
from jaxmix.mixtures.polytope import Polytope, Row, find_clash, polytope
from jaxmix.mixtures.region import Region, Within
from jaxmix.quantities import amount, count
from jaxmix.runs.expressions import parse_linear
from jaxmix.runs.names import resolve

Values = Mapping[str, float]
Pair = tuple[float | None, float | None]
_EPOCHS = 4.0  # passes that are worth almost as much as fresh tokens (arXiv 2305.16264)
_SLACK = 0.005  # by how much the sum of a given mixture may miss 1
_ROUNDING = 1e-9  # likewise sums of bounds


@dataclass(frozen=True, kw_only=True, repr=False)
class Constraints(Shown):
    """What a mixture must meet. Every argument is optional; names are those of a run table.

    Attributes:
        minimum: smallest weight by domain; of ``"web:*"``, the sum of ``"web:news"`` and the like.
        maximum: largest weight by domain, likewise.
        pinned: given weights by domain.
        groups: smallest and largest sum of weights, such as ``{"books+wiki": (0.1, 0.3)}``; a
            single number is the largest, None leaves a side open.
        linear: inequalities such as ``"2*web + code <= 0.5"`` (``parse_linear``).
        available: stock of tokens U_i by domain, for the domains that run out. A law that reads
            ``unique`` is given it, and it caps epochs: ``h_i D <= max_epochs_i U_i``.
        max_epochs: most passes over the stock, one number or by domain. None is 4 for laws that do
            not read ``unique`` and no cap for laws that do, since these price repetition.
        guards: by target, by how many nats its loss may exceed that of ``reference``.
        reference: the mixture that ``guards`` compare with; domains that it leaves out have 0.
        prior: the mixture that KL(h‖prior) is measured from; None for uniform. Domains without
            prior weight stay at 0 if ``kl_max`` or a pull is used.
        kl_max: largest KL(h‖prior), nats.
        within: ``"range"`` keeps each weight between the least and the most that were run,
            ``"hull"`` the mixture in the convex hull of those that were run, ``"anywhere"`` allows
            every mixture. None allows all but what the runs say nothing about: domains that were
            never used stay at 0, and directions without variation at the observed proportions. A
            minimum, maximum or pin of a domain comes before the range of that domain.
        region: what ``within`` means for the runs of some laws; ``optimize`` sets it.

    Raises:
        JaxmixError: a value out of range, a pinned weight with a minimum or maximum, or guards
            without a reference. Names are checked by ``over``.

    Example:
        >>> Constraints(groups={"books+code": 0.6}, available={"books": 25e9})
        Constraints(groups={'books+code': (None, 0.6)}, available={'books': 25000000000.0})
    """

    minimum: Values = field(default_factory=dict)
    maximum: Values = field(default_factory=dict)
    pinned: Values = field(default_factory=dict)
    groups: Mapping[str, Any] = field(default_factory=dict)
    linear: Sequence[str] = ()
    available: Values = field(default_factory=dict)
    max_epochs: float | Values | None = None
    guards: Values = field(default_factory=dict)
    reference: Values | None = None
    prior: Values | None = None
    kl_max: float | None = None
    within: Within | None = None
    region: Region | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Checks the values, and keeps plain copies of them."""
        made: dict[str, Any] = {n: _shares(getattr(self, n), n) for n in ("minimum", "maximum")}
        made["pinned"] = _shares(self.pinned, "pinned weight")
        for name in made["pinned"]:
            if name in self.minimum or name in self.maximum:
                text = f"pinned '{name}' has a minimum or maximum as well; give one of them"
                raise JaxmixError(text)
        made["groups"] = {name: _pair(name, limits) for name, limits in self.groups.items()}
        made["linear"] = tuple(dict.fromkeys(text.strip() for text in self.linear))
        made["available"] = _numbers(self.available, "available tokens")
        epochs = self.max_epochs
        if isinstance(epochs, Mapping):
            made["max_epochs"] = _numbers(epochs, "max_epochs")
        elif epochs is not None:
            made["max_epochs"] = _number(epochs, "max_epochs")
        made["guards"] = _numbers(self.guards, "guard", least=0.0)
        if self.guards and self.reference is None:
            raise JaxmixError("guards compare with a reference mixture; give one")
        for name in ("reference", "prior"):
            given = getattr(self, name)
            made[name] = None if given is None else _mixture(given, name)
        made["kl_max"] = None if self.kl_max is None else _number(self.kl_max, "kl_max")
        if self.within not in (None, *get_args(Within)):
            raise JaxmixError(
                f"within is '{self.within}'; {hint(str(self.within), get_args(Within))}"
            )
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """What was given, as plain JSON; ``from_dict`` reads it."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "region"}
        given["linear"] = list(self.linear)
        return {
            n: value for n, value in given.items() if value is not None and value not in ({}, [])
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Constraints":
        """The inverse of ``to_dict``.

        Raises:
            JaxmixError: an unknown key, or values that the constructor refuses.
        """
        known = [f.name for f in fields(cls) if f.name != "region"]
        for name in document:
            if name not in known:
                raise JaxmixError(f"unknown constraint '{name}'; {hint(name, known)}")
        return cls(**document)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.to_dict().items())
        return f"Constraints({shown})"

    def _shown(self) -> Parts:
        given = self.to_dict()
        tables = {
            name.replace("_", " "): value if isinstance(value, Mapping) else {"": str(value)}
            for name, value in given.items()
        }
        if self.available:
            tables["available"] = {name: amount(n) for name, n in self.available.items()}
        said = f"a mixture must meet {count(len(given), 'kind')} of limits"
        return Parts(said if given else "no limits: every mixture is allowed", tables)

    def over(self, domains: Sequence[str], targets: Sequence[str] | None = None) -> "Constraints":
        """The same constraints with bare names, checked.

        Args:
            domains: bare names of all k domains.
            targets: bare names of the targets; None leaves the names of ``guards`` unchecked.

        Returns:
            Constraints whose reference and prior, if given, have a weight for every domain.

        Raises:
            JaxmixError: an unknown name, an expression that cannot be read, or a cap on the epochs
                of a domain without available tokens.
        """
        domains = tuple(domains)
        for text in self.expressions():
            parse_linear(text, domains)
        made: dict[str, Any] = {
            name: resolve(getattr(self, name), domains, "domain")
            for name in ("pinned", "available")
        }
        for name, sign in (("minimum", ">="), ("maximum", "<=")):
            alone, rows = _apart(getattr(self, name), sign)
            made[name] = resolve(alone, domains, "domain")
            made["linear"] = (*made.get("linear", self.linear), *rows)
            for text in rows:
                parse_linear(text, domains)
        if isinstance(self.max_epochs, Mapping):
            made["max_epochs"] = resolve(self.max_epochs, domains, "domain")
            for name in made["max_epochs"]:
                if name not in made["available"]:
                    raise JaxmixError(f"the most epochs of '{name}' need its available tokens")
        if targets is not None:
            made["guards"] = resolve(self.guards, tuple(targets), "target")
        for name in ("reference", "prior"):
            if getattr(self, name) is not None:
                weights = resolve(getattr(self, name), domains, "domain")
                made[name] = {d: weights.get(d, 0.0) for d in domains}
        return replace(self, **made)

    def expressions(self) -> tuple[str, ...]:
        """The inequalities as text, those of ``groups`` first."""
        rows = []
        for names, (low, high) in self.groups.items():
            rows += [] if low is None else [f"{names}>={low:.12g}"]
            rows += [] if high is None else [f"{names}<={high:.12g}"]
        return tuple(dict.fromkeys([*rows, *self.linear]))

    def mixture(self, name: Literal["reference", "prior"], domains: Sequence[str]) -> np.ndarray:
        """The reference or the prior as [k]; uniform if it was not given."""
        given = getattr(self, name) or dict.fromkeys(domains, 1 / len(domains))
        return np.array([given.get(d, 0.0) for d in domains])

    def caps(self, *, reads_unique: bool = False) -> dict[str, float]:
        """Most epochs by domain, for the domains with a cap.

        Args:
            reads_unique: whether the law prices repetition itself.
        """
        default = None if reads_unique else _EPOCHS
        given = self.max_epochs
        if not isinstance(given, Mapping):
            given = dict.fromkeys(self.available, given or default)
        caps = {name: given.get(name, default) for name in self.available}
        return {name: cap for name, cap in caps.items() if cap is not None}

    def rows(
        self, domains: Sequence[str], tokens: float, *, reads_unique: bool = False,
        use_prior: bool = False,
    ) -> tuple[Row, ...]:  # fmt: skip
        """Every linear constraint at a budget, each on its own; names must be bare.

        Args:
            domains: bare names of all k domains.
            tokens: D.
            reads_unique: whether the law prices repetition itself.
            use_prior: whether domains without prior weight are held at 0, as a finite KL asks.

        Raises:
            JaxmixError: a cap on epochs at an infinite D.
        """
        unit = dict(zip(domains, np.eye(len(domains)), strict=True))
        rows = [Row(f"{n}>={v:g}", -unit[n], -v, "minimum", n) for n, v in self.minimum.items()]
        rows += [Row(f"{n}<={v:g}", unit[n], v, "maximum", n) for n, v in self.maximum.items()]
        for n, v in self.pinned.items():
            rows += [Row(f"{n}={v:g}", sign * unit[n], sign * v, "pin", n) for sign in (1.0, -1.0)]
        for n, most in self.caps(reads_unique=reads_unique).items():
            if not np.isfinite(tokens):
                raise JaxmixError(
                    "available tokens cap no weight at D = inf; give a finite number of tokens"
                )
            label, one = f"{n}<={most:g} epoch{'s' * (most != 1)}", self.available[n] / tokens
            rows.append(Row(label, unit[n], most * one, "epochs", n, one))
        for text in self.expressions():
            rows += [Row(text, *half, "linear") for half in parse_linear(text, domains)]
        if self.region is not None:
            box = polytope(tuple(domains), rows)
            rows += self.region.rows(box.lower, box.upper)
        if use_prior and self.prior is not None:
            empty = [n for n in domains if not self.prior.get(n)]
            rows += [Row(f"{n} has no prior weight", unit[n], 0.0, "prior", n) for n in empty]
        return tuple(rows)

    def polytope(self, domains: Sequence[str], tokens: float, **options: bool) -> Polytope:
        """The rows as a box and the rest; arguments as for ``rows``."""
        return polytope(tuple(domains), self.rows(domains, tokens, **options))

    def supported(
        self, support: Support | None, tokens: float, *, reads_unique: bool = False
    ) -> "Constraints":
        """The same within what runs support, at a budget; names must be bare.

        What the runs say nothing about is let go if the other constraints leave no mixture there:
        first directions without variation, then domains with one weight.
        """
        if support is None or self.within == "anywhere":
            return replace(self, region=None)
        held = support.fixed
        region = Region(within=self.within, support=support, held=held, flat=support.flat)
        looser = [replace(region, flat=region.flat[:0])] if len(region.flat) else []
        looser += [replace(region, flat=region.flat[:0], held=held & False)] if held.any() else []
        found = replace(self, region=region)
        for other in looser:
            rows = found.rows(support.domains, tokens, reads_unique=reads_unique)
            if find_clash(rows) is None:
                break
            found = replace(self, region=other)
        return found

    def check(self, domains: Sequence[str], tokens: float, *, reads_unique: bool = False) -> None:
        """Raises if no mixture meets the linear constraints at a budget; needs no law.

        Call it before a study is run or a law fitted. Guardrails and ``kl_max`` need laws;
        ``optimize`` judges them.

        Args:
            domains: bare names of all k domains.
            tokens: D.
            reads_unique: whether the law prices repetition itself, so that stocks cap nothing.

        Raises:
            JaxmixError: an unknown name; the constraints that clash, and by how much.

        Example:
            >>> limits = Constraints(minimum={"web": 0.7}, linear=["web <= 2*code"])
            >>> limits.check(["web", "code"], 1e11)
            Traceback (most recent call last):
            jaxmix.errors.JaxmixError: no mixture meets web>=0.7 and web <= 2*code together; to \
meet the others, web>=0.7 must give 0.0333 of weight or web <= 2*code 0.1
        """
        use = self.kl_max is not None
        rows = self.over(domains).rows(domains, tokens, reads_unique=reads_unique, use_prior=use)
        if message := find_clash(rows):
            far = any(row.kind == "run" and row.label in message for row in rows)
            remedy = "; --within anywhere allows mixtures unlike those that were run" if far else ""
            given = {"reads_unique": reads_unique}
            short = self.over(domains)._short_stock(domains, tokens, message, rows, **given)
            raise JaxmixError(message + short + remedy)

    def most_tokens(self, domains: Sequence[str], *, reads_unique: bool = False) -> float:
        """The largest D at which a mixture meets the linear constraints; infinite without caps.

        A program in h D and D; names must be bare.
        """
        rows = self.rows(domains, 1.0, reads_unique=reads_unique)
        capped = [row.kind == "epochs" for row in rows]
        if not any(capped):
            return math.inf
        pairs = [(row, row.kind == "epochs") for row in rows]
        table = [np.append(row.slope, 0.0 if cap else -row.bound) for row, cap in pairs]
        right = np.array([row.bound if cap else 0.0 for row, cap in pairs])
        total = np.append(np.ones(len(domains)), -1.0)[None]
        most, scale = -np.eye(len(domains) + 1)[-1], right.max()
        found = scipy.optimize.linprog(most, table, right / scale, total, [0.0], method="highs")
        return float(-found.fun) * scale if found.status == 0 else math.inf

    def _short_stock(
        self,
        domains: Sequence[str],
        tokens: float,
        message: str,
        rows: Sequence[Row],
        **given: bool,
    ) -> str:
        """How many tokens the stock allows, if that is what clashes, and what to change."""
        caps = {row.label for row in rows if row.kind == "epochs" and row.label in message}
        most = self.most_tokens(domains, **given) if caps else math.inf
        if not 0 < most < tokens:
            return ""
        epochs = {label.rpartition("<=")[2] for label in caps}
        passes = next(iter(epochs)) if len(epochs) == 1 else "these epochs"
        others = "" if all(row.kind == "epochs" for row in rows) else " and limits"
        return (
            f"; your data{others} allow {amount(most)} of {amount(tokens)} tokens at {passes}: "
            "allow more epochs (--max-epochs), more data (--available) or fewer tokens (--tokens)"
        )

    def bounds_only(self, domains: Sequence[str]) -> bool:
        """Whether they are bounds on single weights and available tokens alone."""
        halves = (h for text in self.expressions() for h in parse_linear(text, tuple(domains)))
        one_each = all(np.count_nonzero(slope) == 1 for slope, _ in halves)
        one_each &= self.region is None or self.region.bounds_only
        return one_each and not self.guards and self.kl_max is None

    def boxes(
        self, domains: Sequence[str], tokens: np.ndarray, *, reads_unique: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds at many budgets D [B], two [B, k].

        Raises:
            JaxmixError: a budget at which no mixture meets them.
        """
        alone = replace(self, available={}, max_epochs=None, region=None)
        shape = alone.polytope(domains, 1.0)
        lower, upper = (np.tile(edge, (len(tokens), 1)) for edge in (shape.lower, shape.upper))
        caps = self.caps(reads_unique=reads_unique)
        for name, most in caps.items():
            i = list(domains).index(name)
            upper[:, i] = np.minimum(upper[:, i], most * self.available[name] / tokens)
        if self.region is not None:
            lower, upper = self.region.box(lower, upper)
        bad = np.any(lower > upper, 1) | (lower.sum(1) > 1 + _ROUNDING)
        bad |= (upper.sum(1) < 1 - _ROUNDING) | (np.isinf(tokens) & bool(caps))
        for b in np.flatnonzero(bad)[:1]:
            self.check(domains, float(tokens[b]), reads_unique=reads_unique)
        upper = np.maximum(lower, upper) / np.minimum(1.0, upper.sum(1, keepdims=True))
        return lower / np.maximum(1.0, lower.sum(1, keepdims=True)), upper


def _number(value: Any, what: str, least: float | None = None) -> float:
    """A finite number above 0, or of at least some value."""
    if not ((value > 0 if least is None else value >= least) and math.isfinite(value)):
        text = "above 0" if least is None else f"of at least {least:g}"
        raise JaxmixError(f"{what} is {value:g}: it must be a number {text}")
    return float(value)


def _numbers(values: Values, what: str, least: float | None = None) -> dict[str, float]:
    return {name: _number(v, f"{what} of '{name}'", least) for name, v in values.items()}


def _apart(values: Values, sign: str) -> tuple[dict[str, float], list[str]]:
    """Bounds of single domains, and those of groups such as ``"web:*"`` as inequalities."""
    alone = {name: v for name, v in values.items() if not name.endswith(":*")}
    return alone, [f"{n} {sign} {v:.12g}" for n, v in values.items() if n not in alone]


def _shares(values: Values, what: str) -> dict[str, float]:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise JaxmixError(f"{what} of '{name}' is {value:g}: weights lie between 0 and 1")
    return {name: float(value) for name, value in values.items()}


def _mixture(values: Values, what: str) -> dict[str, float]:
    """A mixture, normalized if its sum is off by rounding."""
    shares = _shares(values, f"{what} weight")
    total = sum(shares.values())
    if abs(total - 1) > _SLACK:
        raise JaxmixError(f"the {what} mixture sums to {total:.4g}, not to 1")
    return {name: share / total for name, share in shares.items()}


def _pair(names: str, limits: Any) -> Pair:
    low, high = limits if isinstance(limits, tuple | list) else (None, limits)
    if low is None and high is None:
        raise JaxmixError(f"group '{names}' has neither a smallest nor a largest weight")
    ends = [
        None if x is None else _number(x, f"limit of group '{names}'", 0.0) for x in (low, high)
    ]
    return ends[0], ends[1]
