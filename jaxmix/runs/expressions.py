"""Expression text to a syntax tree: backticked names, and one clear line for what fails."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass

from .errors import RunTableError, clip

_LONGEST = 2000
_OPERATOR_HINTS = (
    ("&&", "write and"),
    ("||", "write or"),
    ("=", "compare with =="),
    ("!", "write not"),
)


@dataclass(frozen=True)
class Expression:
    """A parsed expression; `names` maps stand-in identifiers to the backticked names."""

    text: str
    tree: ast.expr
    names: dict[str, str]
    parsed: str

    def column(self, node: ast.Name) -> str:
        """Returns the column that an identifier means."""
        return self.names.get(node.id, node.id)

    def piece(self, node: ast.AST) -> str:
        """Returns the part of the text that `node` stands for, as it was written."""
        found = ast.get_source_segment(self.parsed, node) or self.text
        for stand_in, name in self.names.items():
            found = found.replace(stand_in, f"`{name}`")
        return clip(found)

    def refuse(self, node: ast.AST | None, problem: str) -> RunTableError:
        """Returns an error that shows the expression and the piece at fault."""
        piece = f" at {self.piece(node)!r}" if node is not None else ""
        return RunTableError(f"where expression {clip(self.text)!r}{piece}: {problem}")


def parse(text: str) -> Expression:
    """Returns the syntax tree of one expression.

    Raises:
        RunTableError: the text is empty, too long, too deep, or not an expression.
    """
    if len(text) > _LONGEST:
        raise RunTableError(
            f"where expression {clip(text, 40)!r}: {len(text)} characters are too many "
            f"(at most {_LONGEST}); filter in several steps"
        )
    if not text.strip():
        raise RunTableError("where expression '' is empty; write one such as n_params < 2e9")
    parsed, names = _stand_ins(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes and spacing, which mean what they do
            tree = ast.parse(parsed, mode="eval").body
    except (RecursionError, MemoryError):
        raise RunTableError(f"where expression {clip(text)!r}: nested too deeply") from None
    except (SyntaxError, ValueError) as error:
        raise _not_an_expression(text, error) from None
    return Expression(text, tree, names, parsed)


def _not_an_expression(text: str, error: Exception) -> RunTableError:
    reason = clip(error.msg if isinstance(error, SyntaxError) else error, 60)
    if "nested" in reason:
        return RunTableError(f"where expression {clip(text)!r}: nested too deeply")
    plain = text
    for comparison in ("==", "!=", "<=", ">="):
        plain = plain.replace(comparison, " ")
    advice = [advice for mark, advice in _OPERATOR_HINTS if mark in plain]
    remedy = advice[0] if advice else "write one such as n_params < 2e9 and flags == ''"
    return RunTableError(f"where expression {clip(text)!r}: not an expression ({reason}); {remedy}")


def _stand_ins(text: str) -> tuple[str, dict[str, str]]:
    """Replaces `` `any name` `` by identifiers and line breaks by spaces, outside quotes."""
    pieces: list[str] = []
    names: dict[str, str] = {}
    quote, i = "", 0
    while i < len(text):
        mark = text[i]
        if not quote and mark == "`":
            end = text.find("`", i + 1)
            if end < 0:
                raise RunTableError(f"where expression {clip(text)!r}: a backtick is not closed")
            pieces.append(_stand_in(text, text[i + 1 : end], names))
            i = end + 1
            continue
        if not quote and mark == "#":
            raise RunTableError(f"where expression {clip(text)!r}: # is not allowed; remove it")
        step = 2 if quote and mark == "\\" else 1
        if mark in "'\"" and quote in ("", mark):
            quote = "" if quote else mark
        pieces.append(" " if not quote and mark.isspace() else text[i : i + step])
        i += step
    return "".join(pieces).strip(), names


def _stand_in(text: str, name: str, names: dict[str, str]) -> str:
    for stand_in, known in names.items():
        if known == name:
            return f" {stand_in} "
    stand_in = f"column{len(names)}_"
    while stand_in in text:
        stand_in += "_"
    names[stand_in] = name
    return f" {stand_in} "
