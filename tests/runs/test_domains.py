"""Training domains added, split, merged and removed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxmix.runs import (
    RunTableError,
    add_domain,
    merge_domains,
    read_runs,
    remove_domain,
    split_domain,
    write_runs,
)


@pytest.fixture
def runs():
    return read_runs(
        pd.DataFrame(
            {
                "run": ["p", "q", "r", "s"],
                "n_params": 1e6,
                "tokens": 1e8,
                "w_web": [0.5, 0.4, 0.02, 0.0],
                "w_code": [0.25, 0.6, 0.49, 1.0],
                "w_books": [0.25, 0.0, 0.49, 0.0],
                "unique_web": 1e9,
                "unique_code": [2e9, 2e9, np.nan, 2e9],
                "unique_books": 3e9,
                "loss_web": [3.0, 3.1, 3.2, 3.3],
            }
        )
    )


def same_after_writing(table, tmp_path):
    """What is written reads back as the same table."""
    write_runs(table, tmp_path / "t.csv")
    again = read_runs(tmp_path / "t.csv")
    assert again.domains == table.domains and again.targets == table.targets
    np.testing.assert_array_equal(again.weights, table.weights)
    return True


def test_remove_keeps_runs_that_never_saw_the_domain(runs, tmp_path):
    kept = remove_domain(runs, "w_books")
    assert kept.domains == ("web", "code") and list(kept.frame["run"]) == ["q", "s"]
    np.testing.assert_array_equal(kept.weights, [[0.4, 0.6], [0, 1]])
    assert "unique_books" not in kept.frame and kept.targets == ("web",)
    assert kept.notes[-1].startswith("domain 'books' removed: 2 of 4 rows kept")
    assert same_after_writing(kept, tmp_path)


def test_remove_within_a_tolerance_renormalizes_and_says_so(runs):
    kept = remove_domain(runs, "web", tolerance=0.05)
    assert list(kept.frame["run"]) == ["r", "s"]
    np.testing.assert_allclose(kept.weights, [[0.5, 0.5], [1, 0]])
    assert kept.notes[-1] == "1 row renormalized without it, though it was trained on"
    assert len(remove_domain(runs, "web")) == 1


def test_add_gives_old_runs_no_weight_on_it(runs, tmp_path):
    more = add_domain(runs, "w_math")
    assert more.domains == ("web", "code", "books", "math") and len(more) == 4
    np.testing.assert_array_equal(more.weights[:, :3], runs.weights)
    assert not more.weights[:, 3].any() and np.isnan(more.frame["unique_math"].to_numpy()).all()
    assert "no law knows it" in more.notes[-1] and same_after_writing(more, tmp_path)
    np.testing.assert_array_equal(remove_domain(more, "math").weights, runs.weights)


def test_split_then_merge_is_the_old_table(runs, tmp_path):
    parts = split_domain(runs, "code", {"python": 0.3, "code": 0.7})
    assert parts.domains == ("web", "python", "code", "books")
    np.testing.assert_allclose(parts.weights[:, 1], 0.3 * runs.weights[:, 1])
    np.testing.assert_allclose(parts.frame["unique_code"][0], 0.7 * 2e9)
    assert np.isnan(parts.frame["unique_python"][2])
    assert "not told apart" in parts.notes[-1] and same_after_writing(parts, tmp_path)
    whole = merge_domains(parts, ["python", "code"], "code")
    assert whole.domains == runs.domains and list(whole.frame) == list(runs.frame)
    np.testing.assert_allclose(whole.weights, runs.weights, atol=1e-15)
    np.testing.assert_allclose(whole.frame["unique_code"], runs.frame["unique_code"])
    assert whole.notes[-1].endswith("merged into 'code'")  # one proportion in all runs


def test_merge_says_how_the_proportions_differ(runs, tmp_path):
    merged = merge_domains(runs, ["w_web", "books"], "text")
    assert merged.domains == ("text", "code") and same_after_writing(merged, tmp_path)
    np.testing.assert_allclose(merged.weights[:, 0], [0.75, 0.4, 0.51, 0])
    np.testing.assert_array_equal(merged.frame["unique_text"], 4e9)
    some = replace(runs, frame=runs.frame.drop(columns="unique_web"))
    assert merge_domains(some, ["web", "books"], "text").frame["unique_text"].isna().all()
    assert "'web' was 0.0392 to 1 of it" in merged.notes[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: remove_domain(t, "boks"), "unknown domain 'boks'; nearest: books"),
        (
            lambda t: remove_domain(t, "code"),
            "every run has weight on 'code' .at least 0.25.*merge",
        ),
        (lambda t: remove_domain(t, "web", tolerance=1.0), "tolerance 1"),
        (lambda t: add_domain(t, "web"), "'w_web' is there already"),
        (lambda t: add_domain(t, " "), "needs a name"),
        (lambda t: split_domain(t, "web", {"a": 1.0}), "at least two parts"),
        (lambda t: split_domain(t, "web", {"a": 0.5, "w_a": 0.5}), "at least two parts"),
        (lambda t: split_domain(t, "web", {"a": 0.5, "code": 0.5}), "'w_code' is there already"),
        (lambda t: split_domain(t, "web", {"a": 0.5, "b": 0.4}), "sum 1, not 0.9"),
        (lambda t: split_domain(t, "web", {"a": 1.5, "b": -0.5}), "above 0"),
        (lambda t: merge_domains(t, ["web", "w_web"], "x"), "at least two"),
        (lambda t: merge_domains(t, ["web", "code"], "books"), "'w_books' is there already"),
    ],
)
def test_refused(runs, change, message):
    with pytest.raises(RunTableError, match=message):
        change(runs)


def test_the_only_domain_stays(runs):
    only = merge_domains(merge_domains(runs, ["web", "code"], "a"), ["a", "books"], "all")
    np.testing.assert_allclose(only.weights, 1.0)
    with pytest.raises(RunTableError, match="only domain"):
        remove_domain(only, "all")
