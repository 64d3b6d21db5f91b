"""Notes: what a reader should know, one sentence each, ranked by what it does to an answer."""

from collections.abc import Iterable

WRONG = 1  # the numbers themselves may be wrong
UNSAFE = 2  # an answer that people will want cannot be trusted
GUESS = 3  # a part of the answer is a guess
MINOR = 4  # good to know


class Note(str):
    """One sentence: the consequence first, the evidence in parentheses, the remedy last.

    Attributes:
        rank: how grave it is, ``WRONG`` to ``MINOR``.
    """

    __slots__ = ("rank",)
    rank: int

    def __new__(cls, text: str, rank: int = MINOR) -> "Note":
        """A sentence with its rank."""
        made = super().__new__(cls, text)
        made.rank = rank
        return made

    def __getnewargs__(self) -> tuple[str, int]:
        return str(self), self.rank


def rank_of(note: str) -> int:
    """The rank of a note; ``MINOR`` for plain text."""
    return getattr(note, "rank", MINOR)


def ranked(notes: Iterable[str]) -> tuple[str, ...]:
    """Notes, each once, the gravest first; equal ones keep their order.

    >>> ranked(["in float32", Note("tokens look like millions", WRONG), "in float32"])
    ('tokens look like millions', 'in float32')
    """
    return tuple(sorted(dict.fromkeys(notes), key=rank_of))


def listed(names: Iterable[str], most: int | None = 3) -> str:
    """Names in a sentence, the first `most` of them; None for all.

    >>> listed("ab"), listed("abcde"), listed("abcde", None)
    ('a and b', 'a, b, c and 2 more', 'a, b, c, d and e')
    """
    names = tuple(names)
    most = len(names) if most is None else most
    shown = list(names[:most])
    rest = [f"{len(names) - most} more"] if len(names) > most else shown[-1:]
    first = shown if len(names) > most else shown[:-1]
    return " and ".join(filter(None, [", ".join(first), *rest]))
