"""Numbers as people write them, in options, tables and filters: ``1e9``, ``70M``, ``1.5B``."""

import math
import re

_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)")


def quantity(text: str) -> float:
    """Returns a positive number with or without a unit; NaN if the text is none.

    >>> quantity("70M"), quantity("1.5b"), quantity("1,000"), quantity("-1")
    (70000000.0, 1500000000.0, 1000.0, nan)
    """
    text = text.strip()
    if groups := _THOUSANDS.match(text):
        text = groups[0].replace(",", "") + text[groups.end() :]
    unit = _UNITS.get(text[-1:].upper(), 1.0)
    number = as_number(text[:-1] if unit > 1 else text) * unit
    # A decimal fraction times a power of ten is often off in its last bit; 1.1B is 1.1e9.
    number = float(f"{number:.15g}") if unit > 1 else number
    overflows = math.isinf(number) and any(digit in text for digit in "123456789")
    return number if number > 0 and not overflows else math.nan


def as_number(text: str) -> float:
    """Returns a number as people write it; NaN if the text is none."""
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def shortest(number: float) -> str:
    """Returns the shortest text that reads back as exactly this number.

    >>> shortest(2e9), shortest(18915328.0), shortest(0.25)
    ('2e9', '18915328', '0.25')
    """
    texts = (f"{number:.{digits}g}" for digits in range(1, 18))
    exact = next(text for text in texts if float(text) == number)
    return min(f"{number:.17g}", exact.replace("e+0", "e").replace("e+", "e"), key=len)


def amount(number: float) -> str:
    """Returns a number of tokens or parameters to three digits, with its unit.

    >>> amount(68e9), amount(18915328), amount(512)
    ('68B', '18.9M', '512')
    """
    for letter, unit in reversed(_UNITS.items()):
        if unit <= number < 1e15:
            return f"{number / unit:.3g}{letter}"
    return f"{number:.3g}"


def count(number: int, one: str, many: str = "") -> str:
    """Returns a number of things with the noun, and the verb if it is given.

    >>> count(1, "row"), count(2000, "row"), count(1, "row is", "rows are")
    ('1 row', '2000 rows', '1 row is')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def chance(probability: float) -> str:
    """Returns a probability in percent; one that refits cannot tell from 0 or 1 as a bound.

    >>> chance(1.0), chance(0.57), chance(0.0)
    ('>99%', '57%', '<1%')
    """
    if not 0.005 <= probability <= 0.995:
        return "-" if math.isnan(probability) else ">99%" if probability > 0.5 else "<1%"
    return f"{100 * probability:.0f}%"
