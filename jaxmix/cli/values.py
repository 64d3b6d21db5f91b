"""Types of option values: numbers with units, lists, and values by name."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import click

from jaxmix.cli.completing import PRESETS as PRESET_NAMES
from jaxmix.cli.completing import law_names, listed, named, names_at_hand
from jaxmix.quantities import as_number as as_number
from jaxmix.quantities import quantity


class Value(click.ParamType):
    """A type whose name stands in the help as it is: placeholders in capitals, words not."""

    def get_metavar(self, param: click.Parameter, ctx: Any = None) -> str:
        """The name."""
        return self.name


class Quantity(Value):
    """A positive number: 7e9, 7B, 150M, or inf for the limit."""

    name = "NUMBER"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Text to a number."""
        number = value if isinstance(value, float) else quantity(str(value))
        if number != number:
            self.fail(f"'{value}' is not a positive number; write 7e9, 7B or inf", param, ctx)
        return number


class Whole(Value):
    """A whole number of at least 1: 2M.

    Args:
        advice: what to write instead of what is none.
    """

    name = "NUMBER"

    def __init__(self, advice: str = "write 2M") -> None:
        self._advice = advice

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Text to a number."""
        number = float(value) if isinstance(value, int) else quantity(str(value))
        if not 1 <= number < math.inf:
            self.fail(f"'{value}' is not a finite number of at least 1; {self._advice}", param, ctx)
        return int(number)


def _finite(text: str) -> float:
    number = as_number(text)
    number = quantity(text) if math.isnan(number) else number
    return number if math.isfinite(number) else math.nan


def _strength(text: str) -> float:
    return math.inf if text == "inf" else as_number(text)


def _whole(text: str) -> float:
    return int(text) if text.isdigit() else math.nan


def _pair(text: str, first: Callable[[str], Any] = quantity) -> Any:
    """What stands before and after =; the second is a quantity."""
    name, _, number = text.partition("=")
    pair = first(name.strip()), quantity(number)
    return math.nan if not name.strip() or any(value != value for value in pair) else pair


def _floor(text: str) -> float:
    return 0.0 if text == "0" else quantity(text)


class Listed(Value):
    """Values between commas, each once, such as positive numbers: ``1e7,30M,0.1B``.

    Args:
        what: one value in words, for messages and the help.
        example: of a list.
        each: makes a value from its text; a value that is not equal to itself is none.
        fits: whether a value is allowed.
        words: texts that mean a value of their own instead of a list.
    """

    def __init__(
        self,
        what: str,
        example: str,
        each: Callable[[str], Any] = str,
        fits: Callable[[Any], bool] = bool,
        words: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = "|".join([f"{what.split()[-1].upper()},...", *(words or {})])
        self._what, self._example = what, example
        self._each, self._fits, self._words = each, fits, words or {}

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[Any]:
        """Laws, presets, or what the table or law at hand has."""
        if self is LAWS:
            return law_names(incomplete)
        if self is PRESETS:
            return listed(PRESET_NAMES, incomplete, "=")
        kind = "domains" if param.name == "domains" else "targets"
        words = named(self._words, incomplete)
        return [*words, *(listed(names_at_hand(ctx, kind), incomplete) if self is NAMES else [])]

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Text to a tuple, or to what the word means."""
        if not isinstance(value, str):
            return value
        if value in self._words:
            return self._words[value]
        if "," in value and self._each in (quantity, _floor) and not math.isnan(quantity(value)):
            one, several = value.replace(",", ""), value.replace(",", "e0,", 1)
            self.fail(f"'{value}' is one number or several; write {one} or {several}", param, ctx)
        found = []
        for part in (part.strip() for part in value.split(",")):
            made = self._each(part)
            if made != made or not self._fits(made):
                text = f"'{part}' is not a {self._what}; write {self._example}"
                self.fail(text, param, ctx)
            found.append(made)
        return tuple(dict.fromkeys(found))


class Named(Value):
    """Values by name, such as numbers: ``web=0.2,code=0.1``.

    Args:
        each: makes a value from its text; a value that is not equal to itself is none.
        name: of one pair, for messages and the help.
        example: of a list.
        between: the pattern that separates pairs.
    """

    def __init__(
        self,
        each: Callable[[str], Any] = _finite,
        name: str = "name=number",
        example: str = "web=0.2,code=0.1",
        between: str = ",",
    ) -> None:
        self._each, self._pair, self._example, self._between = each, name, example, between
        self.name = f"{name.upper()},..."

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[Any]:
        """Domains, or targets, of the table or law at hand."""
        kind = "targets" if param.name in ("target_weights", "guard") else "domains"
        return listed(names_at_hand(ctx, kind), incomplete, "=")

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, Any]:
        """Text to a dictionary."""
        if isinstance(value, dict):
            return value
        found: dict[str, Any] = {}
        for part in re.split(self._between, str(value)):
            name, equals, text = part.partition("=")
            name, text = name.strip(), text.strip()
            made = self._each(text) if equals and name and text else math.nan
            if made != made:
                self.fail(f"'{part}' is not {self._pair}; write {self._example}", param, ctx)
            if name in found:
                self.fail(f"'{name}' is given twice", param, ctx)
            found[name] = made
        return found


NUMBERS = Named()
AMOUNTS = Named(quantity, "name=tokens", "books=25B,code=3e9")
PATHS = Named(str, "domain=path", "web=/data/web", ",(?=[^,=]+=)")  # a path may hold a comma
SOURCES = Named(str, "domain=source", "web=hf:allenai/c4/en", ",(?=[^,=]+=)")
QUANTITIES = Listed("finite positive number", "1e7,30M", quantity, math.isfinite)
NAMES = Listed("name", "a,b", words={"all": None})
LAWS = Listed("law", "additive,joint")
COUNTS = Listed("count", "10,20,40", _whole)
SEEDS = Listed("seed", "0,1,2", _whole, lambda seed: seed >= 0)
SIZES = Listed("pair N=D", "50M=1B,100M=2B", _pair, lambda pair: max(pair) < math.inf)
PRESETS = Listed(
    "pair PRESET=TOKENS",
    "tiny-64=1M",
    lambda text: _pair(text, str),
    lambda pair: pair[1] < math.inf,
)
FACTORS = Listed("factor", "1,10,100,inf", quantity)
SHARES = Listed("share", "0,0.1,0.25", as_number, lambda share: share >= 0)
STRENGTHS = Listed(
    "strength", "auto or 0,0.1,1", _strength, lambda strength: strength >= 0, {"auto": "auto"}
)
FLOORS = Listed("size", "auto or 0,85M", _floor, math.isfinite, {"auto": "auto"})


class Rename(Value):
    """A column of the table and the name to give it: ``N=n_params``."""

    name = "OLD=NEW"

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, str]:
        """Text to the old name by the new one; the old one may hold = and commas."""
        old, equals, new = str(value).rpartition("=")
        if not (equals and old.strip() and new.strip()):
            self.fail(f"'{value}' is not old=new; write N=n_params", param, ctx)
        return {new.strip(): old.strip()}


RENAMES = Rename()


class Refits(Value):
    """How many refits: ``auto``, which is None, or a number of at least ``least``."""

    name = "auto|NUMBER"

    def __init__(self, least: int) -> None:
        self.least = least

    def convert(self, value: Any, param: Any, ctx: Any) -> int | None:
        """Text to a number."""
        if value == "auto":
            return None
        if not re.fullmatch(r"\d+", str(value)):
            self.fail(f"'{value}' is not a number of refits; write auto or 200", param, ctx)
        number = int(value)
        if number < self.least:
            self.fail(f"{number} is too few; write auto, or {self.least} or more", param, ctx)
        return number


class Strength(Value):
    """How strongly parameters are shared: ``auto``, one number, or numbers by parameter."""

    name = "auto|NUMBER|NAME=NUMBER,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Text to the word, a number or a dictionary."""
        if not isinstance(value, str) or value == "auto":
            return value
        if "=" in value:
            return Named(_strength, example="alpha=1,gamma=0.1").convert(value, param, ctx)
        number = _strength(value)
        if number != number:
            self.fail(f"'{value}' is not a strength; write auto, 0, 0.3 or inf", param, ctx)
        return number


class NumberOrNamed(Value):
    """One positive number, or numbers by name: ``4`` or ``books=8,code=2``."""

    name = "NUMBER|NAME=NUMBER,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Text to a number or a dictionary."""
        return (NUMBERS if "=" in str(value) else Quantity()).convert(value, param, ctx)


class MixtureType(Value):
    """A mixture by its weights, or by a word for one that follows from the domains."""

    name = "uniform|proportional|NAME=WEIGHT,..."
    _WORDS = ("uniform", "proportional")

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[Any]:
        """The words, and domains of the table or law at hand."""
        words = named(self._WORDS, incomplete)
        return [*words, *NUMBERS.shell_complete(ctx, param, incomplete)]

    def convert(self, value: Any, param: Any, ctx: Any) -> str | dict[str, float]:
        """Text to the word or the weights."""
        if value in self._WORDS:
            return value
        if isinstance(value, str) and "=" not in value:
            self.fail(f"'{value}' is not uniform, proportional or web=0.7,code=0.3", param, ctx)
        return NUMBERS.convert(value, param, ctx)


class Labelled(Value):
    """A value with a name before it: ``best:web=0.7,code=0.3``.

    Args:
        inner: type of the value.
        words: values that are names of their own, such as ``uniform``.
        example: of the whole, for messages.
        form: of the whole, for the help.
    """

    def __init__(
        self,
        inner: click.ParamType | None = None,
        words: tuple[str, ...] = (),
        example: str = "best:web=0.7,code=0.3",
        form: str = "NAME:a=0.5,b=0.5",
    ) -> None:
        self._inner, self._words, self._example = inner or NUMBERS, words, example
        self.name = "|".join((*words, form))

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, Any]:
        """Text to a name and a value; of a word, both are the word."""
        if value in self._words:
            return value, value
        name, colon, rest = str(value).partition(":")
        if not colon or not name.strip():
            self.fail(f"'{value}' has no name; write {self._example}", param, ctx)
        return name.strip(), self._inner.convert(rest, param, ctx)


def merged(ctx: Any, param: Any, given: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    """Callback of an option with values by name that may be given several times: one dictionary."""
    found: dict[str, Any] = {}
    for name, value in (item for part in given for item in part.items()):
        if name in found:
            raise click.BadParameter(f"'{name}' is given twice", ctx, param)
        found[name] = value
    return found


def named_option(*names: str, kind: click.ParamType = NUMBERS, help: str) -> Any:
    """An option with values by name; a command receives one dictionary, empty if not given."""
    return click.option(*names, multiple=True, type=kind, callback=merged, help=help)
