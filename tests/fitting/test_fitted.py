"""A fitted law: predictions in float64 at any shape, its own domain, and fits side by side."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting import DataRange, FitReport, FittedLaw, random_truth, stack
from jaxmix.laws import ADDITIVE, CHINCHILLA, GE, LAWS

DOMAINS = ("a", "b", "c")
DATA = DataRange((1e7, 1e9), (1e9, 1e11), np.eye(3))
REPORT = FitReport(1e-5, 1e-9, 20, 16, 4)
PARAMS = {
    **{"E": 1.2, "A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34},
    **{"C": [3.0, 1.0, 2.0], "gamma": [0.5, 0.6, 0.4]},
}
GE_PARAMS = {"E": 1.5, "B": 300.0, "beta": 0.3, "gamma": 0.05}
H = np.array([0.2, 0.3, 0.5])


def fitted(law=ADDITIVE, params=PARAMS, target="b", domains=DOMAINS):
    arrays = {n: np.asarray(params[n], float) for n in (p.name for p in law.parameters)}
    return FittedLaw(law, target, domains, arrays, DATA, REPORT)


def additive(n, d, h):
    p = {name: np.asarray(v) for name, v in PARAMS.items()}
    bias = p["E"] + 1 / np.sum(p["C"] * h ** p["gamma"], -1)
    return bias + p["A"] / n ** p["alpha"] + p["B"] / d ** p["beta"]


def test_predictions_are_in_float64_whatever_the_setting():
    law = fitted()
    found = law.predict(dict(n_params=3e8, tokens=2e10, weights=H))
    assert found.dtype == np.float64 and not jax.config.jax_enable_x64
    np.testing.assert_allclose(found, additive(3e8, 2e10, H), rtol=1e-13)
    assert isinstance(found, np.ndarray) and isinstance(
        law.loss(dict(n_params=3e8, tokens=2e10, weights=H)), jax.Array
    )
    assert law.loss(dict(n_params=3e8, tokens=2e10, weights=H)).dtype == jnp.float32
    np.testing.assert_allclose(
        law.loss(dict(n_params=3e8, tokens=2e10, weights=H)), found, rtol=1e-6
    )


def test_limits_are_predicted():
    law, bias = fitted(), additive(np.inf, np.inf, H)
    assert law.predict(dict(n_params=np.inf, tokens=np.inf, weights=H)) == pytest.approx(
        bias, rel=1e-14
    )
    found = law.predict(dict(n_params=[1e8, np.inf], tokens=[np.inf, 1e10], weights=H))
    expected = [additive(1e8, np.inf, H), additive(np.inf, 1e10, H)]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("name", LAWS)
def test_shapes_broadcast_alike_whatever_the_law_depends_on(name):
    law = LAWS[name]
    rng = np.random.default_rng(0)
    working = rng.normal(0.0, 0.3, law.count(3))
    with jax.enable_x64(True):
        params = law.from_working(working, 3)
    law = fitted(law, params)
    h = rng.dirichlet(np.ones(3), 4)
    n, d = np.geomspace(1, 50, 5)[:, None], np.geomspace(1, 9, 4)
    found = law.predict(dict(n_params=n, tokens=d, weights=h))
    assert found.shape == (5, 4)
    for i, j in ((0, 0), (4, 1), (2, 3)):
        np.testing.assert_allclose(
            found[i, j], law.predict(dict(n_params=n[i, 0], tokens=d[j], weights=h[j])), rtol=1e-13
        )
    assert law.predict(dict(n_params=2.0, tokens=3.0, weights=h)).shape == (4,)
    assert law.predict(dict(n_params=n[:, 0], tokens=3.0, weights=h[0])).shape == (5,)
    assert law.predict(dict(n_params=2.0, tokens=d, weights=h[0])).shape == (4,)
    assert law.predict(dict(n_params=2.0, tokens=3.0, weights=h[0])).shape == ()


def test_it_can_be_differentiated():
    law = fitted()
    with jax.enable_x64(True):
        slope = jax.jit(jax.grad(lambda h: law.loss(dict(n_params=3e8, tokens=2e10, weights=h))))(
            jnp.asarray(H)
        )
    steps = 1e-6 * np.eye(3)
    central = [(additive(3e8, 2e10, H + s) - additive(3e8, 2e10, H - s)) / 2e-6 for s in steps]
    np.testing.assert_allclose(slope, central, rtol=1e-7)


def test_a_law_of_its_own_weight_looks_at_its_target():
    law = fitted(GE, GE_PARAMS, "c")
    assert law.own_domain == 2 and fitted().own_domain is None
    expected = (300.0 / 2e10**0.3 + 1.5) / 0.5**0.05
    assert law.predict(dict(n_params=1e8, tokens=2e10, weights=H)) == pytest.approx(
        expected, rel=1e-13
    )
    assert np.isposinf(law.predict(dict(n_params=1e8, tokens=2e10, weights=[0.5, 0.5, 0.0])))


def test_reports_are_replaced_and_not_changed():
    law = fitted()
    other = law.with_report(train_mre=0.5, notes=("a note",))
    assert other.report.train_mre == 0.5 and np.isnan(law.report.train_mre)
    assert (other.law, other.params) == (law.law, law.params)


def test_fits_side_by_side():
    (first, second) = random_truth(ADDITIVE, 3, 0, count=2)
    laws = [fitted(ADDITIVE, first, "a"), fitted(ADDITIVE, second, "b"), fitted()]
    n, d, h = np.full(6, 1e8), np.geomspace(1e9, 1e11, 6), np.random.default_rng(0)
    h = h.dirichlet(np.ones(3), 6)
    with jax.enable_x64(True):
        stacked = stack(laws)
        found = jax.jit(lambda s: s.losses(dict(n_params=n, tokens=d, weights=h)))(
            stacked
        )  # a pytree: it passes through jit
    assert found.shape == (3, 6) and stacked.params["C"].shape == (3, 3)
    for row, law in zip(found, laws, strict=True):
        np.testing.assert_allclose(
            row, law.predict(dict(n_params=n, tokens=d, weights=h)), rtol=1e-13
        )


def test_own_weights_side_by_side():
    laws = [fitted(GE, GE_PARAMS, target) for target in ("c", "a")]
    with jax.enable_x64(True):
        found = stack(laws).losses(dict(n_params=1e8, tokens=2e10, weights=H))
    expected = [law.predict(dict(n_params=1e8, tokens=2e10, weights=H)) for law in laws]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize(
    "other", [fitted(CHINCHILLA, PARAMS), fitted(domains=("a", "c", "b"))], ids=["law", "domains"]
)
def test_fits_that_do_not_belong_together(other):
    with pytest.raises(ValueError, match="one law over the same domains"):
        stack([fitted(), other])
