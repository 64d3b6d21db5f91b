"""What a report says: rows, findings, effects, figures and refusals."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxmix.fitting.files import save_laws
from jaxmix.laws import JOINT
from jaxmix.report import (
    domain_effects,
    make_report,
    plot_confidence,
    plot_effects,
    plot_residuals,
    read_provenance,
    read_rows,
)
from jaxmix.report.findings import find
from jaxmix.report.rows import Rows
from jaxmix.runs import RunTableError, write_runs

from .conftest import DOMAINS, TARGETS, jittered, study


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
    assert len(rows.used) == 42 and rows.held_out is not None and len(rows.held_out) == 21
    some = read_rows(files / "runs.csv", origin, "tokens > 5e10 or n_params < 0")
    assert len(some.table) == 42 + 7 and some.fitted.sum() == 42
    whole = read_rows(files / "runs.csv", {"where": None}, "tokens > 5e10")
    assert len(whole.used) == 63  # all were fitted, so all stay


def test_unreadable_rows_outside_the_fit_are_left_out(files):
    frame = pd.read_csv(files / "runs.csv")
    frame.loc[frame.index[-1], "tokens"] = -1.0
    frame.to_csv(files / "bad.csv", index=False)
    rows = read_rows(files / "bad.csv", read_provenance(files / "law.json"))
    assert rows.fitted.all() and len(rows.table) == 42
    assert "cannot be read" in rows.notes[0]
    with pytest.raises(RunTableError):
        read_rows(files / "bad.csv", {})


def test_findings_answer_three_questions(report):
    found = find(report)
    assert all(d in found.train_on for d in DOMAINS)
    assert "90% interval" in found.how_sure[0] and "uniform" in found.how_sure[1]
    assert report.held_out_scores.keys() == set(TARGETS)


def test_path_reaches_a_hundred_times_the_largest_size(report):
    assert report.path.n_params[-1] == pytest.approx(1e11)
    assert 1e9 in report.path.n_params
    np.testing.assert_allclose(report.path.tokens / report.path.n_params, 100, rtol=1e-9)


def test_effects_are_the_slopes_of_the_loss(made):
    laws, _ = made
    h, n, d = np.array([0.5, 0.3, 0.2]), 1e8, 1e10
    found = domain_effects(laws, n, d, h, ensemble=jittered(laws))
    for j in range(3):
        others = np.where(np.arange(3) == j, 0, h)
        way = np.eye(3)[j] - others / others.sum()
        for i, law in enumerate(laws):
            up, down = (law.predict(dict(n_params=n, tokens=d, weights=h + e * way)) for e in (1e-6, -1e-6))
            assert found.slope[i, j] == pytest.approx(float(up - down) / 2e-6, rel=1e-5)
    assert (found.low <= found.high).all()
    significant = (found.low > 0) | (found.high < 0)
    np.testing.assert_array_equal(found.significant, significant)
    assert significant.any()


def test_effects_without_refits_have_no_significance(made):
    found = domain_effects(made[0], 1e8, 1e10, np.full(3, 1 / 3))
    assert np.isnan(found.low).all() and not found.significant.any()


def test_effects_of_coefficients_too_small_for_float32():
    laws, _ = study(JOINT)
    tiny = [
        replace(f, params={**f.params, "C_A": 1e-60 * f.params["C_A"], "gamma_A": np.array(-0.01)})
        for f in laws
    ]
    found = domain_effects(tiny, 1e8, 1e10, np.full(3, 1 / 3))
    assert np.isfinite(found.slope).all()


def test_figures_are_files(report, tmp_path):
    plot_residuals(report, TARGETS[1], tmp_path / "residuals.png")
    plot_confidence(report.trust, tmp_path / "confidence.svg")
    plot_effects(report.effects, tmp_path / "effects.png")
    assert all(p.stat().st_size > 5000 for p in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(ValueError, match="unknown target 'x'"):
        plot_residuals(report, "x", tmp_path / "no.png")


def test_rows_that_were_not_fitted_give_no_intervals(made):
    laws, runs = made
    report = make_report(laws, Rows(runs, np.ones(len(runs), bool)), resamples=10)
    assert report.trust is None and "no intervals" in report.notes[0]
    assert "fitted on other rows" in report.notes[0]
    assert "No refits" in find(report).how_sure[0]


def test_baselines_must_be_mixtures(made):
    laws, runs = made
    rows = Rows(runs, np.ones(len(runs), bool))
    with pytest.raises(ValueError, match="baseline 'half' is no mixture"):
        make_report(laws, rows, baselines={"half": {"web": 0.5}}, resamples=0)
    with pytest.raises(ValueError, match="unknown domain 'wbe'"):
        make_report(laws, rows, baselines={"a": {"wbe": 1.0}}, resamples=0)
