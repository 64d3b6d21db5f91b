"""Where fits run, by the devices that are there, and what their programs hold."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix import fit
from jaxmix.examples import load_example
from jaxmix.fitting.objective import Objective
from jaxmix.fitting.precision import float64, place_notes, solver_devices
from jaxmix.fitting.problem import make_problem, random_starts
from jaxmix.fitting.solvers.gauss_newton import GaussNewton
from jaxmix.fitting.solvers.lanes import Jobs, run_lanes
from jaxmix.fitting.solvers.multistart import Pool, lane_shape
from jaxmix.fitting.solvers.newton import Newton
from jaxmix.laws import get_law


@pytest.fixture(scope="module")
def runs():
    return load_example("multimodal")


def accelerators(monkeypatch, platform, kind, count=2, cpu=True):
    """This process's devices are of another platform, and the CPU is there beside them or not."""
    there = {None: [SimpleNamespace(platform=platform, device_kind=kind)] * count}
    if cpu:
        there["cpu"] = jax.devices("cpu")

    def local(backend=None):
        if backend not in there:
            raise RuntimeError("unknown backend")
        return there[backend]

    monkeypatch.setattr(jax, "local_devices", local)


def test_fits_on_tpu_hosts_are_those_of_the_cpu_and_say_so(runs, monkeypatch):
    ask = {"targets": runs.targets[:1], "restarts": 8}
    here = fit(runs, "additive-fixed-nd", **ask)[0]
    accelerators(monkeypatch, "tpu", "TPU v5 lite")
    there = fit(runs, "additive-fixed-nd", **ask)[0]
    assert there.report.objective == here.report.objective
    assert [n for n in there.report.notes if n not in here.report.notes] == [
        "fitted in float64 on the CPU, because TPUs have no float64"
    ]


@pytest.mark.parametrize(
    ("platform", "precision", "says"),
    [
        ("gpu", "float64", "fitted in float64 on 2 X"),
        ("gpu", "float32", "in float32: the last digits"),
        ("tpu", "float32", "on 2 X products are coarser"),
        ("cpu", "float64", None),
    ],
)
def test_a_line_says_where(monkeypatch, platform, precision, says):
    accelerators(monkeypatch, platform, "X")
    with float64() if precision == "float64" else jax.enable_x64(False):
        notes = place_notes(precision)
        assert len(solver_devices()) == (1 if platform == "cpu" else 2)
    assert len(notes) == (says is not None) and (says or "") in "".join(notes)


def test_without_a_cpu_float64_is_emulated_and_that_is_said(monkeypatch):
    accelerators(monkeypatch, "tpu", "TPU v6", cpu=False)
    with float64():
        (note,) = place_notes("float64")
    assert "JAX_PLATFORMS" in note


def test_a_default_device_stands(monkeypatch):
    second = jax.devices()[-1]
    with jax.default_device(second), float64():
        assert solver_devices() == (second,)


@pytest.mark.parametrize("solver", [GaussNewton(), Newton()], ids=["search", "polish"])
@pytest.mark.parametrize(("platform", "wide"), [("cuda", True), ("tpu", False)])
def test_the_fitter_lowers(runs, solver, platform, wide):
    """10,000 restarts in one program, without callbacks; for TPUs in float32 throughout."""
    law = get_law("additive-fixed-nd")
    with jax.enable_x64(wide):
        objective = Objective(law, len(runs.domains))
        problem = make_problem(runs, law, runs.targets[:1], objective, "equal")
        first = jnp.asarray(0)
        z, keys = jax.eval_shape(
            lambda: random_starts(objective, problem.scales, jax.random.key(0), first, count=10_000)
        )
        whole = jax.ShapeDtypeStruct((10_000,), first.dtype)
        jobs = Jobs(z, whole, keys, whole)
        groups, width = lane_shape(10_000, "gpu")
        traced = run_lanes.trace(solver, objective, problem.rows, jobs, groups=groups, width=width)
        text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert "callback" not in text and ("f64" in text) == wide


def test_the_elite_is_distinct_and_in_order():
    value = np.array([3.0, 1.0, 1.00005, 2.0, np.inf, 1.0002, np.inf])[:, None]
    z = np.arange(7.0)[:, None, None]
    pool = Pool(z, value, np.zeros_like(value, bool))
    assert pool.elite(0, 4)[:, 0].tolist() == [1, 5, 3, 0]
    assert pool.elite(0, 8)[:, 0].tolist() == [1, 5, 3, 0, 4, 1, 5, 3]
