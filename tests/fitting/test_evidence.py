"""What a law cannot tell from its rows, or does not read of them, is said where it matters."""

import numpy as np
import pytest

from jaxmix.fitting import fit, load_laws
from jaxmix.fitting.evidence import fit_notes, table_notes, unread_notes
from jaxmix.laws import get_law
from jaxmix.notes import GUESS, UNSAFE, WRONG, rank_of
from jaxmix.runs import read_points, read_runs

RNG = np.random.default_rng(0)


def rows(n_params, tokens, mixtures=12, **columns):
    """A grid of sizes and mixtures of three domains."""
    h = RNG.dirichlet(np.ones(3), mixtures)
    n, d, i = (x.ravel() for x in np.meshgrid(n_params, tokens, np.arange(mixtures)))
    i = i.astype(int)
    loss = 2.0 + (n / 1e8) ** -0.3 + (d / 1e9) ** -0.3 - 0.3 * h[i, 0] ** 0.5
    weights = {f"w_{name}": h[i, j] for j, name in enumerate("abc")}
    runs = [f"r{j}" for j in range(len(n))]
    return read_runs({"run": runs, "n_params": n, "tokens": d, **weights, "loss": loss, **columns})


def notes_of(runs, law):
    """What is said of a fit, but for two sizes that stand for many here."""
    found = fit_notes(runs, get_law(law), np.ones(len(runs), bool))
    return [note for note in found if "is a guess" not in note]


@pytest.mark.parametrize(
    ("law", "n_params", "tokens", "said"),
    [
        ("additive-fixed-nd", [1e8], [2e8, 2e9], '2 values of tokens (2e8, 2e9), which the law'),
        ("additive-fixed-nd", [1e8], [2e8, 2e9], 'keep one with --where "tokens == 2e9"'),
        ("additive-fixed-n", [1e7, 1e8], [2e8, 2e9], '--where "n_params == 1e8"'),
        ("ye-m4", [1e7, 1e8], [1e9, 2e9], '--where "n_params == 1e8 and tokens == 2e9"'),
        ("ye-m4", [1e8], [1e9, 2e9, 2.001e9], '--where "1.998e9 <= tokens <= 2.003e9"'),
        ("chinchilla", [1e7, 1e8], [1e9, 2e9], "rows have 12 mixtures, which the law 'chinch"),
        ("additive", [1e8], [1e9, 2e9], "no other model size can be predicted (all rows"),
    ],
)  # fmt: skip
def test_what_varies_unread_and_what_does_not_vary(law, n_params, tokens, said):
    runs = rows(n_params, tokens)
    notes = notes_of(runs, law)
    assert len(notes) == 1 and said in notes[0]
    if "--where" in notes[0]:
        assert notes_of(runs.where(notes[0].split('"')[1]), law) == []


def test_filters_that_leave_too_few_rows_are_not_advised():
    (note,) = notes_of(rows([1e8], np.geomspace(1e9, 1e10, 6), mixtures=6), "additive-fixed-nd")
    assert note.endswith("does not use: choose a law that reads them")


def test_sizes_that_move_together_and_few_rows():
    both = rows([1e7, 1e8], [2e8, 2e9])
    together = notes_of(both.where("tokens == 20 * n_params"), "additive")
    assert len(together) == 1 and "(n_params and tokens move together in all" in together[0]
    few = notes_of(rows([1e7, 1e8], [2e8, 2e9], mixtures=4), "additive")
    assert "noise of single rows (16 rows for 11 parameters): add runs" in few[0]
    assert few[1] == (
        "the effects of the domains cannot be told apart (4 mixtures for 6 parameters of domains): "
        "run at least 2 more"
    )
    assert notes_of(both, "additive") == []


def test_repeated_data_that_a_law_does_not_read():
    runs = rows([1e7, 1e8], [2e8, 2e9], unique_a=1e8)
    (note,) = notes_of(runs, "additive")
    assert "a domain more than 2 times, up to" in note
    assert note.endswith("fit 'additive+repetition'")
    assert notes_of(runs, "additive+repetition") == []


@pytest.fixture(scope="module")
def law():
    return fit(rows([1e8], [2e9]), "additive-fixed-nd", restarts=8)


def test_a_law_used_elsewhere_says_so(law):
    same, other = rows([1e8], [2e9]), rows([1e8], [2e9, 2e10])
    assert unread_notes(law, same) == ()
    (note,) = unread_notes(law, other)
    assert "2 values of tokens (2e9, 2e10)" in note and "it was fitted at 2e9" in note
    assert note.endswith('keep such rows with --where "tokens == 2e9"')
    assert note in law.score(other).attrs["notes"]
    points = read_points(other.where("tokens > 2e9").frame.drop(columns="loss"))
    (note,) = law.predict(points).attrs["notes"]
    assert note == (
        "rows have tokens of 2e10, which the law 'additive-fixed-nd' does not use; it was fitted "
        "at 2e9"
    )


def test_doubts_stay_in_the_law_file(tmp_path):
    runs = rows([1e7, 1e8], [2e8, 2e9])
    frame = runs.frame.assign(n_params=runs.n_params / 1e6, loss_2=runs.losses()[0])
    fits = fit(frame, "chinchilla", restarts=8)
    asked = "n_params of 10 to 100 look like millions: multiply by 1e6 or write units, as in 10M"
    assert fits.notes.count(asked) == 1 and any("12 mixtures" in note for note in fits.notes)
    fits.save(tmp_path / "law.json")
    assert asked in load_laws(tmp_path / "law.json").notes
    elsewhere = read_points({"n_params": [1e8], "tokens": [1e9], "w_a": 1, "w_b": 0, "w_c": 0})
    assert "a mixture that was not fitted" in unread_notes(fits, elsewhere)[0]


def test_a_table_says_what_it_cannot_tell_gravest_first():
    """Whatever the law: units, sizes, tokens, mixtures."""
    few = rows([10.0, 30.0], [2e8, 3e8, 4e8], mixtures=2)
    found = table_notes(few)
    assert [rank_of(note) for note in found] == sorted(rank_of(note) for note in found)
    assert rank_of(found[0]) == WRONG and "look like millions" in found[0]
    assert any("(2 mixtures for 3 domains): run at least 1 more" in note for note in found)
    guesses = [note for note in found if rank_of(note) == GUESS]
    assert guesses[:2] == [
        "the effect of the model size is a guess (two sizes only, 10, 30): run a third size",
        "the effect of the number of tokens is a guess (token counts span only 2x): record losses "
        "at earlier checkpoints or train longer",
    ]
    (alone,) = table_notes(rows([1e7, 3e7, 1e8], [2e8, 6e8, 2e9], mixtures=1))
    assert rank_of(alone) == UNSAFE and alone.endswith("(jaxmix study plan designs them)")
    assert table_notes(rows([1e7, 3e7, 1e8], [2e8, 6e8, 2e9])) == ()
