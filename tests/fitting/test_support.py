"""What mixtures can tell, and that laws never lose it."""

import numpy as np
import pytest

from jaxmix.fitting import fit
from jaxmix.fitting.files import load_laws
from jaxmix.fitting.support import mixture_support

RNG = np.random.default_rng(0)
SPREAD = RNG.dirichlet(np.ones(3), 20)
TABLES = {
    "unused": (np.c_[SPREAD, np.zeros(20)], "d was never trained on"),
    "hardly used": (np.c_[SPREAD * 0.996, np.full(20, 0.004)], "d was hardly used"),
    "fixed": (np.c_[0.8 * SPREAD, np.full(20, 0.2)], "d has the weight 0.2 in all runs"),
    "proportion": (
        np.c_[SPREAD[:, :1] * [0.25, 0.75], SPREAD[:, 1:]],
        "a and b move together in all runs: b = 3 a",
    ),
    "sum": (
        np.c_[0.6 * SPREAD[:, :1], 0.6 - 0.6 * SPREAD[:, :1], 0.4 * SPREAD[:, 1:2],
              0.4 - 0.4 * SPREAD[:, 1:2]],
        "a + b is 0.6 in all runs",
    ),
    "few": (RNG.dirichlet(np.ones(4), 3), "the 3 mixtures vary in 2 of 3 directions"),
    "one": (np.tile([0.1, 0.2, 0.3, 0.4], (9, 1)), "all rows have one mixture"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_what_does_not_vary_is_said(name: str) -> None:
    mixtures, expected = TABLES[name]
    support = mixture_support(mixtures, "abcd")
    assert any(expected in note for note in support.notes)
    assert np.allclose(mixtures @ support.flat.T, support.flat @ support.center, atol=5e-3)


def test_a_full_design_has_nothing_to_say() -> None:
    support = mixture_support(RNG.dirichlet(np.ones(4), 12), "abcd")
    assert support.notes == () and len(support.flat) == 0 and not support.fixed.any()


def test_rounding_does_not_hide_a_fixed_proportion() -> None:
    mixtures = np.round(TABLES["proportion"][0], 3)
    assert len(mixture_support(mixtures, "abcd").flat) == 1


def test_law_files_keep_what_was_measured_and_what_cannot_be_told(tmp_path) -> None:
    h = np.c_[RNG.dirichlet(np.ones(2), 8), np.zeros(8)]
    runs = {"run": np.repeat(np.arange(8), 3), "n_params": np.full(24, 1e8)}
    runs |= {"tokens": np.tile([1e9, 3e9, 9e9], 8)}
    runs |= {f"w_{d}": np.repeat(h[:, i], 3) for i, d in enumerate(("web", "code", "new"))}
    loss = 3 - runs["w_web"] * 0.2 + (runs["tokens"] / 1e9) ** -0.3
    laws = fit({**runs, "loss_x": loss}, "ye-m1", restarts=2)
    laws.save(tmp_path / "law.json")
    again = load_laws(tmp_path / "law.json")
    assert any("new was never trained on" in note for note in again.notes)
    assert "new was never trained on" in (tmp_path / "law.json").read_text()
    ends = again[0].data.measured
    assert ends is not None and ends.run == tuple(str(i) for i in range(8))
    assert np.array_equal(ends.tokens, np.full(8, 9e9)) and np.array_equal(ends.losses, loss[2::3])
    assert np.allclose(ends.weights, h)
