"""Row filters: what it means, against NumPy, and what it refuses."""

import operator
import random

import numpy as np
import pytest

from jaxmix.runs import RunTableError, evaluate_where

COLUMNS = {
    "n": np.array([1.0, 2.0, np.nan, 4.0]),
    "k": np.array([3, 1, 2, 0]),
    "run": np.array(["70M_RP_1", "1B_x", "", "70M_y"], dtype=object),
    "my col": np.array([1.0, 5.0, 9.0, 2.0]),
    "ok": np.array([True, False, True, False]),
    "loss_github": np.array([1.0, 2.0, 3.0, 4.0]),
}
N, K = COLUMNS["n"], COLUMNS["k"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("n < 3", N < 3),
        ("n != n", np.isnan(N)),
        ("not n < 3", ~(N < 3)),
        ("1 < n <= 4", (N > 1) & (N <= 4)),
        ("3 >= k > 1 != 2", (K <= 3) & (K > 1)),
        ("n + k * 2 == 7", N + K * 2 == 7),
        ("k % 2 == 1 and n ** 2 > 1", (K % 2 == 1) & (N**2 > 1)),
        ("-n < -1 or +k == 3", (-N < -1) | (K == 3)),
        ("n / k > 1", np.array([False, True, False, True])),
        ("k in (1, 2)", np.isin(K, [1, 2])),
        ("k not in [1, -2, 3]", ~np.isin(K, [1, 3])),
        ("k in ()", np.zeros(4, bool)),
        ("'RP' in run", [True, False, False, False]),
        ("'70M' in run and 'RP' not in run", [False, False, False, True]),
        ("run == ''", [False, False, True, False]),
        ("run in ('1B_x', \"70M_y\")", [False, True, False, True]),
        ("run < '7'", [False, True, True, False]),
        ("`my col` > 3 and `n` > 0", [False, True, False, False]),
        ("run == '`my col`'", np.zeros(4, bool)),
        ("run != 'it\\'s `'", np.ones(4, bool)),
        ("ok", COLUMNS["ok"]),
        ("ok == 1 and not ok == False", COLUMNS["ok"]),
        ("True", np.ones(4, bool)),
        ("'\\d' in run or '#' in run", np.zeros(4, bool)),
        ("1 > 2", np.zeros(4, bool)),
        ("(n < 3) == ok", (N < 3) == COLUMNS["ok"]),
        ("n > 1 and\n k < 3", (N > 1) & (K < 3)),
        ("'b' in 'abc'", np.ones(4, bool)),
        ("run in '70M_y, 1B_x'", [False, True, True, True]),
        ("n < 1,000 and k not in (3,000, 2)", [True, True, False, True]),
        ("n * 1K > 1,000", N > 1),
    ],
)
def test_meaning(expression, expected):
    mask = evaluate_where(expression, COLUMNS)
    assert mask.dtype == bool and mask.shape == (4,)
    np.testing.assert_array_equal(mask, expected)


def test_random_expressions_agree_with_numpy():
    rng = random.Random(0)
    data = np.random.default_rng(0)
    columns = {name: data.integers(-3, 4, 50).astype(float) for name in "abc"}
    symbols = {"<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne}
    sums = {"+": operator.add, "-": operator.sub, "*": operator.mul}

    def number(depth):
        if depth == 0 or rng.random() < 0.3:
            name = rng.choice("abc")
            return (name, columns[name]) if rng.random() < 0.7 else ("2.5", 2.5)
        (left, x), (right, y), sign = number(depth - 1), number(depth - 1), rng.choice("+-*")
        return f"({left} {sign} {right})", sums[sign](x, y)

    def truth(depth):
        if depth == 0 or rng.random() < 0.3:
            (left, x), (right, y), sign = number(2), number(2), rng.choice(list(symbols))
            return f"{left} {sign} {right}", symbols[sign](x, y)
        (left, x), (right, y) = truth(depth - 1), truth(depth - 1)
        word = rng.choice(["and", "or"])
        joined = np.logical_and(x, y) if word == "and" else np.logical_or(x, y)
        text = f"({left}) {word} ({right})"
        return (f"not ({text})", ~joined) if rng.random() < 0.3 else (text, joined)

    for _ in range(200):
        text, expected = truth(3)
        np.testing.assert_array_equal(
            evaluate_where(text, columns), np.broadcast_to(expected, 50), err_msg=text
        )


@pytest.mark.parametrize(
    ("expression", "pieces"),
    [
        ("__import__('os').system('x')", ["functions cannot be called", "__import__"]),
        ("n.real > 1", ["attributes cannot be read", "'n.real'"]),
        ("n[0] > 1", ["nothing can be indexed", "'n[0]'"]),
        ("(lambda: 1) == 1", ["Lambda is not part of the grammar"]),
        ("[x for x in n] == 1", ["ListComp is not part of the grammar"]),
        ("f'{n}' == 'a'", ["f-strings are not allowed"]),
        ("__class__ == 1", ["such names are not allowed", "__class__"]),
        ("(n := 3) > 1", ["NamedExpr is not part"]),
        ("(n if ok else k) > 1", ["IfExp is not part"]),
        ("(n > 1) & ok", ["write and, not &"]),
        ("(n > 1) | ok", ["write or, not |"]),
        ("~ok", ["write not, not ~"]),
        ("n // 2 == 1", ["FloorDiv is not part"]),
        ("n is 1", ["compare with =="]),
        ("n = 1", ["not an expression", "compare with =="]),
        ("n > 1 && k < 2", ["write and"]),
        ("n >", ["not an expression"]),
        ("", ["is empty"]),
        ("n > 1 # and ok", ["# is not allowed"]),
        ("n > 1; k > 1", ["not an expression"]),
        ("`n > 1", ["a backtick is not closed"]),
        ("None == n", ["only numbers and strings"]),
        ("b'x' == run", ["only numbers and strings"]),
        ("2j == n", ["only numbers and strings"]),
        ("m < 1", ["no such column", "'m'"]),
        ("github < 1", ["no such column", "nearest: loss_github"]),
        ("los_github < 1", ["nearest: loss_github"]),
        ("`your col` < 1", ["'`your col`'", "nearest: my col"]),
        ("run == 70", ["run holds text; quote the number: '70'"]),
        ("run > n", ["run holds text and n numbers"]),
        ("n == '70'", ["n holds numbers; write 70 without quotes"]),
        ("k in (1, 'a')", ["text does not compare with numbers"]),
        ("run in (1, 2)", ["quote the number"]),
        ("1 in k", ["in needs a list in parentheses"]),
        ("1 in k in n", ["in cannot be chained"]),
        ("run + 'a' == 'b'", ["arithmetic needs numbers"]),
        ("-run == 'b'", ["arithmetic needs numbers"]),
        ("n", ["it gives numbers, not true or false"]),
        ("run", ["it gives text"]),
        ("n and ok", ["it gives numbers, not true or false", "at 'n'"]),
        ("not run", ["it gives text"]),
        ("9 ** 9 ** 9 > n", ["the power overflows"]),
        ("n < " + "9" * 400, ["too large"]),
        ("n > 1" + " " * 2000, ["characters are too many"]),
        ("(" * 500 + "n" + ")" * 500 + " > 1", ["nested too deeply"]),
        ("-" * 1500 + "n > 1", ["nested too deeply"]),
        ("not " * 400 + "ok", ["nested too deeply"]),
        ("n" + "+1" * 500 + "> 1", ["nested too deeply"]),
        ("n" + "**2" * 300 + "> 1", ["nested too deeply"]),
    ],
)
def test_refusals(expression, pieces):
    with pytest.raises(RunTableError) as caught:
        evaluate_where(expression, COLUMNS)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400 and "where expression" in text
    for piece in pieces:
        assert piece in text, text
