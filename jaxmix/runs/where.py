"""Row filters: a small expression grammar over columns, walked by hand, never evaluated by Python.

Grammar: comparisons (chained too), `+ - * / % **`, `and or not`, `in` and `not in` (a literal list,
or text within text), parentheses, numbers, strings, True and False, columns by name, and any other
column name in backticks.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .errors import RunTableError, hint
from .expressions import Expression, parse

_DEEPEST = 100
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_REMEDIES: dict[type[ast.AST], str] = {
    ast.Call: "functions cannot be called",
    ast.Attribute: "attributes cannot be read",
    ast.Subscript: "nothing can be indexed",
    ast.JoinedStr: "f-strings are not allowed",
    ast.BitAnd: "write and, not &",
    ast.BitOr: "write or, not |",
    ast.Invert: "write not, not ~",
    ast.Is: "compare with ==",
    ast.IsNot: "compare with !=",
}


class _Value(NamedTuple):
    kind: str  # "number", "text" or "truth"
    data: np.ndarray  # [p], or [] for a constant
    node: ast.expr


def evaluate_where(expression: str, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns which rows satisfy `expression`.

    Args:
        expression: for example `n_params < 2e9 and 'RP' in run`; NaN compares false, except `!=`.
        columns: arrays [p] of numbers, truth values or text, by name.

    Returns:
        bool [p].

    Raises:
        RunTableError: the expression is outside the grammar, names no column, mixes text with
            numbers, or is not a condition.

    >>> evaluate_where("1e9 <= n and flag == ''", {"n": np.array([1e8, 2e9]), "flag": ["", ""]})
    array([False,  True])
    """
    parsed = parse(expression)
    with np.errstate(all="ignore"):
        result = _Walk(parsed, columns).value(parsed.tree, 0)
    if result.kind != "truth":
        raise parsed.refuse(None, f"{_not_a_condition(result)}; write one such as n_params < 2e9")
    rows = len(next(iter(columns.values()))) if columns else 0
    return np.broadcast_to(result.data, (rows,)).copy()


def _not_a_condition(value: _Value) -> str:
    return f"it gives {'text' if value.kind == 'text' else 'numbers'}, not true or false"


class _Walk:
    """One pass over the tree; every node type that is not listed is refused."""

    def __init__(self, expression: Expression, columns: Mapping[str, Any]) -> None:
        self.expression = expression
        self.columns = columns
        self.seen: dict[str, _Value] = {}

    def value(self, node: ast.expr, depth: int) -> _Value:
        if depth > _DEEPEST:
            raise self.expression.refuse(None, f"nested too deeply (more than {_DEEPEST} levels)")
        handler = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.UnaryOp: self._unary,
            ast.BinOp: self._arithmetic,
            ast.BoolOp: self._logic,
            ast.Compare: self._comparison,
        }.get(type(node))
        if handler is None:
            raise self._refused(node, node)
        return handler(node, depth + 1)

    def _refused(self, node: ast.AST, kind: ast.AST) -> RunTableError:
        default = f"{type(kind).__name__} is not part of the grammar"
        allowed = "comparisons, arithmetic, and, or, not, in, numbers, strings and columns are"
        problem = _REMEDIES.get(type(kind), default)
        return self.expression.refuse(node, f"{problem}; {allowed}")

    def _constant(self, node: ast.Constant, depth: int) -> _Value:
        if isinstance(node.value, (bool, str)):
            kind = "text" if isinstance(node.value, str) else "truth"
            return _Value(kind, np.asarray(node.value), node)
        if not isinstance(node.value, (int, float)):
            raise self.expression.refuse(node, "only numbers and strings are allowed")
        try:
            return _Value("number", np.asarray(float(node.value)), node)
        except OverflowError:
            raise self.expression.refuse(node, "the number is too large") from None

    def _name(self, node: ast.Name, depth: int) -> _Value:
        name = self.expression.column(node)
        if name == node.id and (name.startswith("__") or name.endswith("__")):
            raise self.expression.refuse(node, "such names are not allowed; put it in backticks")
        if name not in self.columns:
            raise self.expression.refuse(node, f"no such column; {hint(name, self.columns)}")
        if name not in self.seen:
            self.seen[name] = _Value(*_typed(self.columns[name]), node)
        return self.seen[name]._replace(node=node)

    def _unary(self, node: ast.UnaryOp, depth: int) -> _Value:
        operand = self.value(node.operand, depth)
        if isinstance(node.op, ast.Not):
            return _Value("truth", ~self._truth(operand), node)
        if not isinstance(node.op, (ast.UAdd, ast.USub)):
            raise self._refused(node, node.op)
        number = self._number(operand)
        return _Value("number", -number if isinstance(node.op, ast.USub) else number, node)

    def _arithmetic(self, node: ast.BinOp, depth: int) -> _Value:
        if type(node.op) not in _ARITHMETIC:
            raise self._refused(node, node.op)
        left = self._number(self.value(node.left, depth))
        right = self._number(self.value(node.right, depth))
        data = np.asarray(_ARITHMETIC[type(node.op)](left, right))
        finite = np.isfinite(left) & np.isfinite(right) & (left != 0)
        if isinstance(node.op, ast.Pow) and (np.isinf(data) & finite).any():
            raise self.expression.refuse(node, "the power overflows; use smaller exponents")
        return _Value("number", data, node)

    def _logic(self, node: ast.BoolOp, depth: int) -> _Value:
        parts = [self._truth(self.value(part, depth)) for part in node.values]
        combine = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        data = parts[0]
        for part in parts[1:]:
            data = combine(data, part)
        return _Value("truth", np.asarray(data), node)

    def _comparison(self, node: ast.Compare, depth: int) -> _Value:
        left = self.value(node.left, depth)
        data = np.asarray(True)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, (ast.In, ast.NotIn)):
                found = self._membership(node, left, right_node, depth)
                data = data & (found if isinstance(op, ast.In) else ~found)
                continue
            if type(op) not in _COMPARISONS:
                raise self._refused(node, op)
            right = self.value(right_node, depth)
            self._same_kind(left, right)
            data = data & _COMPARISONS[type(op)](left.data, right.data)
            left = right
        return _Value("truth", np.asarray(data), node)

    def _membership(
        self, node: ast.Compare, left: _Value, right: ast.expr, depth: int
    ) -> np.ndarray:
        if len(node.ops) > 1:
            raise self.expression.refuse(node, "in cannot be chained; use parentheses")
        if isinstance(right, (ast.Tuple, ast.List, ast.Set)):
            found = np.zeros(left.data.shape, dtype=bool)
            for item in right.elts:
                value = self.value(item, depth)
                self._same_kind(left, value)
                found = found | (left.data == value.data)
            return found
        whole = self.value(right, depth)
        if left.kind != "text" or whole.kind != "text":
            remedy = "in needs a list in parentheses, as (1, 2), or text on both sides"
            raise self.expression.refuse(node, remedy)
        return np.char.find(whole.data, left.data) >= 0

    def _number(self, value: _Value) -> np.ndarray:
        if value.kind == "text":
            raise self.expression.refuse(value.node, "arithmetic needs numbers, and this is text")
        return value.data.astype(np.float64)

    def _truth(self, value: _Value) -> np.ndarray:
        if value.kind != "truth":
            remedy = f"{_not_a_condition(value)}; compare it, as in `x != 0`"
            raise self.expression.refuse(value.node, remedy)
        return value.data

    def _same_kind(self, left: _Value, right: _Value) -> None:
        if (left.kind == "text") == (right.kind == "text"):
            return
        text, other = (left, right) if left.kind == "text" else (right, left)
        piece = self.expression.piece
        if isinstance(text.node, ast.Constant):
            remedy = f"{piece(other.node)} holds numbers; write {text.node.value} without quotes"
        elif isinstance(other.node, ast.Constant):
            remedy = f"{piece(text.node)} holds text; quote the number: '{piece(other.node)}'"
        else:
            remedy = f"{piece(text.node)} holds text and {piece(other.node)} numbers"
        problem = "text does not compare with numbers"
        raise self.expression.refuse(None, f"{problem}: {remedy}")


def _typed(column: Any) -> tuple[str, np.ndarray]:
    data = np.asarray(column)
    if data.dtype == bool:
        return "truth", data
    if np.issubdtype(data.dtype, np.number):
        return "number", data.astype(np.float64)
    return "text", data.astype(np.str_)
