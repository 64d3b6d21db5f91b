"""Selection: the right law, rows and pull are chosen; ties and the nested score are honest."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxmix.fitting import fit
from jaxmix.fitting.objective import Objective
from jaxmix.fitting.problem import FitError, make_problem
from jaxmix.fitting.selection import (
    Candidate,
    FitSettings,
    Trials,
    choose_pull,
    default_laws,
    make_candidates,
    reference_weights,
    run_trials,
    select,
)
from jaxmix.fitting.selection.candidates import automatic_floors, where_expression
from jaxmix.fitting.selection.choice import Difference, choose, clustered, nested_score, paired
from jaxmix.fitting.selection.evidence import (
    Cell,
    Evidence,
    Groups,
    cells,
    held_out_errors,
    regrets,
)
from jaxmix.fitting.selection.splits import make_splits
from jaxmix.fitting.simulate import simulate
from jaxmix.laws import ADDITIVE, CHINCHILLA, GE
from jaxmix.runs import read_runs

TRUTH = {"E": 1.5, "A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34}
TRUTH |= {"C": [3.0, 1.0], "gamma": [0.5, 0.6]}
SIZES = [1e7, 3e7, 1e8, 3e8]
TOKENS = [5e8, 1e9, 2e9, 4e9, 8e9]
FEW = {"restarts": 8, "seed": 1}


def study(noise):
    first = np.linspace(0.05, 0.95, 10)
    scale = {"mixtures": np.stack([first, 1 - first], 1), "n_params": SIZES, "tokens": TOKENS}
    return simulate(ADDITIVE, TRUTH, domains=["a", "b"], targets=["a"], noise=noise, **scale)


@pytest.fixture(scope="module")
def runs():
    return study(0.002)


@pytest.fixture(scope="module")
def warming(runs):
    """The same runs, early checkpoints on another curve: warming up costs a mixture-wise extra."""
    frame = runs.frame.copy()
    early = frame["tokens"] < 1.5e9
    frame.loc[early, "loss_a"] += 0.4 * frame["w_b"] * np.log10(frame["n_params"] / 1e6)
    return read_runs(frame)


@pytest.fixture(scope="module")
def selection(runs):
    return select(
        runs,
        ["chinchilla", "additive"],
        residuals=("log",),
        burn_in=(0.0,),
        reference="uniform",
        **FEW,
    )


@pytest.fixture(scope="module")
def warm_selection(warming):
    settings = {"residuals": ("log",), "burn_in": (0, 0.05, 0.2), "folds": 3, "outer": ()}
    return select(warming, ["additive"], **settings, **FEW)


def test_the_true_law_is_picked_and_the_blind_one_is_not_eligible(selection):
    rows = {r.candidate.law.name: r for r in selection.rows}
    assert selection.choice == Candidate(ADDITIVE, "log")
    assert rows["additive"].score < 0.5 < rows["chinchilla"].score
    assert rows["chinchilla"].high_regret and rows["chinchilla"].difference.mean > 0
    assert rows["additive"].mean_regret < 0.01 < rows["chinchilla"].mean_regret
    assert set(rows["additive"].error) == {"size", "mixtures", "range"}
    assert selection.best_of_laws() == selection.rows
    assert "picked additive, log" in selection.reasons[0]
    assert selection.where is None and selection.pull is not None


def test_nested_picks_are_scored_on_rows_that_did_not_choose(selection):
    (pick,) = selection.nested.picks
    assert (pick.split, pick.picked) == ("n_params = 3e+08", "additive, log")
    assert selection.nested.error == pytest.approx(selection.nested.naive_error)


def test_burn_in_is_found_and_lowers_the_error_on_the_same_rows(warm_selection, warming):
    error = {r.candidate.burn_in: r.score for r in warm_selection.rows}
    assert warm_selection.choice.burn_in == 0.2 and error[0.2] < 0.7 * error[0.0]
    assert 0.05 not in error  # every run starts at 1/16
    (why,) = warm_selection.dropped.values()
    assert why == "fits the very rows of additive, log"
    kept = warming.where(warm_selection.where)
    assert set(kept.tokens) == {2e9, 4e9, 8e9}


def test_a_fit_in_the_batch_is_the_fit_alone(warm_selection, warming):
    """The one with a burn-in, whose search starts from another's optima."""
    trials = warm_selection.trials
    held, c = trials.splits[0], trials.candidates.index(warm_selection.choice)
    frame = warming.frame.copy()
    frame["loss_a"] = frame["loss_a"].where(trials.candidates[c].trusted(warming, held.train)[0])
    (alone,) = fit(read_runs(frame), ADDITIVE, residual="log", restarts=8)
    expected = alone.predict(
        dict(n_params=warming.n_params, tokens=warming.tokens, weights=warming.weights)
    )
    late = warming.tokens > 1.5e9
    assert np.allclose(trials.predicted[c, 0, 0][late], expected[late], rtol=2e-3)


def test_error_is_the_mean_relative_error_of_the_test_rows(selection):
    trials, observed = selection.trials, selection.trials.runs.losses()
    for c, candidate in enumerate(trials.candidates):
        row = next(r for r in selection.rows if r.candidate == candidate)
        error = 100 * np.abs(trials.predicted[c] / observed - 1)  # [S, m, p]
        for kind in row.error:
            own = [s for s, split in enumerate(trials.splits) if split.kind == kind]
            means = [np.mean(error[s][trials.splits[s].test]) for s in own]
            assert row.error[kind] == pytest.approx(np.mean(means))


@pytest.mark.parametrize("weighting", ["equal", "sem"])
def test_fewer_rows_of_a_problem_are_those_of_a_table_with_gaps(runs, weighting):
    frame = runs.frame.assign(sem_a=np.linspace(0.01, 0.03, len(runs)))
    table, rows = read_runs(frame), frame["tokens"].to_numpy() > 1.5e9
    gaps = read_runs(frame.assign(loss_a=frame["loss_a"].where(rows)))
    objective = Objective(ADDITIVE, 2, 1e-3, "log")
    with jax.enable_x64(True):
        whole, expected = (
            make_problem(t, ADDITIVE, ("a",), objective, weighting) for t in (table, gaps)
        )
        found = whole.only(rows[None], weighting)
    np.testing.assert_array_equal(found.used, expected.used)
    np.testing.assert_array_equal(found.rows.row_weights, expected.rows.row_weights)
    np.testing.assert_array_equal(found.scales, expected.scales)
    with pytest.raises(FitError, match="3 rows and the additive law 9 parameters"):
        whole.only(np.arange(len(rows))[None] < 3, weighting)


def test_one_wild_prediction_does_not_decide(selection):
    trials = selection.trials
    wild = trials.predicted.copy()
    held = trials.splits[0].test
    wild[0, 0, held] *= np.where(np.arange(held.sum()) == 0, 1e9, 1.0)
    before = held_out_errors(trials).values
    after = held_out_errors(replace(trials, predicted=wild)).values
    (changed,) = np.flatnonzero(before[0] != after[0])
    assert before[0, changed] < after[0, changed] <= 100
    wild[0, 0, held] = np.nan
    assert np.isinf(held_out_errors(replace(trials, predicted=wild)).values[0]).any()


def test_residuals_left_out_are_those_of_the_fold_that_holds_the_mixture(selection):
    trials, found = selection.trials, selection.left_out()
    pick = trials.candidates.index(selection.choice)
    assert np.isfinite(found).all()
    for s, split in enumerate(trials.splits):
        if split.kind == "mixtures":
            missed = (trials.runs.losses() - trials.predicted[pick, s])[split.test]
            np.testing.assert_array_equal(found[split.test], missed)


def test_a_law_of_its_own_weight_is_fitted_too():
    frame = study(0.0).frame.assign(loss_b=lambda f: f["loss_a"] + 0.3 * f["w_a"])
    runs = read_runs(frame)
    held = make_splits(runs, ("mixtures",), folds=2)
    trials = run_trials(runs, ("a", "b"), [Candidate(GE)], held, FitSettings(restarts=2))
    assert trials.predicted.shape == (1, 2, 2, len(runs)) and np.isfinite(trials.predicted).all()
    assert not np.allclose(trials.predicted[0, :, 0], trials.predicted[0, :, 1])


def test_what_cannot_be_fitted_is_left_out_with_its_reason(runs):
    settings = {"by": ("mixtures",), "residuals": ("log",), "folds": 2, "outer": (), "restarts": 1}
    chosen = select(runs, ["chinchilla"], burn_in=(0.0, 0.9), **settings)
    assert chosen.choice.burn_in == 0.0
    ((name, why),) = chosen.dropped.items()
    assert name == "chinchilla, log, burn-in 0.9" and "two values of tokens" in why
    with pytest.raises(ValueError, match="no candidate can be fitted on every split"):
        select(runs, ["chinchilla"], burn_in=(0.9,), **settings)


@pytest.mark.parametrize(
    ("rows", "law", "kinds", "lacks"),
    [
        ("n_params < 2e7 and tokens < 6e8", "effective-fixed-nd", {"mixtures", "range"}, ["size"]),
        ("tokens < 6e8", "additive-fixed-d", {"size", "mixtures", "range"}, []),
        ("n_params < 2e7 and w_a < 0.6", "additive-fixed-n", {"mixtures", "range"}, ["size"]),
        ("w_a < 0.3", "effective", {"size", "mixtures"}, ["range"]),
        ("w_a < 0.1", "chinchilla", {"size"}, ["mixtures", "range"]),
    ],
)
def test_kinds_and_laws_are_those_that_the_table_allows(runs, rows, law, kinds, lacks):
    table = runs.where(rows)
    assert law == "chinchilla" or default_laws(table)[0] == law
    found = select(table, [law], residuals=("log",), burn_in=(0.0,), outer=(), restarts=2)
    assert set(found.rows[0].error) == kinds
    assert [note.split(":")[0] for note in found.notes] == [f"not held out by {k}" for k in lacks]
    with pytest.raises(ValueError, match="cannot hold out by range"):
        select(runs.where("w_a < 0.1"), [law], by=("size", "range"))


def test_the_laws_to_try_follow_the_number_of_mixtures_and_whether_data_repeat(runs):
    assert default_laws(runs) == ("additive", "joint")  # 10 mixtures of 2 domains
    few = runs.where("w_a > 0.5")
    assert default_laws(few) == ("effective", "additive")
    stock = few.frame.assign(unique_a=1e9)  # read 4 to 8 times at the last tokens
    known = tuple(f"{name}+repetition" for name in ("effective", "additive"))
    assert default_laws(read_runs(stock)) == known
    assert default_laws(read_runs(stock.assign(unique_a=8e9))) == ("effective", "additive")


def groups(values, split=None, share=None):
    values = np.asarray(values, float)
    count = values.shape[1]
    split = np.arange(count) if split is None else np.asarray(split)
    share = np.full(count, 1 / count) if share is None else share
    return Groups(values, split, (np.arange(count), split), share)


def test_standard_error_is_the_textbook_one_and_grows_where_groups_move_together():
    rng = np.random.default_rng(0)
    values, share = rng.normal(size=40), np.full(40, 1 / 40)
    plain = values.std(ddof=1) / np.sqrt(40)
    assert clustered(values, share, np.arange(40)) == pytest.approx(plain)
    blocks = np.repeat(rng.normal(size=8), 5)
    means = blocks.reshape(8, 5).mean(1)
    expected = means.std(ddof=1) / np.sqrt(8)
    assert clustered(blocks, share, np.repeat(np.arange(8), 5)) == pytest.approx(expected)
    assert np.isnan(clustered(values, share, np.repeat([0, 1], 20)))


def test_a_tie_goes_to_fewer_parameters_and_a_clear_gap_does_not():
    rng = np.random.default_rng(1)
    base = 1 + 0.3 * rng.random(30)
    near = base + 0.01 + 0.2 * rng.normal(size=30)
    found = Evidence(groups([near, base, base + 0.5]), None)
    assert paired(found.error, 2, 1) == Difference(pytest.approx(0.5), pytest.approx(0, abs=1e-9))
    assert choose(found, [9, 19, 5]).picked == 0
    assert choose(found, [19, 19, 19]).tied == (0, 1)
    assert choose(Evidence(groups(np.full((2, 3), np.inf)), None), [1, 1]) is None


def test_regret_comes_first():
    errors_ = groups([[1.0, 1.0, 1.0, 1.1], [0.5, 0.5, 0.5, 0.6]])
    regret = groups([[0.0, 0.0, 0.001, 0.0], [0.1, 0.12, 0.11, 0.1]])
    verdict = choose(Evidence(errors_, regret), [19, 5])
    assert (verdict.picked, verdict.high_regret) == (0, (1,))
    assert choose(Evidence(errors_, None), [19, 5]).picked == 1


def test_a_pick_among_equals_costs_their_mean():
    cell = Cell(0, "a", np.array([1.0, 2.0, 4.0]), np.empty((0, 3)), np.empty((3, 1)))
    scores = np.array([[0, 1, 1], [1, 0, 5], [3, 3, 3], [np.nan, np.inf, 2], [np.inf] * 3], float)
    assert cell.regret(scores) == pytest.approx([0, 1, 4 / 3, 3, np.inf])


def test_regret_is_that_of_the_mixture_predicted_lowest(selection):
    """By brute force over the rows of the largest size at the end."""
    trials = selection.trials
    s = next(i for i, split in enumerate(trials.splits) if split.kind == "size")
    rows = trials.splits[s].test[0] & (trials.runs.tokens == 8e9)
    observed = trials.runs.losses()[0][rows]
    (cell,) = [c for c in cells(trials) if c.split == s]
    for c, candidate in enumerate(trials.candidates):
        picked = observed[np.argmin(trials.predicted[c, s, 0][rows])] - observed.min()
        expected = picked if candidate.law is ADDITIVE else observed.mean() - observed.min()
        assert cell.regret(cell.predicted)[c] == pytest.approx(expected)


def junk(seed, count=100, outer=12, inner=8):
    """Candidates that are equally good: only noise tells them apart."""
    rng = np.random.default_rng(seed)
    draw = lambda n: 1 + 0.3 * rng.normal(size=(count, n))  # noqa: E731
    whole = Evidence(groups(draw(outer)), None)
    chosen = choose(whole, [1] * count).picked
    splits = {o: str(o) for o in range(outer)}
    names = [str(c) for c in range(count)]
    apart = [Evidence(groups(draw(inner)), None) for _ in range(outer)]
    return nested_score(whole, splits, apart, chosen, names, [1] * count)


def test_many_junk_candidates_make_the_naive_score_optimistic_and_not_the_nested_one():
    found = [junk(seed) for seed in range(20)]
    naive, nested = (np.mean([getattr(f, n) for f in found]) for n in ("naive_error", "error"))
    spread = 0.3 / np.sqrt(12 * 20)
    assert abs(nested - 1.0) < 3 * spread
    assert naive < 1.0 - 5 * spread


def test_an_outer_split_too_small_to_split_again_is_named():
    whole = Evidence(groups(np.ones((2, 3))), None)
    apart = [whole, "too few", whole]
    found = nested_score(whole, {0: "x", 1: "y", 2: "z"}, apart, 0, ["p", "q"], [1, 1])
    assert [p.split for p in found.picks] == ["x", "z"] and found.skipped == {"y": "too few"}


@pytest.mark.parametrize("end", ["together", "by size", "by run"])
def test_where_says_exactly_which_rows_are_trusted(runs, end):
    frame = runs.frame.copy()
    if end == "by size":
        frame["tokens"] *= np.where(frame["n_params"] > 5e7, 1.7, 1.0)
    if end == "by run":
        frame["tokens"] *= np.where(frame["run"].str.contains("m[135]-"), 1 / 3, 1.0)
    table = read_runs(frame)
    for burn_in, floor in [(0.0, 3e7), (0.25, 0.0), (1 / 3, 3e7), (0.0, 0.0)]:
        candidate = Candidate(ADDITIVE, "loss", burn_in, floor)
        expected = candidate.trusted(table, np.ones((1, len(table)), bool))[0]
        expression = where_expression(candidate)
        kept = table if expression is None else table.where(expression)
        pairs = [set(zip(t.frame["run"], t.tokens)) for t in (kept, table.select(expected))]  # noqa: B905
        assert pairs[0] == pairs[1]


def test_floors_leave_four_sizes(runs):
    assert automatic_floors(runs) == (0.0,)
    more = read_runs(
        runs.frame.assign(n_params=runs.n_params * np.where(np.arange(len(runs)) % 2, 1, 1.1))
    )
    sizes = np.unique(more.n_params)
    assert automatic_floors(more) == (0.0, *sizes[1:5])


def with_predictions(trials: Trials, change) -> Trials:
    """One candidate that predicts the truth, changed by a function of the weights [p, k]."""
    truth = trials.runs.losses(trials.targets) + change(trials.runs.weights)
    shape = (1, len(trials.splits), *truth.shape)
    return replace(
        trials, candidates=trials.candidates[:1], predicted=np.broadcast_to(truth, shape)
    )


def test_pull_is_weak_where_the_law_is_right_and_strong_where_it_promises_too_much(selection):
    trials, best = selection.trials, {"a": 0.85, "b": 0.15}
    right = choose_pull(with_predictions(trials, lambda h: 0.0), 0, best)
    assert right.rows[0].regret == 0.0
    wrong = with_predictions(trials, lambda h: -0.8 * np.abs(h[:, 0] - 0.85))
    pull = choose_pull(wrong, 0, best)
    by_strength = {r.strength: r.regret for r in pull.rows}
    assert pull.strength >= 0.2 and by_strength[pull.strength] < 0.3 * by_strength[0.0]
    assert pull.reference_regret < 0.05
    far = choose_pull(with_predictions(trials, lambda h: 0.0), 0, {"b": 1.0})
    assert far.strength < 0.5


def test_references(runs):
    assert reference_weights(runs, "uniform") == {"a": 0.5, "b": 0.5}
    assert reference_weights(runs, {"w_b": 3.0, "a": 1.0}) == {"a": 0.25, "b": 0.75}
    sized = read_runs(runs.frame.assign(unique_a=3e6, unique_b=1e6))
    assert reference_weights(sized, "proportional") == {"a": 0.75, "b": 0.25}
    for wrong, message in [
        ("proportional", "needs column unique_a"),
        ("even", "unknown reference 'even'"),
        ({"c": 1.0}, "unknown domain 'c'"),
        ({"a": -1.0}, "at least 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            reference_weights(runs, wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"laws": []}, "each law once"),
        ({"laws": [ADDITIVE, "additive"]}, "each law once"),
        ({"residuals": ("square",)}, "residual 'square' is unknown"),
        ({"burn_in": (1.0,)}, "burn-in must be shares"),
        ({"size_floors": (-1.0,)}, "size floors must be"),
        ({"outer": ("tokens",)}, "outer split 'tokens' is not one of by"),
        ({"targets": ["x"]}, "unknown target 'x'"),
        ({"restarts": 0}, "restarts must be at least 1"),
    ],
)
def test_bad_settings(runs, change, message):
    arguments = {"laws": [CHINCHILLA]} | change
    with pytest.raises(ValueError, match=message):
        select(runs, **arguments)


def test_candidates_are_every_combination_once():
    made = make_candidates(["additive", CHINCHILLA], ("log",), (0.0, 0.25, 0.25), (0.0,))
    assert [c.name for c in made] == [
        "additive, log",
        "additive, log, burn-in 0.25",
        "chinchilla, log",
        "chinchilla, log, burn-in 0.25",
    ]
    assert [c.count(2) for c in made] == [9, 9, 5, 5]


def test_strengths_and_kinds_that_a_pull_cannot_use(selection):
    with pytest.raises(ValueError, match="at least 0 and finite"):
        choose_pull(selection.trials, 0, "uniform", [-1.0])
    sizes = [i for i, s in enumerate(selection.trials.splits) if s.kind == "size"]
    with pytest.raises(ValueError, match="splits by mixtures or range"):
        choose_pull(selection.trials.take([0], sizes), 0, "uniform")
    assert regrets(selection.trials.take([0], sizes)) is not None
