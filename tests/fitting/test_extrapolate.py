"""Extrapolated tables: known step and size laws are recovered, gaps are noted or refused."""

import itertools

import numpy as np
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.fitting import FitError, fit
from jaxmix.fitting.extrapolate import extrapolate
from jaxmix.fitting.power_laws import fit_power_laws
from jaxmix.runs import read_runs

DOMAINS = ("web", "code", "books")
SIZES, TOKENS = (1e7, 3e7, 1e8), (1e9, 2e9, 4e9, 8e9)
ALPHA, BETA = 0.35, 0.28
TILT = {"a": np.array([-1.0, 0.4, 0.2]), "b": np.array([0.3, -1.5, 0.1])}


def truth(target, n, d, h, beta=BETA):
    """A loss that step laws, size laws and Ye's M4 fit exactly."""
    bent = np.exp(h @ TILT[target])
    sizes, steps = (n / 3e7) ** -ALPHA, (d / 3e9) ** -beta
    return 1.5 + 0.3 * bent + (0.2 + 0.3 * bent) * sizes + (0.1 + 0.4 * bent) * steps


def columns(points, loss=truth):
    """The columns of rows (N, D, mixture)."""
    n, d = (np.array([p[i] for p in points]) for i in range(2))
    h = np.array([p[2] for p in points])
    weights = {f"w_{name}": h[:, i] for i, name in enumerate(DOMAINS)}
    names = [f"{size:.0e} {mixture[0]:.3f}" for size, _, mixture in points]
    losses = {f"loss_{t}": loss(t, n, d, h) for t in TILT}
    return {"run": names, "n_params": n, "tokens": d, **weights, **losses}


def table(points, loss=truth, **more):
    return read_runs(columns(points, loss) | more, source="<made>")


def mixtures(count, seed):
    return [tuple(h) for h in np.random.default_rng(seed).dirichlet(np.ones(3), count)]


@pytest.fixture(scope="module")
def runs():
    points = list(itertools.product(SIZES, TOKENS, mixtures(8, 0)))
    more = {"tokenizer": ["t"] * len(points), "schedule": ["cosine"] * len(points)}
    return table(points, **more)


def check(found, loss=truth):
    at = found.n_params, found.tokens, found.weights
    wanted = [loss(t, *at) for t in found.targets]
    np.testing.assert_allclose(found.losses(), wanted, rtol=1e-6)


def test_noiseless_losses_are_recovered_at_new_sizes_and_tokens(runs):
    found = extrapolate(runs, 1e9, 1e11)
    check(found)
    assert len(found) == 8 and found.domains == DOMAINS and found.targets == ("a", "b")
    assert set(found.n_params) == {1e9} and set(found.tokens) == {1e11}
    assert set(found.frame["tokenizer"]) == {"t"} and set(found.frame["schedule"]) == {"cosine"}
    assert len(set(found.frame["run"])) == 8
    several = extrapolate(runs, [1e9, SIZES[1], SIZES[1]], [1e11, 3e10, 2e9], targets=["b"])
    check(several)
    assert len(several) == 24 and several.targets == ("b",)


def test_a_law_of_the_mixture_is_fitted_to_the_table_in_the_ordinary_way(runs):
    laws = fit(extrapolate(runs, 1e9, 1e11), "ye-m4", restarts=16)
    h = np.array(mixtures(5, 1))
    for law in laws:
        wanted = truth(law.target, 1e9, 1e11, h)
        x = {"n_params": 1e9, "tokens": 1e11, "weights": h}
        np.testing.assert_allclose(law.predict(x), wanted, rtol=1e-6)


def test_exponents_are_shared_as_asked():
    slow = {SIZES[0]: 0.2, SIZES[1]: 0.3, SIZES[2]: 0.5}

    def by_size(target, n, d, h):
        return truth(target, n, d, h, np.array([slow[float(size)] for size in n]))

    # Two checkpoints of most mixtures, more of one: only shared exponents reach the others.
    (one, *others) = mixtures(8, 0)
    few = [*itertools.product(SIZES, TOKENS[:2], others), *itertools.product(SIZES, TOKENS, [one])]
    found = extrapolate(table(few, by_size), SIZES[2], 1e11)
    check(found, by_size)
    assert len(found) == 8
    alone = extrapolate(table(few), SIZES[2], 1e11, share_steps="none")
    assert len(alone) == 1
    assert "7 of 8 mixtures are left out" in " ".join(alone.notes)
    assert "21 of 24 curves" in " ".join(alone.notes)
    check(extrapolate(table(few), 1e9, 1e11, share_steps="all"))
    two = [p for p in few if p[0] < SIZES[2] or p[2] == one]  # two sizes of most mixtures
    check(extrapolate(table(two), 1e9, 1e11))
    assert len(extrapolate(table(two), 1e9, 1e11, share_sizes="none")) == 1


def test_missing_losses_and_odd_curves_are_left_out_and_noted():
    (one, two, three), shape = mixtures(3, 5), itertools.product
    points = [*shape(SIZES[:1], TOKENS, [one]), *shape(SIZES[1:2], TOKENS[:2], [one])]
    points += [*shape(SIZES[2:], TOKENS[1:2], [one]), *shape(SIZES[:1], TOKENS, [two, three])]
    made = columns(points)
    rising = np.array([p[2] == three for p in points])
    made["loss_a"][rising] = 2 + 0.1 * np.log(made["tokens"][rising] / 1e9)
    made["loss_b"][np.array([p[2] == two for p in points])] = np.nan
    made = read_runs(made)
    found = extrapolate(made, SIZES[0], TOKENS[2], share_steps="none")
    assert len(found) == 3 and np.isnan(found.losses(["b"])).sum() == 1
    said = " ".join(found.notes)
    for note in ("without a loss", "too few checkpoints", "one number of tokens", "rise with"):
        assert note in said
    assert "1 of 5 curves of target b" in said and "1 of 5 curves of target a" in said
    level = truth("a", SIZES[2], TOKENS[1], np.array(one))
    (row,) = extrapolate(made, SIZES[2], TOKENS[1], share_steps="none").losses(["a"])[0]
    assert row == pytest.approx(level)
    with pytest.raises(FitError, match=r"no loss at N = 1e\+08, D = 4e\+09"):
        extrapolate(made, SIZES[2], TOKENS[2], share_steps="none")


def test_what_the_rows_do_not_determine_is_refused(runs):
    one_size = runs.where("n_params < 2e7")
    check(extrapolate(one_size, SIZES[0], 1e11))
    with pytest.raises(FitError, match=r"no loss at N = 1e\+09.*\(there are 1e\+07\)"):
        extrapolate(one_size, 1e9, 1e10)
    with pytest.raises(JaxmixError, match="unknown 'sizes': choose one of none, size, all"):
        extrapolate(runs, 1e9, 1e10, share_steps="sizes")  # type: ignore[arg-type]
    for budget in ((np.inf, 1e10), (1e9, 0.0)):
        with pytest.raises(JaxmixError, match="must be positive and finite"):
            extrapolate(runs, *budget)
    with pytest.raises(FitError, match="needs columns w_<domain>"):
        extrapolate(read_runs({"n_params": [1e6], "tokens": [1e8], "loss_a": [3.0]}), 1e6, 1e8)


def test_weights_by_standard_error_count(runs):
    frame = runs.frame.copy()
    frame["sem_a"] = 0.001
    off = frame["tokens"] == TOKENS[-1]
    frame.loc[off, "loss_a"] += 0.05
    frame.loc[off, "sem_a"] = 1e3
    by_sem = extrapolate(read_runs(frame), SIZES[1], 2e10, targets=["a"], weighting="sem")
    check(by_sem)
    equal = extrapolate(read_runs(frame), SIZES[1], 2e10, targets=["a"])
    assert np.abs(equal.losses() / by_sem.losses() - 1).max() > 0.01


@pytest.mark.parametrize("residual", ["loss", "log"])
def test_fits_of_noisy_curves_are_as_good_as_scipys_best(residual):
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(3)
    x = np.tile(np.geomspace(1e9, 2e10, 8), (3, 1))
    y = 1.8 + np.array([0.5, 2.0])[:, None, None] * (x / 1e9) ** -0.4
    y = y * np.exp(0.003 * rng.standard_t(3, y.shape))
    w = np.full(y.shape, 1 / y.shape[-1])
    found = fit_power_laws(x, y, w, np.arange(3), delta=1e-3, residual=residual)

    def objective(z, t, c):
        e, b, exponent = np.exp(z)
        predicted = e + b * (x[c] / 2e10) ** -exponent
        r = y[t, c] - predicted if residual == "loss" else np.log(y[t, c] / predicted)
        small = np.minimum(np.abs(r), 1e-3)
        return np.sum(w[t, c] * small * (np.abs(r) - 0.5 * small))

    for t, c in itertools.product(range(2), range(3)):
        exponent = found.exponent[t, c]
        at_unit = found.coefficient[t, c] * 2e10**-exponent
        z = np.log([max(found.floor[t, c], 1e-9), at_unit, exponent])
        starts = [z, *(np.log([e, 0.3, b]) for e in (0.5, 1.5) for b in (0.1, 0.5, 1.5))]
        options = {"maxiter": 4000, "fatol": 1e-15, "xatol": 1e-9}
        best = min(
            optimize.minimize(objective, s, (t, c), method="Nelder-Mead", options=options).fun
            for s in starts
        )
        assert objective(z, t, c) <= best * (1 + 1e-6)
