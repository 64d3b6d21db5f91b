"""Settings that every test shares: devices, compiled programs, and the published run tables."""

import logging
import os
import pathlib
import time
from collections.abc import Callable, Iterator

# Compilation takes most of the tests' time. Programs are kept on disk for all workers, for the
# processes that tests start and for later runs, and the compiler's expensive passes are left out
# except in EXACT. JAX_DISABLE_MOST_OPTIMIZATIONS=0 compiles all as users do; `make test-all` sets
# it. JAX reads these variables when it is imported.
CACHE = pathlib.Path(os.environ.get("JAXMIX_CACHE") or "~/.cache/jaxmix").expanduser()
SETTINGS = {
    "JAX_COMPILATION_CACHE_DIR": str(CACHE / "compiled-tests"),
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)

import jax  # noqa: E402
import pytest  # noqa: E402

# Sharding is tested on eight virtual devices; the number is fixed once the first array exists.
jax.config.update("jax_num_cpu_devices", 8)

# Workers are told the width of a terminal that they do not have; tables have their own without.
os.environ.pop("COLUMNS", None)

KEPT_FOR = 30 * 24 * 3600  # seconds that a compiled program stays on disk
MAPPINGS = pathlib.Path("/proc/self/maps")
MOST_MAPPINGS = 30_000


def pytest_sessionstart(session: pytest.Session) -> None:
    """Removes old compiled programs, once for all workers."""
    folder = pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    if hasattr(session.config, "workerinput") or not folder.is_dir():
        return
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > KEPT_FOR:
            path.unlink(missing_ok=True)


# Folders whose tests compare losses bit by bit between processes: without its expensive passes
# the compiler does not always round alike.
EXACT = ("training", "studies")
NO_PASSES = "jax_disable_most_optimizations"
FEWER_PASSES = jax.config.values[NO_PASSES]


@pytest.fixture(autouse=True, scope="module")
def compiler(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compiles with all passes in EXACT, and drops programs of the other kind.

    They are dropped too once there are many: each maps memory of its own, and the compiler aborts
    at the system's limit of 65,530 mappings.
    """
    without = FEWER_PASSES and request.path.parent.name not in EXACT
    if without != jax.config.values[NO_PASSES]:
        jax.config.update(NO_PASSES, without)
        os.environ[NO_PASSES.upper()] = str(int(without))
        jax.clear_caches()
    yield
    if MAPPINGS.exists() and MAPPINGS.read_bytes().count(b"\n") > MOST_MAPPINGS:
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


@pytest.fixture
def compiled(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """The names of the programs that were compiled since the last call, read from disk or not."""

    def names() -> list[str]:
        lines = [r.getMessage().split() for r in caplog.records]
        caplog.clear()
        return [words[1] for words in lines if words[0] == "Compiling"]

    # The command line, which other tests run in this process, quiets JAX's logger.
    with jax.log_compiles(True), caplog.at_level(logging.WARNING, logger="jax"):
        jax.jit(lambda x: x + 1)(1.0)
        assert names() == ["jit(<lambda>)"]  # else the tests that use this could not fail
        yield names
