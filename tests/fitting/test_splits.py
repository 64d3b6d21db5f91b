"""Splits: whole groups are held out, the right ones, and every split is what its kind says."""

import numpy as np
import pytest

from jaxmix.fitting.selection.splits import KINDS, make_splits, mixture_ids, trajectory_share
from jaxmix.fitting.simulate import simulate
from jaxmix.laws import ADDITIVE
from jaxmix.runs import read_runs

TRUTH = {"E": 1.5, "A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34}
TRUTH |= {"C": [3.0, 1.0], "gamma": [0.5, 0.6]}
SIZES = [1e7, 3e7, 1e8, 3e8, 1e9]
TOKENS = [1e9, 2e9, 4e9, 8e9]


@pytest.fixture(scope="module")
def runs():
    first = np.linspace(0, 1, 12)
    mixtures = np.stack([first, 1 - first], 1)
    scale = {"mixtures": mixtures, "n_params": SIZES, "tokens": TOKENS}
    truth = {"a": TRUTH, "b": {**TRUTH, "C": [1.0, 3.0]}}
    names = {"domains": ["a", "b"], "targets": ["a", "b"]}
    return simulate(ADDITIVE, truth, **names, **scale, replicates=2)


def test_no_row_is_on_both_sides_and_every_test_row_is_late(runs):
    share = trajectory_share(runs)
    splits = make_splits(runs, tuple(KINDS))
    assert {s.kind for s in splits} == set(KINDS)
    for split in splits:
        assert split.train.shape == split.test.shape == (2, len(runs))
        assert not (split.train & split.test).any()
        assert (share[split.test.any(0)] >= 0.5).all()


def test_size_goes_forward_from_three_sizes(runs):
    held = make_splits(runs, ("size",))
    assert [s.name for s in held] == ["n_params = 3e+08", "n_params = 1e+09"]
    for split in held:
        assert runs.n_params[split.train[0]].max() < runs.n_params[split.test[0]].min()
    assert len(make_splits(runs, ("size",), size_floor=3e7)) == 1
    two = runs.where("n_params < 2e8")
    assert [s.name for s in make_splits(two, ("size",))] == ["n_params = 1e+08"]


def test_any_size_takes_each_in_turn(runs):
    held = make_splits(runs, ("any-size",))
    assert [float(runs.n_params[s.test[0]][0]) for s in held] == SIZES
    assert all((s.train | s.test | (trajectory_share(runs) < 0.5)).any(0).all() for s in held)


def test_folds_part_the_mixtures_and_keep_each_whole(runs):
    ids = mixture_ids(runs)
    folds = make_splits(runs, ("mixtures",), folds=5, seed=3)
    held = [set(ids[s.test[0]]) for s in folds]
    assert sorted(i for part in held for i in part) == list(range(12))
    for part, split in zip(held, folds, strict=True):
        assert part.isdisjoint(ids[split.train[0]])
    other = make_splits(runs, ("mixtures",), folds=5, seed=4)
    assert held != [set(ids[s.test[0]]) for s in other]


def best_three(runs, target):
    """By brute force: the lowest mean losses of the smallest models at their end."""
    ids, rows = mixture_ids(runs), (runs.n_params == 1e7) & (runs.tokens == 8e9)
    losses = runs.losses([target])[0]
    return set(sorted(np.unique(ids), key=lambda i: losses[rows & (ids == i)].mean())[:3])


def test_range_holds_out_each_targets_best_mixtures(runs):
    (split,) = make_splits(runs, ("range",), best=0.25)
    ids = mixture_ids(runs)
    for t, name in enumerate(runs.targets):
        assert set(ids[split.test[t]]) == best_three(runs, name)
        assert best_three(runs, name).isdisjoint(ids[split.train[t]])
    assert best_three(runs, "a") != best_three(runs, "b")
    assert set(ids[split.choices]) == set(ids)


def test_range_compares_mixtures_at_matched_size_and_tokens(runs):
    """Only half the mixtures have large models: raw losses would call those the best."""
    for half in ("w_a < 0.5", "w_a > 0.5"):
        thin = runs.where(f"n_params < 2e8 or {half}")
        (split,) = make_splits(thin, ("range",), best=0.25)
        for t, name in enumerate(thin.targets):
            held = set(mixture_ids(thin)[split.test[t]])
            assert len(held & best_three(thin, name)) >= 2


def test_tokens_holds_out_the_late_part(runs):
    first, second = make_splits(runs, ("tokens",))
    assert set(runs.tokens[first.train[0]]) == {1e9, 2e9, 4e9}
    assert set(runs.tokens[first.test[0]]) == {8e9}
    assert set(runs.tokens[second.test[0]]) == {8e9}


def test_splits_of_a_training_side_stay_within_it(runs):
    outer = make_splits(runs, ("size",))[-1]
    for split in make_splits(runs, ("size", "mixtures", "range"), rows=outer.train):
        assert not (split.train & ~outer.train).any() and not (split.test & ~outer.train).any()


def test_a_run_is_measured_by_its_own_end():
    columns = {"run": ["r", "r", "s"], "n_params": [1.0] * 3, "tokens": [1.0, 4.0, 2.0]}
    runs = read_runs({**columns, "loss": [1.0] * 3}, source="x")
    assert trajectory_share(runs).tolist() == [0.25, 1.0, 1.0]
    rows = np.array([True, False, False])
    assert trajectory_share(runs, rows).tolist() == [1.0, 4.0, 1.0]


def test_missing_losses_are_on_neither_side(runs):
    frame = runs.frame.copy()
    frame.loc[::2, "loss_a"] = np.nan
    holed = read_runs(frame.to_dict("list"), source="x")
    for split in make_splits(holed):
        assert not (split.train[0] | split.test[0])[::2].any()


@pytest.mark.parametrize(
    ("by", "where", "message"),
    [
        (("sizes",), None, "unknown split 'sizes': choose among size, any-size"),
        ((), None, "no split is named"),
        (("size",), "n_params < 5e7", "has 2 sizes at hand and needs three"),
        (("any-size",), "n_params < 5e7", "needs three"),
        (("mixtures",), "w_a > 0.99", "has 1 mixture at hand and needs two"),
        (("range",), "w_a > 0.8", "needs four"),
        (("tokens",), "tokens == 8e9", "no rows on both sides of the cut"),
    ],
)
def test_a_table_that_cannot_be_split_says_why(runs, by, where, message):
    with pytest.raises(ValueError, match=message):
        make_splits(runs if where is None else runs.where(where), by)


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"best": 1.0}, {"late": 2.0}])
def test_settings_out_of_range(runs, wrong):
    with pytest.raises(ValueError, match="folds must be at least 2"):
        make_splits(runs, **wrong)
