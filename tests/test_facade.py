"""The everyday names: one lazy import, data frames in and out, short reprs."""

import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest

import jaxmix as jm

matplotlib.use("Agg")


def test_the_import_loads_nothing_heavy():
    code = (
        "import sys, jaxmix as jm; names = dir(jm); "
        "assert {'fit', 'read_runs', 'Constraints', 'load_example', 'write_report'} <= set(names); "
        "print(sorted({'jax', 'numpy', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_everyday_name_exists_and_no_other():
    for name in jm._ROOM_OF:
        assert getattr(jm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'fti'"):
        jm.fti  # noqa: B018


@pytest.mark.parametrize("name", ["text", "multimodal", "vision"])
def test_examples_are_run_tables(name):
    runs = jm.load_example(name)
    assert len(runs.domains) >= 3 and len(runs.targets) >= 3 and not runs.notes


def test_an_unknown_example_lists_those_there_are():
    with pytest.raises(jm.JaxmixError, match="nearest: text"):
        jm.load_example("txt")


@pytest.fixture(scope="module")
def laws():
    frame = jm.load_example("multimodal").frame
    return jm.fit(frame, "additive", restarts=8)


def test_laws_by_name_and_by_position(laws):
    target = next(iter(laws)).target
    assert laws[target] is laws[0] and laws[f"loss_{target}"] is laws[0]
    assert laws[[target]].targets == (target,) and len(laws[:2]) == 2
    assert laws.inputs == ("n_params", "tokens", "weights")
    with pytest.raises(jm.JaxmixError, match="no fitted law of target 'absent'"):
        laws["absent"]


def test_frames_in_and_out(laws):
    frame = jm.load_example("multimodal").frame
    assert isinstance(laws.params, pd.DataFrame) and "gamma[text]" in laws.params.columns
    said = laws.predict(frame.iloc[5:9])
    assert list(said.columns) == list(laws.targets) and list(said.index) == [5, 6, 7, 8]
    shuffled = frame[frame.columns[::-1]]
    np.testing.assert_array_equal(laws.predict(shuffled), laws.predict(frame))
    assert laws.score(frame).loc[laws.targets[0], "mre"] == pytest.approx(
        laws[0].report.train_mre, rel=1e-9
    )


def test_results_show_themselves_in_short(laws):
    best = laws.optimize(1e6, 1e8, jm.Constraints(maximum={"text": 0.2}))
    assert best.weights["text"] <= 0.2 and sum(best.weights.values()) == pytest.approx(1.0)
    for value, most in ((laws, 500), (laws[0], 500), (best, 1000)):
        assert len(repr(value)) < most
    for value in (laws, best):
        assert "<table" in value._repr_html_() and len(value.summary().splitlines()) > 3
        assert hasattr(value.plot(), "figure")
