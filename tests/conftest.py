"""Settings that every test shares: eight CPU devices, and where the published run tables lie."""

import os
import pathlib
from collections.abc import Iterator

import jax
import pytest

# Sharding is tested on eight virtual devices; the number is fixed once the first array exists.
jax.config.update("jax_num_cpu_devices", 8)

# Workers are told the width of a terminal that they do not have; tables have their own without.
os.environ.pop("COLUMNS", None)


@pytest.fixture(autouse=True, scope="module")
def forget_programs() -> Iterator[None]:
    """Drops compiled programs after every module.

    Each maps memory of its own, and thousands of them in one process meet the system's limit on
    mappings, where the compiler aborts.
    """
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def public_runs() -> pathlib.Path:
    """The folder of published run tables, or a skip that says how to name one."""
    folder = os.environ.get("JAXMIX_PUBLIC_RUNS")
    if not folder:
        pytest.skip("JAXMIX_PUBLIC_RUNS is unset: it names the folder of published run tables")
    path = pathlib.Path(folder)
    if not path.is_dir():
        pytest.fail(f"JAXMIX_PUBLIC_RUNS={folder} is not a folder")
    return path
