"""What all experiments share: their command line, and the record of how results were made."""

import argparse
import contextlib
import csv
import io
import os
import pathlib
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("JAXMIX_CACHE") or pathlib.Path.home() / ".cache/jaxmix")
PUBLISHED = "JAXMIX_PUBLIC_RUNS"
MODES = ("smoke", "laptop", "gpu")


@dataclass(frozen=True)
class Setting:
    """Where and how an experiment runs.

    Attributes:
        mode: "smoke" tries everything in seconds on tiny data, "laptop" is the experiment, "gpu"
            the larger one where an experiment has it.
        out: folder of the results: the experiment's ``results``, or a scratch one in smoke mode,
            so that a trial overwrites no result.
        work: folder of runs and checkpoints, kept so that a stopped experiment resumes.
        parts: of the experiment that are run: all of them, or those that --only names.
        given: the other options.
    """

    mode: str
    out: pathlib.Path
    work: pathlib.Path
    parts: tuple[str, ...]
    given: argparse.Namespace

    @property
    def smoke(self) -> bool:
        """Whether this is a trial."""
        return self.mode == "smoke"


def main(
    script: str,
    description: str,
    run: Callable[[Setting], None],
    *,
    gpu: bool = False,
    parts: Sequence[str] = (),
    options: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
) -> None:
    """Runs an experiment from the command line.

    Args:
        script: the experiment's file, usually ``run.py``.
        description: its docstring.
        run: does the work and writes into ``setting.out``.
        gpu: whether it has a mode for accelerators.
        parts: names that --only chooses among.
        options: adds options of its own.
    """
    here = pathlib.Path(script).resolve().parent
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=pathlib.Path, default=CACHE / "studies" / here.name)
    parser.add_argument("--smoke", action="store_true", help="seconds, on tiny data")
    if gpu:
        parser.add_argument("--gpu", action="store_true", help="larger, for an accelerator")
    if parts:
        parser.add_argument("--only", metavar="A,B", help=f"of {','.join(parts)}")
    options(parser)
    given = parser.parse_args()
    chosen = tuple(given.only.split(",")) if parts and given.only else tuple(parts)
    for name in chosen:
        if name not in parts:
            parser.error(f"--only {name}: there are {', '.join(parts)}")
    mode = "smoke" if given.smoke else "gpu" if gpu and given.gpu else "laptop"
    work = given.work if mode == "laptop" else given.work / mode
    out = {"smoke": work, "laptop": here, "gpu": here / "gpu"}[mode] / "results"
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with compiled_quickly(mode == "smoke"):
        run(Setting(mode, out, work, chosen, given))
    name = pathlib.Path(script).stem
    write_record(out / f"{name}.json", f"{here.name}.{name}", mode, time.monotonic() - began)


@contextlib.contextmanager
def compiled_quickly(quickly: bool) -> Iterator[None]:
    """Trials spend their time compiling: half of it goes where programs need not be fast."""
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", quickly or before)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def write_record(path: pathlib.Path, name: str, mode: str, seconds: float) -> None:
    """Notes the command that made the results beside it, the machine, and how long it took."""
    import jax

    from jaxmix.training import write_json

    arguments = " ".join(sys.argv[1:])
    record = {
        "command": f"python -m experiments.{name} {arguments}".strip(),
        "mode": mode,
        "machine": machine(),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(time.process_time(), 1),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }
    write_json(path, record)


def machine() -> str:
    """Cores and processor, or the accelerators, in words."""
    import jax

    device = jax.devices()[0]
    if device.platform != "cpu":
        return f"{jax.device_count()} x {device.device_kind}"
    model = platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return f"{os.cpu_count()} cores, {model}"


def published(name: str) -> pathlib.Path:
    """A published run table in the folder that JAXMIX_PUBLIC_RUNS names.

    Raises:
        SystemExit: the variable is unset, or there is no such file.
    """
    folder = os.environ.get(PUBLISHED)
    if not folder:
        raise SystemExit(f"{PUBLISHED} is not set; give it the folder that holds {name}")
    path = pathlib.Path(folder) / name
    if not path.is_file():
        raise SystemExit(f"{path}: no such file; {PUBLISHED} must name the folder that holds it")
    return path


def write_csv(path: pathlib.Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows whole or not at all; floats to six significant digits."""
    from jaxmix.runs import write_text

    rows, text = list(rows), io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows({n: _short(v) for n, v in row.items()} for row in rows)
    write_text(path, text.getvalue())


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
