"""Row filters: which rows of a table satisfy an expression over its columns.

Grammar: comparisons (chained too), `+ - * / % **`, `and or not`, `in` and `not in` (a literal list,
or text within text), parentheses, numbers, strings, True and False, columns by name, and any other
column name in backticks. Numbers may have a unit: `n_params < 70M`. Beside the columns there is
`run_progress`, the tokens of a row over the last tokens of its run.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from jaxmix.errors import hint
from jaxmix.runs.errors import RunTableError
from jaxmix.runs.expressions import NAME_TOKENS, NUMBER, Reader

# A comma separates the values of a list, but no value of three digits begins with 0.
_THOUSANDS = r"(?=[\d,]*,0)\d{1,3}(?:,\d{3})+(?!\d)"
_TOKENS = (
    r"(?s:'(?:\\.|[^'\\])*'?|\"(?:\\.|[^\"\\])*\"?)|"
    rf"(?<![\w.])(?P<size>{NUMBER}[kKmMbBtT]|{_THOUSANDS})(?!\w)|{NAME_TOKENS}"
)
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
    reader = _Filter(expression, columns)
    with np.errstate(all="ignore"):
        result = reader.visit(reader.tree())
    if result.kind != "truth":
        raise reader.refuse(None, f"{_not_a_condition(result)}; write one such as n_params < 2e9")
    rows = len(next(iter(columns.values()))) if columns else 0
    return np.broadcast_to(result.data, (rows,)).copy()


def columns_of(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Returns the columns of a frame by name, as `evaluate_where` takes them.

    With ``run_progress``, unless the frame has a column of this name, or lacks runs or tokens.

    >>> frame = pd.DataFrame({"run": ["a", "a", "b"], "tokens": [1e9, 4e9, 2e9]})
    >>> columns_of(frame)["run_progress"]
    array([0.25, 1.  , 1.  ])
    """
    columns = {str(name): frame[name].to_numpy() for name in frame.columns}
    if {"run", "tokens"} <= set(columns) and pd.api.types.is_numeric_dtype(frame["tokens"]):
        last = frame.groupby(frame["run"].astype(str))["tokens"].transform("max")
        columns.setdefault("run_progress", (frame["tokens"] / last).to_numpy())
    return columns


class _Value(NamedTuple):
    kind: str  # "number", "text" or "truth"
    data: np.ndarray  # [p], or [] for a constant
    node: ast.AST


def _not_a_condition(value: _Value) -> str:
    return f"it gives {'text' if value.kind == 'text' else 'numbers'}, not true or false"


class _Filter(Reader):
    """Values of columns, comparisons and what joins them."""

    what = "where expression"
    error = RunTableError
    example = "n_params < 2e9 and flags == ''"
    shorter = "filter in several steps"
    operand = "column, number or text"
    allowed = "comparisons, arithmetic, and, or, not, in, numbers, strings and columns are"
    advice: ClassVar = {
        "&&": "write and",
        "||": "write or",
        "=": "compare with ==",
        "!": "write not",
        ":": "put names with a colon in backticks, `w_web:news`",
    }
    remedies: ClassVar = {
        ast.Tuple: "write 20000 or 20K, not 20,000",
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

    def __init__(self, text: str, columns: Mapping[str, Any]) -> None:
        super().__init__(text, _TOKENS)
        self.columns = columns
        self.seen: dict[str, _Value] = {}

    def visit_Constant(self, node: ast.Constant) -> _Value:
        if isinstance(node.value, (bool, str)):
            kind = "text" if isinstance(node.value, str) else "truth"
            return _Value(kind, np.asarray(node.value), node)
        return _Value("number", np.asarray(self.number(node)), node)

    def visit_Name(self, node: ast.Name) -> _Value:
        name = self.name(node)
        if name == node.id and (name.startswith("__") or name.endswith("__")):
            raise self.refuse(node, "such names are not allowed; put it in backticks")
        if name not in self.columns:
            raise self.refuse(node, f"no such column; {hint(name, self.columns)}")
        if name not in self.seen:
            self.seen[name] = _Value(*_typed(self.columns[name]), node)
        return self.seen[name]._replace(node=node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> _Value:
        operand = self.visit(node.operand)
        if isinstance(node.op, ast.Not):
            return _Value("truth", ~self._truth(operand), node)
        if not isinstance(node.op, (ast.UAdd, ast.USub)):
            raise self.refused(node, node.op)
        number = self._number(operand)
        return _Value("number", -number if isinstance(node.op, ast.USub) else number, node)

    def visit_BinOp(self, node: ast.BinOp) -> _Value:
        if type(node.op) not in _ARITHMETIC:
            raise self.refused(node, node.op)
        left, right = self._number(self.visit(node.left)), self._number(self.visit(node.right))
        data = np.asarray(_ARITHMETIC[type(node.op)](left, right))
        finite = np.isfinite(left) & np.isfinite(right) & (left != 0)
        if isinstance(node.op, ast.Pow) and (np.isinf(data) & finite).any():
            raise self.refuse(node, "the power overflows; use smaller exponents")
        return _Value("number", data, node)

    def visit_BoolOp(self, node: ast.BoolOp) -> _Value:
        combine = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        data = self._truth(self.visit(node.values[0]))
        for part in node.values[1:]:
            data = combine(data, self._truth(self.visit(part)))
        return _Value("truth", np.asarray(data), node)

    def visit_Compare(self, node: ast.Compare) -> _Value:
        left, data = self.visit(node.left), np.asarray(True)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, (ast.In, ast.NotIn)):
                found = self._membership(node, left, right_node)
                data = data & (found if isinstance(op, ast.In) else ~found)
                continue
            if type(op) not in _COMPARISONS:
                raise self.refused(node, op)
            right = self.visit(right_node)
            self._same_kind(left, right)
            data = data & _COMPARISONS[type(op)](left.data, right.data)
            left = right
        return _Value("truth", np.asarray(data), node)

    def _membership(self, node: ast.Compare, left: _Value, right: ast.expr) -> np.ndarray:
        if len(node.ops) > 1:
            raise self.refuse(node, "in cannot be chained; use parentheses")
        if isinstance(right, (ast.Tuple, ast.List, ast.Set)):
            found = np.zeros(left.data.shape, dtype=bool)
            for value in map(self.visit, right.elts):
                self._same_kind(left, value)
                found = found | (left.data == value.data)
            return found
        whole = self.visit(right)
        if left.kind != "text" or whole.kind != "text":
            remedy = "in needs a list in parentheses, as (1, 2), or text on both sides"
            raise self.refuse(node, remedy)
        return np.char.find(whole.data, left.data) >= 0

    def _number(self, value: _Value) -> np.ndarray:
        if value.kind == "text":
            raise self.refuse(value.node, "arithmetic needs numbers, and this is text")
        return value.data.astype(np.float64)

    def _truth(self, value: _Value) -> np.ndarray:
        if value.kind != "truth":
            remedy = f"{_not_a_condition(value)}; compare it, as in `x != 0`"
            raise self.refuse(value.node, remedy)
        return value.data

    def _same_kind(self, left: _Value, right: _Value) -> None:
        if (left.kind == "text") == (right.kind == "text"):
            return
        text, other = (left, right) if left.kind == "text" else (right, left)
        if isinstance(text.node, ast.Constant):
            remedy = (
                f"{self.piece(other.node)} holds numbers; write {text.node.value} without quotes"
            )
        elif isinstance(other.node, ast.Constant):
            number = self.piece(other.node)
            remedy = f"{self.piece(text.node)} holds text; quote the number: '{number}'"
        else:
            remedy = f"{self.piece(text.node)} holds text and {self.piece(other.node)} numbers"
        raise self.refuse(None, f"text does not compare with numbers: {remedy}")


def _typed(column: Any) -> tuple[str, np.ndarray]:
    data = np.asarray(column)
    if data.dtype == bool:
        return "truth", data
    if np.issubdtype(data.dtype, np.number):
        return "number", data.astype(np.float64)
    return "text", data.astype(np.str_)
