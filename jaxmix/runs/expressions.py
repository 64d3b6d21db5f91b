"""Expressions that people write, parsed by Python's `ast` and walked by hand, never evaluated.

`Reader` parses; a subclass has a method for each kind of node that it allows. Row filters are in
`jaxmix.runs.filters`; linear rows, sums of numbers times domains on both sides of `<= >= =`, here.
"""

from __future__ import annotations

import ast
import itertools
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from jaxmix.errors import JaxmixError, clip
from jaxmix.quantities import quantity
from jaxmix.runs.names import unknown

_LONGEST, _DEEPEST = 2000, 100
NAME_TOKENS = r"(?P<name>`[^`]*`)|(?P<open>`)|(?P<comment>#)|(?P<space>\s)"
NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TOKENS = (
    rf"(?P<percent>{NUMBER}%)|{NUMBER}|(?:and|or|not)\b|[<>!=]=|(?P<equal>=)|[-+*/()<>]"
    rf"|{NAME_TOKENS}|(?P<word>[^\s+*/()<>=`#]+)"
)


class Reader(ast.NodeVisitor):
    """One expression: its text, its tree with stand-ins for awkward names, and its errors."""

    what: ClassVar[str]
    error: ClassVar[type[JaxmixError]]
    example: ClassVar[str]
    shorter: ClassVar[str]
    operand: ClassVar[str]
    allowed: ClassVar[str]
    advice: ClassVar[Mapping[str, str]] = {}  # by what stands in a text that is no expression
    remedies: ClassVar[Mapping[type[ast.AST], str]] = {}

    def __init__(self, text: str, tokens: str) -> None:
        self.text, self.depth = text, 0
        self.names: dict[str, str] = {}  # names as they were written, by stand-in
        if len(text) > _LONGEST:
            size = f"{len(text)} characters are too many (at most {_LONGEST})"
            raise self.error(f"{self.what} {clip(text, 40)!r}: {size}; {self.shorter}")
        if not text.strip():
            raise self.error(f"{self.what} '' is empty; write one such as {self.example}")
        self.parsed = re.sub(tokens, self._replaced, text).strip()

    def _replaced(self, token: re.Match[str]) -> str:
        """Returns what Python is to read in place of a token."""
        written = token.group()
        match token.lastgroup:
            case "name" | "spelling" | "word":
                return f" {self._stand_in(written)} "
            case "percent":
                return f"({written[:-1]}/100)"
            case "size":
                return repr(quantity(written))
            case "equal":
                return "=="
            case "space":
                return " "
            case "open":
                raise self.refuse(None, "a backtick is not closed")
            case "comment":
                raise self.refuse(None, "# is not allowed; remove it")
        return written

    def _stand_in(self, written: str) -> str:
        for stand_in, name in self.names.items():
            if name == written:
                return stand_in
        stand_in = f"column{len(self.names)}_"
        while stand_in in self.text:
            stand_in += "_"
        self.names[stand_in] = written
        return stand_in

    def tree(self) -> ast.expr:
        """Returns the syntax tree; a text that is no expression raises an error."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about escapes and spacing that mean what they do
                return ast.parse(self.parsed, mode="eval").body
        except (RecursionError, MemoryError):
            raise self.refuse(None, "nested too deeply") from None
        except (SyntaxError, ValueError) as error:
            reason = clip(error.msg if isinstance(error, SyntaxError) else error, 60)
        if "nested" in reason:
            raise self.refuse(None, "nested too deeply")
        if re.search(r"[-+*/<>=(,]$", self.parsed):
            reason = f"a {self.operand} is missing at the end"
        plain = re.sub("[=!<>]=", " ", self.text)
        advice = [advice for mark, advice in self.advice.items() if mark in plain]
        remedy = advice[0] if advice else f"write one such as {self.example}"
        raise self.refuse(None, f"not an expression ({reason}); {remedy}")

    def name(self, node: ast.Name) -> str:
        """Returns the column or domain that an identifier means."""
        return self.names.get(node.id, node.id).strip("`")

    def piece(self, node: ast.AST) -> str:
        """Returns the part of the text that `node` stands for, as it was written."""
        found = ast.get_source_segment(self.parsed, node) or self.text
        for stand_in, name in self.names.items():
            found = re.sub(f" ?{stand_in} ?", lambda _, name=name: name, found)
        return clip(found)

    def refuse(self, node: ast.AST | None, problem: str) -> JaxmixError:
        """Returns an error that shows the expression and the piece at fault."""
        piece = f" at {self.piece(node)!r}" if node is not None else ""
        return self.error(f"{self.what} {clip(self.text)!r}{piece}: {problem}")

    def refused(self, node: ast.AST, kind: ast.AST) -> JaxmixError:
        """Returns an error about a kind of node or operator outside the grammar."""
        problem = f"{type(kind).__name__} is not part of the grammar"
        return self.refuse(node, f"{self.remedies.get(type(kind), problem)}; {self.allowed}")

    def visit(self, node: ast.AST) -> Any:
        """Returns the value of a node that is not nested too deeply."""
        if self.depth > _DEEPEST:
            raise self.refuse(None, f"nested too deeply (more than {_DEEPEST} levels)")
        self.depth += 1
        value = super().visit(node)
        self.depth -= 1
        return value

    def generic_visit(self, node: ast.AST) -> Any:
        """Refuses a node that has no method."""
        raise self.refused(node, node)

    def number(self, node: ast.Constant) -> float:
        """Returns a literal number."""
        if not isinstance(node.value, (int, float)):
            raise self.refuse(node, "only numbers and strings are allowed")
        try:
            return float(node.value)
        except OverflowError:
            raise self.refuse(node, "the number is too large") from None


Half = tuple[np.ndarray, float]  # slope [k] and bound of slope . h <= bound


def parse_linear(text: str, domains: Sequence[str]) -> list[Half]:
    """Returns the half-spaces that a linear inequality between weights means.

    Both sides may hold numbers (`30%` is 0.3), domains (bare, with `w_`, or in backticks),
    `+ - * /` and parentheses; `0.1 <= books + wiki <= 0.3` is two inequalities. On a closed set
    `<` means `<=`. `web:*` is the sum of `web:news`, `web:blogs` and whatever else begins so.

    Args:
        text: the inequality.
        domains: bare names of all k domains, the order of the slopes.

    Returns:
        `(slope [k], bound)` for each inequality `slope . h <= bound`; an equation is two.

    Raises:
        JaxmixError: an unknown domain, a product of weights, no comparison, or no domain at all;
            the message shows the text.

    >>> parse_linear("2*web + code <= 50%", ["web", "code"])
    [(array([2., 1.]), 0.5)]
    >>> parse_linear("web:* <= 0.5", ["web:news", "code", "web:blogs"])
    [(array([1., 0., 1.]), 0.5)]
    >>> parse_linear("web + cod <= 0.5", ["web", "code"])
    Traceback (most recent call last):
    jaxmix.errors.JaxmixError: constraint 'web + cod <= 0.5': unknown domain 'cod'; nearest: code
    """
    reader = _Linear(text, domains)
    tree = reader.tree()
    if not isinstance(tree, ast.Compare):
        reader.visit(tree)
        raise reader.refuse(None, f"it compares nothing; write one such as {reader.example}")
    with np.errstate(all="ignore"):  # `halves` refuses what is not finite
        sides = [reader.visit(side) for side in (tree.left, *tree.comparators)]
        gaps = [left - right for left, right in itertools.pairwise(sides)]
    signs = zip(tree.ops, gaps, strict=True)
    return [half for sign, gap in signs for half in reader.halves(tree, sign, gap)]


class _Linear(Reader):
    """Affine functions of the weights h: slopes [k], then the constant, in one array [k + 1]."""

    what = "constraint"
    error = JaxmixError
    example = "2*web + code <= 0.5"
    shorter = "give several constraints"
    operand = "domain or number"
    allowed = "<=, >=, =, + - * /, parentheses, numbers and domains are"
    remedies: ClassVar = {
        ast.Call: "write * to multiply",
        ast.BoolOp: "give each inequality as a constraint of its own",
        ast.Compare: "a comparison cannot stand in parentheses",
    }

    def __init__(self, text: str, domains: Sequence[str]) -> None:
        at = {name: [i] for i, name in enumerate(domains)}
        for i, name in enumerate(domains):
            if ":" in name:
                at.setdefault(f"{name.partition(':')[0]}:*", []).append(i)
        self.index = {f"w_{name}": i for name, i in at.items()} | at
        known = "|".join(re.escape(name) for name in sorted(self.index, key=len, reverse=True))
        super().__init__(text, rf"(?P<spelling>(?:{known})(?![\w.]))|{_TOKENS}")
        for name in self.names.values():
            if name.strip("`") not in self.index:
                raise self.refuse(None, unknown(name.strip("`"), domains, "domain"))
        self.units = np.eye(len(domains) + 1)

    def visit_Constant(self, node: ast.Constant) -> np.ndarray:
        return self.number(node) * self.units[-1]

    def visit_Name(self, node: ast.Name) -> np.ndarray:
        return self.units[self.index[self.name(node)]].sum(0)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> np.ndarray:
        if not isinstance(node.op, (ast.UAdd, ast.USub)):
            raise self.refused(node, node.op)
        return self.visit(node.operand) * (-1.0 if isinstance(node.op, ast.USub) else 1.0)

    def visit_BinOp(self, node: ast.BinOp) -> np.ndarray:
        terms: list[ast.BinOp] = []  # of a sum from the last: as many as there are domains
        first: ast.expr = node
        while isinstance(first, ast.BinOp) and isinstance(first.op, (ast.Add, ast.Sub)):
            terms.append(first)
            first = first.left
        if not terms:
            return self._product(node)
        total = self.visit(first)
        for term in reversed(terms):
            right = self.visit(term.right)
            total = total - right if isinstance(term.op, ast.Sub) else total + right
        return total

    def _product(self, node: ast.BinOp) -> np.ndarray:
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.Div):
            if right[:-1].any() or right[-1] == 0:
                raise self.refuse(node, "it may only be divided by a number other than 0")
            return left / right[-1]
        if not isinstance(node.op, ast.Mult):
            raise self.refused(node, node.op)
        if left[:-1].any() and right[:-1].any():
            problem = "it multiplies weights: only sums of number * domain are linear"
            raise self.refuse(node, problem)
        return left * right[-1] if left[:-1].any() else right * left[-1]

    def halves(self, node: ast.Compare, sign: ast.cmpop, gap: np.ndarray) -> list[Half]:
        """Returns the half-spaces that `gap [k + 1] <sign> 0` means."""
        if not isinstance(sign, (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq)):
            raise self.refused(node, sign)
        if not np.all(np.isfinite(gap)):
            raise self.refuse(None, "a number in it is not finite")
        if not gap[:-1].any():
            raise self.refuse(None, "no domain is left in it; name one such as web <= 0.5")
        slope, constant = gap[:-1], float(gap[-1])
        below, above = (slope, 0.0 - constant), (0.0 - slope, constant)
        if isinstance(sign, ast.Eq):
            return [below, above]
        return [below if isinstance(sign, (ast.Lt, ast.LtE)) else above]
