"""Linear inequalities between domain weights as people write them: ``2*web + code <= 0.5``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.mixtures.names import resolve

_LONGEST, _DEEPEST = 1000, 40
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?")
_COMPARE = re.compile(r"<=|>=|==|=|<|>")
_WORD = re.compile(r"[^\s+*/()<>=]+")


@dataclass(frozen=True)
class Affine:
    """``slope . h + constant``; slope [k]."""

    slope: np.ndarray
    constant: float = 0.0

    def plus(self, other: "Affine", sign: float = 1.0) -> "Affine":
        """This plus ``sign`` times the other."""
        return Affine(self.slope + sign * other.slope, self.constant + sign * other.constant)

    def times(self, number: float) -> "Affine":
        """This times a number."""
        return Affine(number * self.slope, number * self.constant)


Half = tuple[np.ndarray, float]  # slope [k] and bound of slope . h <= bound


def parse_linear(text: str, domains: Sequence[str]) -> list[Half]:
    """The half-spaces that a linear inequality between weights means.

    Numbers, domain names (bare, with ``w_``, or between backticks), ``+ - * /``, parentheses and
    ``<= >= =``; both sides may hold either, and ``0.1 <= books + wiki <= 0.3`` is two
    inequalities. On a closed set ``<`` means ``<=``.

    Args:
        text: the inequality.
        domains: bare names of all domains, the order of the slopes.

    Returns:
        ``(slope [k], bound)`` for each inequality ``slope . h <= bound``; an equation is two.

    Raises:
        JaxmixError: an unknown domain, a product of weights, no comparison, or no domain at all;
            the message shows the text.

    Example:
        >>> parse_linear("2*web + code <= 0.5", ["web", "code"])
        [(array([2., 1.]), 0.5)]
        >>> parse_linear("web >= code", ["web", "code"])
        [(array([-1.,  1.]), 0.0)]
        >>> parse_linear("web + cod <= 0.5", ["web", "code"])
        Traceback (most recent call last):
        JaxmixError: constraint 'web + cod <= 0.5': unknown domain 'cod'; nearest: code
    """
    reader = _Reader(text, tuple(domains))
    sides, signs = [reader.sum()], []
    while found := reader.match(_COMPARE):
        signs.append(found)
        sides.append(reader.sum())
    if reader.rest():
        raise reader.refuse(f"cannot read '{reader.rest()}'")
    if not signs:
        raise reader.refuse("it compares nothing; write one such as 2*web + code <= 0.5")
    pairs = zip(sides, signs, sides[1:], strict=False)
    return [half for left, sign, right in pairs for half in _halves(reader, left, sign, right)]


def _halves(reader: "_Reader", left: Affine, sign: str, right: Affine) -> list[Half]:
    gap = left.plus(right, -1.0)
    if not gap.slope.any():
        raise reader.refuse("no domain is left in it; name one such as web <= 0.5")
    if not np.all(np.isfinite([*gap.slope, gap.constant])):
        raise reader.refuse("a number in it is not finite")
    below, above = (gap.slope, 0.0 - gap.constant), (0.0 - gap.slope, gap.constant)
    if sign in ("=", "=="):
        return [below, above]
    return [below if sign in ("<", "<=") else above]


@dataclass
class _Reader:
    """A recursive-descent reader of one inequality."""

    text: str
    domains: tuple[str, ...]
    at: int = 0
    depth: int = 0
    spellings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.text) > _LONGEST:
            shown, size = self.text[:40], len(self.text)
            raise JaxmixError(f"constraint '{shown}...' has {size} characters; at most {_LONGEST}")
        known = {s for name in self.domains for s in (name, f"w_{name}", f"`{name}`")}
        self.spellings = sorted(known, key=len, reverse=True)

    def refuse(self, problem: str) -> JaxmixError:
        return JaxmixError(f"constraint '{self.text.strip()}': {problem}")

    def rest(self) -> str:
        return self.text[self.at :].strip()

    def match(self, pattern: re.Pattern[str]) -> str:
        """What the pattern matches here, taken; empty where it does not."""
        self.at += len(self.text[self.at :]) - len(self.text[self.at :].lstrip())
        found = pattern.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found.group() if found else ""

    def take(self, marks: str) -> str:
        return self.match(re.compile(f"[{re.escape(marks)}]"))

    def sum(self) -> Affine:
        sign = -1.0 if self.take("+-") == "-" else 1.0
        total = self.product().times(sign)
        while mark := self.take("+-"):
            total = total.plus(self.product(), -1.0 if mark == "-" else 1.0)
        return total

    def product(self) -> Affine:
        value = self.atom()
        while mark := self.take("*/"):
            value = self._combined(value, mark, self.atom())
        return value

    def _combined(self, left: Affine, mark: str, right: Affine) -> Affine:
        if mark == "/":
            if right.slope.any() or right.constant == 0:
                raise self.refuse("it may only be divided by a number other than 0")
            return left.times(1 / right.constant)
        if left.slope.any() and right.slope.any():
            raise self.refuse("it multiplies weights: only sums of number * domain are linear")
        number, other = (right, left) if left.slope.any() else (left, right)
        return other.times(number.constant)

    def atom(self) -> Affine:
        if name := self._name():
            index = self.domains.index(name)
            return Affine(np.eye(len(self.domains))[index])
        if number := self.match(_NUMBER):
            value = float(number.rstrip("%")) / (100 if number.endswith("%") else 1)
            return Affine(np.zeros(len(self.domains)), value)
        if self.take("("):
            return self._group()
        word = self.match(_WORD).strip("`")
        if not word:
            raise self.refuse(f"a domain or number is missing at '{self.rest()}'")
        try:
            resolve({word: 0.0}, self.domains, "domain")
        except ValueError as error:
            raise self.refuse(str(error)) from None
        raise self.refuse(f"cannot read '{word}'")

    def _group(self) -> Affine:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.refuse("nested too deeply")
        value = self.sum()
        if not self.take(")"):
            raise self.refuse("a parenthesis is not closed")
        self.depth -= 1
        return value

    def _name(self) -> str:
        """The domain named here, taken: the longest spelling that ends where a word may end."""
        self.match(re.compile(""))
        for spelling in self.spellings:
            end = self.at + len(spelling)
            after = self.text[end : end + 1]
            if self.text.startswith(spelling, self.at) and not re.match(r"[\w.]", after):
                self.at = end
                bare = spelling.strip("`")
                return bare if bare in self.domains else bare.removeprefix("w_")
        return ""
