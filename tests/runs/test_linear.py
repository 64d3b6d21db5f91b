"""Linear rows between domain weights: what they mean, and what is refused."""

import random

import numpy as np
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.runs import parse_linear

DOMAINS = ["a", "pile-cc", "c"]
AWKWARD = ["web", "cc-web", "cc", "pile.cc", "2wiki", "w_odd", "my web", "odd", "c#", "30%"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2*a + `pile-cc` <= 0.5", [([2, 1, 0], 0.5)]),
        ("a - pile-cc < c", [([1, -1, -1], 0)]),
        ("0.1 <= w_a + 3 - (c + a/2)*2", [([0, 0, 2], 2.9)]),
        ("10% <= a + c <= 3e-1", [([-1, 0, -1], -0.1), ([1, 0, 1], 0.3)]),
        ("a = 0.2", [([1, 0, 0], 0.2), ([-1, 0, 0], -0.2)]),
        ("a == 20% * 2", [([1, 0, 0], 0.4), ([-1, 0, 0], -0.4)]),
        ("-(a+c)>=-.5", [([1, 0, 1], 0.5)]),
        ("w_pile-cc\n <= `w_a`", [([-1, 1, 0], 0)]),
    ],
)
def test_meaning(text, expected):
    found = parse_linear(text, DOMAINS)
    assert len(found) == len(expected)
    for (slope, bound), (want, right) in zip(found, expected, strict=True):
        assert slope == pytest.approx(np.array(want, float)) and bound == pytest.approx(right)
        assert type(bound) is float and slope.dtype == np.float64


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("spelling", ["{}", "`{}`", "w_{}"])
def test_every_name_reads_bare_and_in_backticks(name, spelling):
    written = spelling.format(name)
    meant = written if written in AWKWARD else name  # the domain w_odd, not odd with a prefix
    ((slope, bound),) = parse_linear(f"0.1>={written} - web*2", AWKWARD)
    want = np.eye(len(AWKWARD))[AWKWARD.index(meant)] - 2 * np.eye(len(AWKWARD))[0]
    np.testing.assert_allclose(slope, want)
    assert bound == pytest.approx(0.1)


def test_random_rows_agree_with_numpy():
    rng, weights = random.Random(0), np.random.default_rng(0).dirichlet(np.ones(3), 40)
    columns = dict(zip(["a", "pile-cc", "w_c"], weights.T, strict=True))
    for _ in range(300):
        terms = [(rng.choice("+-"), rng.uniform(0.1, 3), rng.choice([*columns])) for _ in "1234"]
        text = "".join(f"{sign} ({number!r} * {name})" for sign, number, name in terms)
        value = sum(n * columns[name] * (1 if sign == "+" else -1) for sign, n, name in terms)
        ((slope, bound),) = parse_linear(f"{text.lstrip('+ ')} <= 0.25 + a", DOMAINS)
        np.testing.assert_allclose(weights @ slope - bound, value - 0.25 - columns["a"], atol=1e-12)


def test_a_sum_of_many_domains_is_not_nested():
    names = [f"d{i}" for i in range(300)]
    ((slope, _),) = parse_linear("+".join(names) + " <= 1", names)
    assert slope.tolist() == [1.0] * 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("boks <= 0.2", "unknown domain 'boks'; nearest: books"),
        ("`boks` <= 0.2", "unknown domain 'boks'; nearest: books"),
        ("cod web <= 0.1", "unknown domain 'cod'; nearest: code"),
        ("web <= __import__('os')", "unknown domain '__import__'"),
        ("web + code", "it compares nothing; write one such as 2*web + code <= 0.5"),
        ("web*code <= 1", "at 'web*code': it multiplies weights"),
        ("web/code <= 1", "divided by a number"),
        ("web/0 <= 1", "other than 0"),
        ("web - web <= 1", "no domain is left"),
        ("2 <= 3", "no domain is left"),
        ("web <= ", "a domain or number is missing at the end"),
        ("(web <= 1", "never closed"),
        ("web <= 1) + 2", "unmatched"),
        ("(" * 900 + "web", "nested too deeply"),
        ("-" * 900 + "web <= 1", "nested too deeply"),
        ("web <= 1e999", "not finite"),
        ("web <= 1e200*1e200", "not finite"),
        ("web <= " + "9" * 400, "too large"),
        ("web+" * 600, "2400 characters are too many"),
        ("", "is empty; write one"),
        ("web <= 0.1 and code <= 0.2", "each inequality as a constraint of its own"),
        ("2(web + code) <= 1", "write * to multiply"),
        ("(web <= 0.1) <= 0.2", "cannot stand in parentheses"),
        ("web != 0.1", "NotEq is not part of the grammar; <="),
        ("web ** 2 <= 1", "Pow is not part of the grammar"),
        ("not web <= 1", "Not is not part of the grammar"),
        ("`web <= 0.1", "a backtick is not closed"),
        ("web <= 0.1 # half", "# is not allowed"),
    ],
)
def test_refusals(text, message):
    with pytest.raises(JaxmixError, match=r"^constraint ['\"]") as caught:
        parse_linear(text, ["web", "books", "code"])
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_there_may_be_no_domains():
    with pytest.raises(JaxmixError, match="unknown domain 'a'; there are none"):
        parse_linear("a <= 1", [])
