"""Documents that are left out because they are unusable, and when there are too many of them.

There is one rule for texts and for pictures: up to 5% of a domain's documents, or three, may be
unusable, and are counted and named; more of them stop the preparation. A JSONL file of which half
cannot be read is of another kind, and stops it too.
"""

from collections import defaultdict
from typing import Any

from jaxmix.errors import JaxmixError

from .errors import DataError, clip

_SHARE, _COUNT = 0.05, 3
_EXAMPLES = 5
_REMEDY = "fix or remove it"


class Unusable(JaxmixError):
    """Why one document cannot be used.

    Attributes:
        reason: why, in words that are the same for all such documents.
        remedy: what a user can do.
    """

    def __init__(self, reason: str, detail: str = "", remedy: str = _REMEDY) -> None:
        super().__init__(detail or reason)
        self.reason, self.remedy = reason, remedy


def unicode_text(text: str) -> str:
    """The text itself.

    Raises:
        Unusable: it holds half a surrogate pair, which no tokenizer can read.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unusable("holds half a surrogate pair") from None
    return text


class Skips:
    """Documents that are left out, counted by reason.

    >>> skips = Skips()
    >>> skips.add("a.png", "is damaged or cut short")
    >>> skips.count, skips.first
    (1, 'a.png: is damaged or cut short; fix or remove it')
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = defaultdict(int)
        self._examples: dict[str, list[str]] = defaultdict(list)
        self._errors: dict[str, Unusable] = {}

    def add(self, name: str, why: str | Unusable) -> None:
        """Counts the document of this name under a reason; keep the reasons few."""
        error = Unusable(why) if isinstance(why, str) else why
        self._counts[error.reason] += 1
        self._errors.setdefault(error.reason, error)
        if len(self._examples[error.reason]) < _EXAMPLES:
            self._examples[error.reason].append(name)

    @property
    def count(self) -> int:
        """Number of documents left out."""
        return sum(self._counts.values())

    @property
    def first(self) -> str:
        """The first document that was left out for the most frequent reason, and the remedy."""
        reason, held = next(iter(self.facts.items()))
        error = self._errors[reason]
        return f"{clip(held['examples'][0], 200)}: {clip(error, 200)}; {error.remedy}"

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """Counts and first names by reason, the most frequent reason first."""
        order = sorted(self._counts, key=lambda reason: (-self._counts[reason], reason))
        return {
            reason: {"count": self._counts[reason], "examples": list(self._examples[reason])}
            for reason in order
        }

    def check(self, where: str, total: int) -> None:
        """Refuses a domain if many of its documents are left out.

        Args:
            where: the domain, for the message.
            total: number of its documents, with those left out.

        Raises:
            DataError: more than 5% are left out, and more than 3; or all.
        """
        if total == 0:
            raise DataError(f"{where}: holds no documents; add some or remove it")
        most = max(_COUNT, _SHARE * total)
        if self.count <= most and self.count < total:
            return
        said = f"{where}: {self.count} of {total} documents are unusable"
        if total == 1:
            raise DataError(f"{said}: {self.first}")
        reason, held = next(iter(self.facts.items()))
        remedy = self._errors[reason].remedy.replace(_REMEDY, "fix or remove them")
        raise DataError(
            f"{said}, most often because one {clip(reason, 80)} "
            f"(such as {clip(held['examples'][0], 200)}); {remedy}"
        )
