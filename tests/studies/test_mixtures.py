"""Designs read from text, and the mixtures they name."""

import numpy as np
import pytest

from jaxmix.studies import Design, named_mixtures, parse_design

TOKENS = {"a": 100, "b": 300, "c": 600}


@pytest.mark.parametrize(
    "text", ["cubes:3", "dirichlet", "grid:x", "grid:2,low=0.1", "grid:2,minimum"]
)
def test_what_is_no_design_is_refused(text):
    with pytest.raises(ValueError, match="design"):
        parse_design(text)


def test_every_design_gives_mixtures_of_the_domains():
    designs = [parse_design(t) for t in ("uniform", "proportional", "vertices", "one-out")]
    designs += [parse_design("dirichlet:5,minimum=0.05"), parse_design("grid:2,minimum=0.1")]
    found = named_mixtures(designs, TOKENS)
    rows = np.array([list(weights.values()) for weights in found.values()])
    assert all(tuple(weights) == ("a", "b", "c") for weights in found.values())
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-12)
    assert found["uniform"]["a"] == pytest.approx(1 / 3)
    assert found["proportional"] == pytest.approx({"a": 0.1, "b": 0.3, "c": 0.6})
    assert found["only-b"] == {"a": 0.0, "b": 1.0, "c": 0.0}
    assert found["no-b"] == {"a": 0.5, "b": 0.0, "c": 0.5}
    assert rows[8:13].min() >= 0.05 - 1e-12
    assert len(found) == len({tuple(np.round(row, 9)) for row in rows})


def test_a_mixture_that_two_designs_share_is_run_once():
    found = named_mixtures([Design("uniform"), Design("grid", 3)], TOKENS)
    assert len(found) == 10 and "uniform" in found


def test_two_random_designs_keep_their_names_apart():
    found = named_mixtures([Design("dirichlet", 2), Design("dirichlet", 2, seed=1)], TOKENS)
    assert len(found) == 4


def test_near_vertices():
    found = named_mixtures([Design("vertices", minimum=0.1)], TOKENS)
    assert found["only-a"] == pytest.approx({"a": 0.8, "b": 0.1, "c": 0.1})
