"""Laws that know repetition in fits, scores, files and simulations; the published fit."""

import jax
import numpy as np
import pandas as pd
import pytest

from jaxmix.fitting import FitError, fit, load_laws, measure_noise, save_laws, score, simulate
from jaxmix.fitting.files import LawFileError
from jaxmix.laws import ADDITIVE, CHINCHILLA, fixed, get_law, repeated
from jaxmix.mixtures import Constraints, assume_repetition, optimize
from jaxmix.runs import RunTableError, read_runs

LAW = repeated(ADDITIVE)
DOMAINS = ("web", "code", "books")
UNIQUE = {"code": 2e9, "books": 5e8}
TRUTH = {
    "E": 1.6,
    "A": 300.0,
    "alpha": 0.32,
    "B": 900.0,
    "beta": 0.31,
    "C": np.array([2.0, 1.0, 0.5]),
    "gamma": np.array([0.4, 0.6, 0.5]),
    "R_D_star": 8.0,
}
DESIGN = {
    "domains": DOMAINS,
    "mixtures": np.vstack([np.eye(3), np.full((3, 3), 0.2) + 0.4 * np.eye(3), np.ones((1, 3)) / 3]),
    "n_params": [3e7, 1e8, 3e8],
    "tokens": [3e8, 1e9, 4e9, 1.6e10, 6.4e10],
    "targets": ["web"],
}


@pytest.fixture(scope="module")
def runs():
    return simulate(LAW, TRUTH, noise=5e-4, seed=1, unique=UNIQUE, **DESIGN)


@pytest.fixture(scope="module")
def fits(runs):
    return fit(runs, "additive+repetition", restarts=8, solver="gauss-newton")


def test_a_fit_on_one_epoch_and_repeated_rows_recovers_the_decay(runs, fits):
    epochs = runs.weights[:, 1] * runs.tokens / UNIQUE["code"]
    assert (epochs < 1).any() and (epochs > 10).any()
    (found,) = fits
    assert float(found.params["R_D_star"]) == pytest.approx(8.0, rel=0.03)
    for name in ("E", "alpha", "beta"):
        assert float(found.params[name]) == pytest.approx(TRUTH[name], rel=0.03)
    assert found.report.train_mre < 0.06
    assert any("never repeated: web" in note for note in found.report.notes)


def test_scores_see_the_unique_tokens_of_the_rows(runs, fits):
    assert score(fits, runs)["web"].mre == pytest.approx(fits[0].report.train_mre, rel=1e-9)
    frame = runs.frame.drop(columns=[f"unique_{d}" for d in UNIQUE])
    assert score(fits, read_runs(frame))["web"].mre > 0.5


def test_residuals_see_them_too(runs, fits):
    assert measure_noise(fits, runs)[0].residual_sd < 3e-3


def test_optima_that_know_of_no_stock_say_so(fits):
    said = "given no available tokens, so here nothing ever repeats"
    assert any(said in note for note in optimize(fits, 1e9, 1e11).notes)
    stock = Constraints(available=UNIQUE)
    assert not any(said in note for note in optimize(fits, 1e9, 1e11, stock).notes)


def test_an_optimum_promises_what_the_law_predicts_at_that_stock(fits):
    """The stock enters the law: what repeats is priced, in the proposal and in its loss."""
    best = optimize(fits, 1e9, 1e11, Constraints(available=UNIQUE))
    unique = np.array([UNIQUE.get(d, np.inf) for d in DOMAINS])
    x = {"n_params": 1e9, "tokens": 1e11, "weights": best.h, "unique": unique}
    assert fits[0].predict(x) == pytest.approx(best.objective, rel=1e-12)
    free = optimize(fits, 1e9, 1e11)
    assert best.objective > free.objective + 1e-3
    at_free = fits[0].predict(x | {"weights": free.h})
    assert best.objective <= at_free + 1e-12
    capped = optimize(fits, 1e9, 1e11, Constraints(available=UNIQUE, max_epochs=1))
    assert capped.weights["books"] <= UNIQUE["books"] / 1e11 * (1 + 1e-9)


def test_files_load_back_to_the_bit(fits, tmp_path):
    fits.save(tmp_path / "law.json")
    (back,) = load_laws(tmp_path / "law.json")
    assert back.law == fits.law
    x = {
        "n_params": 1e9,
        "tokens": np.array([1e9, 1e10, 1e12]),
        "weights": DESIGN["mixtures"][3:6],
        "unique": np.array([np.inf, 2e9, 5e8]),
    }
    np.testing.assert_array_equal(back.predict(x), fits[0].predict(x))


def test_a_damaged_recipe_is_one_line(fits, tmp_path):
    path = tmp_path / "law.json"
    save_laws(path, fits)
    path.write_text(path.read_text().replace('"formula"', '"fixed": {"Q": 1.0}, "formula"', 1))
    with pytest.raises(LawFileError, match="has no parameter 'Q'"):
        load_laws(path)


def test_an_assumed_decay_is_stated(runs):
    laws = fit(runs.where("tokens < 2e9"), "additive", restarts=4, solver="gauss-newton")
    (found,) = assume_repetition(laws)
    assert float(found.params["R_D_star"]) == pytest.approx(15.387756)
    assert "assumed, not fitted" in found.report.notes[-1]
    assert "Muennighoff" in found.report.notes[-1]
    x = {"n_params": 1e8, "tokens": 1e9, "weights": np.array([0.6, 0.2, 0.2])}
    scarce = {"unique": np.array([2e9, np.inf, np.inf])}
    assert found.predict(x | scarce) == laws[0].predict(x)
    x["tokens"] = 1e11
    assert found.predict(x | scarce) > laws[0].predict(x)
    (other,) = assume_repetition(laws, 4.0)
    assert "R_D_star = 4, as given" in other.report.notes[-1]


def test_what_no_row_depends_on_is_stated(runs):
    """Web never repeats: its harm and its decay are not in the rows, and the fit says so."""
    law = "effective+repetition-by-domain+harm"
    (found,) = fit(runs, law, restarts=4, solver="gauss-newton")
    assert found.params["g"][0] < 1e-12 and found.params["R_D_star"][0] == pytest.approx(15.387756)
    said = [note for note in found.report.notes if note.startswith("no row depends on g of web")]
    assert said and said[0].endswith("taken as 0")  # the truth has no harm, so others may be there
    assert "no row depends on R_D_star of web: taken as 15.3878" in found.report.notes


def test_runs_that_continue_others_recover_what_the_tokens_before_count():
    """Fresh runs have no number in the column; the budget's default is a fresh run too."""
    truth = {"E": 1.6, "A": 300.0, "alpha": 0.32, "B": 900.0, "beta": 0.31, "rho": 0.2}
    grid = np.array(np.meshgrid([3e7, 1e8, 4e8], [3e8, 3e9, 3e10], [0.0, 2e9, 2e10])).reshape(3, -1)
    x = dict(zip(("n_params", "tokens", "tokens_before"), grid, strict=True))
    law = get_law("chinchilla+before")
    with jax.enable_x64(True):
        losses = np.asarray(law.loss(truth, x))
    before = np.where(grid[2] > 0, grid[2], np.nan)
    frame = pd.DataFrame({**x, "tokens_before": before, "loss_web": losses})
    runs = read_runs(frame.assign(run=[f"r{i}" for i in range(len(frame))], w_web=1.0))
    laws = fit(runs, law, restarts=16, solver="gauss-newton")
    assert float(laws[0].params["rho"]) == pytest.approx(0.2, rel=1e-4)
    fresh = laws[0].predict({"n_params": 1e8, "tokens": 1e10, "tokens_before": 0.0})
    assert fresh == pytest.approx(1.6 + 300 / 1e8**0.32 + 900 / 1e10**0.31, rel=1e-5)


def test_what_is_refused(runs, fits):
    frame = runs.frame
    bare = read_runs(frame.drop(columns=[f"unique_{d}" for d in UNIQUE]))
    with pytest.raises(FitError, match="no column unique_<domain>; fit 'additive'"):
        fit(bare, LAW)
    with pytest.raises(FitError, match="no row repeats any domain"):
        fit(runs.where("tokens < 4e8"), LAW)
    with pytest.raises(
        RunTableError, match="column 'unique_code', row 1: -1; give a number above 0"
    ):
        fit(read_runs(frame.assign(unique_code=-1.0)), LAW)
    with pytest.raises(ValueError, match="unknown domain 'cod'; nearest: code"):
        optimize(fits, 1e9, 1e10, Constraints(available={"cod": 1e9}))
    with pytest.raises(ValueError, match=r"'code'.* above 0"):
        optimize(fits, 1e9, 1e10, Constraints(available={"code": 0.0}))
    with pytest.raises(ValueError, match="knows repetition already"):
        assume_repetition(fits)
    with pytest.raises(ValueError, match="r_star must be a number above 0"):
        assume_repetition(fits, -1.0)


BASE = {
    "E": np.exp(0.6254804),
    "A": np.exp(6.255414),
    "B": np.exp(7.3049974),
    "alpha": 0.3526596,
    "beta": 0.3526596,
}


@pytest.fixture(scope="module")
def datablations(public_runs):
    """The 182 rows of the published fit: one domain, c4."""
    frame = _frame(public_runs / "datablations.csv")
    return read_runs(frame)


def _frame(path):
    table = pd.read_csv(path)
    table = table[table["in_paper_fit"] == 1].reset_index(drop=True)
    columns = {"n_params": table["n_params"], "tokens": table["tokens"], "w_c4": 1.0}
    return pd.DataFrame({**columns, "unique_c4": table["unique_tokens"], "loss_c4": table["loss"]})


def _log_huber(fitted, runs, delta=1e-3):
    unique = runs.frame[["unique_c4"]].to_numpy()
    predicted = fitted.predict(
        dict(n_params=runs.n_params, tokens=runs.tokens, weights=runs.weights, unique=unique)
    )
    size = np.abs(np.log(predicted) - np.log(runs.losses()[0]))
    small = np.minimum(size, delta)
    return float(np.sum(small * (size - 0.5 * small)))


def test_datablations(datablations):
    """Table 1 (appendix A) of arXiv 2305.16264: R2 .7722 with the decays, .4452 without them."""
    assert len(datablations) == 182
    law = fixed(repeated(CHINCHILLA), BASE)
    (found,) = fit(datablations, law, residual="log", restarts=8, solver="gauss-newton")
    assert found.report.objective * 182 <= 0.0158048 < 0.01582594
    assert score([found], datablations)["c4"].r2 >= 0.79

    published = {"R_D_star": 15.387756, "R_N_star": 5.309743}
    at = [
        found.__class__(law, "c4", ("c4",), p, found.data, found.report)
        for p in (published, dict.fromkeys(published, 1e9))
    ]
    assert _log_huber(at[0], datablations) == pytest.approx(0.01582594, abs=1e-8)
    assert score(at[:1], datablations)["c4"].r2 == pytest.approx(0.7722, abs=5e-5)
    assert score(at[1:], datablations)["c4"].r2 == pytest.approx(0.4452, abs=5e-5)
