"""Nested laws: what they recover, what they refuse or note, and files of them."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from jaxmix.fitting import FitError, Nested, fit_nested, load_laws, load_nested, save_nested, score
from jaxmix.fitting.nested.curves import make_curves
from jaxmix.fitting.nested.law import predict_nested
from jaxmix.fitting.nested.power import fit_power_laws, power_law
from jaxmix.fitting.nested.steps import fit_steps
from jaxmix.runs import read_runs

DOMAINS = ("web", "code", "books")
SIZES, TOKENS = (1e7, 3e7, 1e8), (1e9, 2e9, 4e9, 8e9)
ALPHA, BETA = 0.35, 0.28
TILT = {"a": np.array([-1.0, 0.4, 0.2]), "b": np.array([0.3, -1.5, 0.1])}


def truth(target, n, d, h):
    """A loss that every stage of the nested laws fits exactly."""
    bent = np.exp(h @ TILT[target])
    sizes, steps = (n / 3e7) ** -ALPHA, (d / 3e9) ** -BETA
    return 1.5 + 0.3 * bent + (0.2 + 0.3 * bent) * sizes + (0.1 + 0.4 * bent) * steps


def table(points, loss=truth):
    """A run table of rows (N, D, mixture)."""
    n, d = (np.array([p[i] for p in points]) for i in range(2))
    h = np.array([p[2] for p in points])
    columns = {f"w_{name}": h[:, i] for i, name in enumerate(DOMAINS)}
    names = [f"{size:.0e} {mixture[0]:.3f}" for size, _, mixture in points]
    losses = {f"loss_{t}": loss(t, n, d, h) for t in TILT}
    return read_runs(
        {"run": names, "n_params": n, "tokens": d, **columns, **losses}, source="<made>"
    )


def mixtures(count, seed):
    return [tuple(h) for h in np.random.default_rng(seed).dirichlet(np.ones(3), count)]


@pytest.fixture(scope="module")
def runs():
    return table(list(itertools.product(SIZES, TOKENS, mixtures(8, 0))))


@pytest.fixture(scope="module")
def laws(runs):
    return fit_nested(runs)


def check_predictions(laws, n, d):
    h = np.array(mixtures(5, 1))
    for law, found in zip(laws, predict_nested(laws, n, d, h), strict=True):
        np.testing.assert_allclose(found, truth(law.target, n, d, h), rtol=1e-6)


def test_noiseless_data_is_recovered_at_larger_longer_and_unseen_points(laws):
    check_predictions(laws, 1e9, 1e11)
    check_predictions(laws, SIZES[1], 3e10)
    for law in laws:
        np.testing.assert_allclose(law.steps.beta, BETA, rtol=1e-6)
        report = law.report
        assert max(report.step_mre, report.size_mre, report.mixture_mre, report.train_mre) < 1e-4
        assert report.rows == 96 and report.curves == 24 and report.gradient_norm < 1e-12
        # 24 step laws with an exponent per size, 8 size laws with one, and M4 of three domains
        assert report.n_parameters == (48 + 3) + (16 + 1) + 5


def test_at_a_budget_is_an_ordinary_law_of_the_mixture(laws):
    fitted = laws[0].at(1e9, 1e11)
    assert (fitted.law.name, fitted.target, fitted.domains) == ("ye-m4", "a", DOMAINS)
    h = np.array(mixtures(4, 2))
    np.testing.assert_array_equal(
        fitted.predict(1e9, 1e11, h), laws[0].predict(1e9, np.full(4, 1e11), h)
    )
    # The stages' limit: infinitely many parameters and tokens.
    at_limit = laws[0].predict(np.inf, np.inf, h)
    np.testing.assert_allclose(at_limit, 1.5 + 0.3 * np.exp(h @ TILT["a"]), rtol=1e-6)


def test_scores_join_mixtures_by_name(laws):
    points = list(itertools.product([3e8], [1e10], mixtures(6, 3)))
    held = table(points)
    turned = dataclasses.replace(held, frame=held.frame[sorted(held.frame.columns, reverse=True)])
    assert all(s.mre < 1e-4 and s.rows == 6 for s in score(laws, turned).values())


def test_files_load_back_to_bit_equal_predictions(laws, tmp_path):
    path = tmp_path / "law.json"
    save_nested(path, laws, {"runs": "r.csv"})
    back = load_nested(path)
    h = np.array(mixtures(5, 4))
    for n, d in ((1e9, 1e11), (SIZES[0], 5e9)):
        np.testing.assert_array_equal(predict_nested(back, n, d, h), predict_nested(laws, n, d, h))
    assert [repr(law.report) for law in back] == [repr(law.report) for law in laws]
    with pytest.raises(
        ValueError, match=r"law.json: holds nested laws.*score, predict or optimize"
    ):
        load_laws(path)
    document = json.loads(path.read_text())
    del document["targets"]["b"]["steps"]["beta"][0]
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"law.json: target 'b': 'steps' does not hold a value"):
        load_nested(path)


def test_a_curve_that_cannot_be_fitted_is_noted_and_the_others_are_as_without_it():
    (one, two, three), shape = mixtures(3, 5), itertools.product
    points = [*shape(SIZES[:1], TOKENS, [one]), *shape(SIZES[1:2], TOKENS[:2], [one])]
    points += [*shape(SIZES[2:], TOKENS[1:2], [one]), *shape(SIZES[:1], TOKENS, [two])]
    rising = list(shape(SIZES[:1], TOKENS, [three]))
    made = table(points + rising, lambda t, n, d, h: truth(t, n, d, h))
    frame = made.frame.copy()
    up = np.arange(len(frame)) >= len(points)
    frame.loc[up, "loss_a"] = 2 + 0.1 * np.log(frame.loc[up, "tokens"] / 1e9)
    frame.loc[frame["run"] == f"{SIZES[0]:.0e} {two[0]:.3f}", "loss_b"] = np.nan
    made = dataclasses.replace(made, frame=frame)
    first, second = fit_steps(make_curves(made, ("a", "b"), "equal"), "none", 1e-3, "loss")
    said = "\n".join(first.notes)
    assert "1 of 5 curves (the first is run 3e+07" in said and "too few checkpoints" in said
    assert "one number of tokens" in said and "rise with tokens" in said
    assert "without a loss" in "\n".join(second.notes) and second.rows == 9
    at = dict(zip(zip(first.steps.E, first.steps.B, strict=True), first.steps.beta, strict=True))
    assert len([b for b in at.values() if np.isclose(b, BETA, rtol=1e-6)]) == 2  # one and two
    level = truth("a", SIZES[2], TOKENS[1], np.array(one))
    found = first.steps.losses(np.array([TOKENS[1], TOKENS[2]]))[:, -1]
    assert found[0] == pytest.approx(level) and np.isnan(found[1])


def test_one_size_predicts_that_size_only_here_with_exponents_of_their_own():
    made = table(list(itertools.product(SIZES[:1], TOKENS, mixtures(8, 0))))
    (law,) = fit_nested(made, Nested("none", "none"), targets=["a"], whole_way=False)
    assert any("one size: no size law" in note for note in law.report.notes)
    assert np.isnan(law.report.size_mre)
    check_predictions([law], SIZES[0], 1e11)
    with pytest.raises(FitError, match=r"N = 1e\+09.*0 of 8 mixtures.*none of the fitted sizes"):
        law.at(1e9, 1e10)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="joint law looks at n_params, tokens, weights"):
        Nested(mixture_law="joint")
    with pytest.raises(ValueError, match="unknown share_steps 'sizes'"):
        Nested("sizes")  # type: ignore[arg-type]
    ends = table(list(itertools.product(SIZES, TOKENS[:2], mixtures(8, 0))))
    with pytest.raises(FitError, match="no size and mixture has enough checkpoints"):
        fit_nested(ends)


@pytest.mark.parametrize("residual", ["loss", "log"])
def test_step_laws_of_real_curves_are_as_good_as_scipys_best(public_runs, residual):
    optimize = pytest.importorskip("scipy.optimize")
    made = read_runs(public_runs / "redpajama_70M-410M.csv", where="flags == '' and n_params > 1e8")
    curves = make_curves(made, ("github", "pile_weighted_mean"), "equal")
    few = [3, 17, 30]
    x, y = curves.tokens[few], curves.losses[:, few]
    w = curves.weights[:, few] * len(curves.names)
    found = fit_power_laws(x, y, w, np.arange(3), delta=1e-3, residual=residual)

    def objective(z, t, c):
        e, b, exponent = np.exp(z)
        predicted = e + b * (x[c] / 2e10) ** -exponent
        r = y[t, c] - predicted if residual == "loss" else np.log(y[t, c] / predicted)
        small = np.minimum(np.abs(r), 1e-3)
        return np.sum(w[t, c] * small * (np.abs(r) - 0.5 * small))

    def ours(t, c):
        law = (found.floor[t, c], found.coefficient[t, c], found.exponent[t, c])
        at_unit = law[1] * 2e10 ** -law[2]
        assert np.allclose(power_law(law, x[c]), found.predicted[t, c])
        return np.log([max(law[0], 1e-9), at_unit, law[2]])

    for t, c in itertools.product(range(2), range(3)):
        z = ours(t, c)
        starts = [z, *(np.log([e, 0.3, b]) for e in (0.5, 1.5) for b in (0.1, 0.5, 1.5))]
        options = {"maxiter": 4000, "fatol": 1e-15, "xatol": 1e-9}
        best = min(
            optimize.minimize(objective, s, (t, c), method="Nelder-Mead", options=options).fun
            for s in starts
        )
        assert objective(z, t, c) <= best * (1 + 1e-6)
