"""What a report says: rows, findings, effects, figures and refusals."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.fitting.files import save_laws
from jaxmix.laws import JOINT
from jaxmix.mixtures import Constraints, domain_effects
from jaxmix.report import (
    best_run,
    findings,
    make_report,
    plot_effects,
    plot_residuals,
    read_provenance,
    read_rows,
)
from jaxmix.report.warnings import DECISION, TITLES, warnings
from jaxmix.runs import RunTableError, write_runs

from .conftest import MIXTURES, TARGETS, jittered, proposal, study

EVEN = {"n_params": 1e8, "tokens": 1e10, "weights": np.full(3, 1 / 3)}


@pytest.fixture(scope="module")
def made():
    return study()


@pytest.fixture
def files(made, tmp_path):
    laws, runs = made
    write_runs(runs, tmp_path / "runs.csv")
    save_laws(tmp_path / "law.json", laws, {"where": "n_params < 5e8", "pool": ()})
    return tmp_path


def test_rows_of_the_fit_are_found_by_its_provenance(files):
    origin = read_provenance(files / "law.json")
    rows = read_rows(files / "runs.csv", origin)
    np.testing.assert_array_equal(rows.fitted, rows.table.n_params < 5e8)
    assert len(rows.used) == 42 and rows.held_out is None  # what --where leaves out stays out
    held = read_rows(files / "runs.csv", origin | {"held_out": "n_params > 5e8"})
    assert held.used.frame.equals(rows.used.frame) and len(held.held_out or ()) == 21
    some = read_rows(files / "runs.csv", origin, "tokens > 5e10 or n_params < 0")
    assert len(some.table) == 42 + 7 and some.fitted.sum() == 42
    whole = read_rows(files / "runs.csv", {"where": None}, "tokens > 5e10")
    assert len(whole.used) == 63  # all were fitted, so all stay


def test_unreadable_rows_outside_the_fit_are_left_out(files):
    frame = pd.read_csv(files / "runs.csv")
    frame.loc[frame.index[-1], "tokens"] = -1.0
    frame.to_csv(files / "bad.csv", index=False)
    held = {"held_out": "n_params > 5e8"}
    rows = read_rows(files / "bad.csv", read_provenance(files / "law.json") | held)
    assert rows.fitted.all() and len(rows.table) == 42
    assert "cannot be read" in rows.notes[0]
    with pytest.raises(RunTableError):
        read_rows(files / "bad.csv", {})


def test_findings_answer_every_question(report):
    found = report.recommendation
    first = max(found.weights, key=found.weights.get)
    assert findings.train_on(report).startswith("Train on ") and first in findings.train_on(report)
    (said,) = findings.verdict(report)
    assert "90% interval" in said and "nats per token" in said and "perplexity" in said
    assert "90% probability" in findings.how_sure(report)
    assert findings.alone(report).startswith("The law alone would choose")
    assert "missed" not in findings.fits(report) and "held-out" in findings.fits(report)
    assert report.held_out_scores.keys() == set(TARGETS)


def test_warnings_come_by_consequence_each_with_its_remedy(made):
    laws, runs = made
    best = laws.optimize(1e12, 1e11)
    found = warnings(make_report(best, runs, ensemble=jittered(laws)))
    assert [w.rank for w in found] == sorted(w.rank for w in found)
    far = next(w for w in found if "1T parameters are 1e+03 times" in w.found)
    assert far.rank == DECISION and "Train one larger model" in far.remedy
    assert all(w.remedy for w in found if w.rank < len(TITLES) - 1)


def test_what_lies_outside_the_runs_is_said_in_weights():
    narrow = 0.5 * MIXTURES + 0.5 / 3
    laws, runs = study(mixtures=narrow)
    found = make_report(laws.optimize(1e9, 1e11), runs, ensemble=jittered(laws))
    most = float(narrow.max())
    assert found.recommendation.h.max() <= most + 1e-6
    if found.optimum.h.max() > most + 0.01:
        assert "most that was run 67%" in findings.alone(found)


def test_budgets_reach_a_hundred_times_the_largest(report):
    surface = report.surface
    assert surface.n_params[-1] == pytest.approx(1e11) and surface.n_params[0] == pytest.approx(1e7)
    assert surface.tokens[-1] == pytest.approx(1e13)


def test_effects_are_the_slopes_of_the_loss(made):
    laws, _ = made
    x = {"n_params": 1e8, "tokens": 1e10, "weights": np.array([0.5, 0.3, 0.2])}
    found = domain_effects(laws, x, ensemble=jittered(laws))
    for j in range(3):
        others = np.where(np.arange(3) == j, 0, x["weights"])
        way = np.eye(3)[j] - others / others.sum()
        for i, law in enumerate(laws):
            up, down = (
                law.predict({**x, "weights": x["weights"] + e * way}) for e in (1e-6, -1e-6)
            )
            assert found.slope[i, j] == pytest.approx(float(up - down) / 2e-6, rel=1e-5)
    assert (found.low <= found.high).all()
    significant = (found.low > 0) | (found.high < 0)
    np.testing.assert_array_equal(found.significant, significant)
    assert significant.any()


def test_effects_without_refits_have_no_significance(made):
    found = domain_effects(made[0], EVEN)
    assert np.isnan(found.low).all() and not found.significant.any()


def test_effects_of_coefficients_too_small_for_float32():
    laws, _ = study(JOINT)
    tiny = [
        replace(f, params={**f.params, "C_A": 1e-60 * f.params["C_A"], "gamma_A": np.array(-0.01)})
        for f in laws
    ]
    found = domain_effects(tiny, EVEN)
    assert np.isfinite(found.slope).all()


def test_figures_are_files(report, tmp_path):
    plot_residuals(report, TARGETS[1], tmp_path / "residuals.png")
    plot_effects(report.effects, tmp_path / "effects.png")
    assert all(p.stat().st_size > 5000 for p in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(ValueError, match="no fitted law of target 'x'"):
        plot_residuals(report, "x", tmp_path / "no.png")


def test_best_run_is_measured_on_the_longest_runs_of_the_largest_size(made):
    laws, runs = made
    frame = runs.frame.copy()
    late = (frame["n_params"] == 1e9) & (frame["tokens"] == 1e11)
    worst = laws.predict(frame[late]).mean(axis=1).idxmax()  # the laws like this one least
    frame.loc[worst, [f"loss_{t}" for t in TARGETS]] = 1.0
    frame.loc[frame["n_params"] < 5e8, f"loss_{TARGETS[0]}"] = 0.5  # smaller models do not count
    frame.loc[~late & (frame["n_params"] == 1e9), f"loss_{TARGETS[0]}"] = 0.5  # nor shorter runs
    best = laws.optimize(1e9, 1e11)
    found = make_report(best, frame, ensemble=jittered(laws)).best_run
    assert found is not None and found.run == frame.loc[worst, "run"]
    assert (found.loss, found.n_params, found.tokens) == (1.0, 1e9, 1e11)
    frame.loc[worst, f"loss_{TARGETS[1]}"] = np.nan  # without all losses it is no candidate
    again = make_report(best, frame, resamples=0)
    assert again.best_run.run != found.run and "best run" in again.baselines
    assert f"run {again.best_run.run} has the lowest measured" in findings.best_measured(again)[0]


def test_no_best_run_without_the_losses_of_all_targets(made):
    _, runs = made
    weights = dict.fromkeys(TARGETS, 0.5) | {"other": 0.5}
    assert best_run(runs, runs.weights, weights) is None
    assert best_run(runs, runs.weights, weights | {"other": 0.0}) is not None


def test_the_page_obeys_the_constraints_of_the_optimum():
    limits = Constraints(maximum={"web": 0.25}, linear=("web + code & more <= 0.5",))
    best, runs = proposal(constraints=limits)
    found = make_report(best, runs, ensemble=jittered(best.laws))
    assert found.optimum is best and found.to_dict()["weights"] == best.weights
    for h in (found.proposed, found.optimum.h, *found.surface.weights.reshape(-1, 3)):
        assert h[0] <= 0.25 + 1e-6 and h[0] + h[1] <= 0.5 + 1e-6


def test_refusals(made):
    laws, runs = made
    best = laws.optimize(1e9, 1e11)
    other = laws.optimize(1e8, 1e11).uncertainty(jittered(laws))
    for wrong, options, said in (
        (laws, {}, "reads the mixture: give the report an optimum"),
        (best, {"uncertainty": other}, "uncertainty is that of another optimum"),
        (best, {"baselines": {"a": {"web": 0.5}}}, "baseline 'a' is no mixture"),
        (best, {"compare_laws": ["additve"]}, "unknown law 'additve'"),
        (best, {"where": "n_params < 5e8"}, "fitted on other rows"),
    ):
        with pytest.raises(JaxmixError, match=said):
            make_report(wrong, runs, **options)


def test_few_runs_are_a_note_and_no_error():
    laws, runs = study(mixtures=MIXTURES[:3])
    few = runs.where("n_params < 5e7")
    found = make_report(laws.optimize(1e9, 1e11), few)
    assert found.uncertainty is None and "3 runs are too few to resample" in found.notes[-1]
