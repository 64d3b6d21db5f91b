"""Metrics of runs for TensorBoard and Weights & Biases, beside the rows of the run table."""

import contextlib
import importlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxmix import __version__
from jaxmix.errors import JaxmixError, clip
from jaxmix.files import read_json
from jaxmix.training.folder import write_json
from jaxmix.training.progress import Progress, Snapshot, all_of
from jaxmix.training.saving import Stopped
from jaxmix.training.types import Member

Row = Mapping[str, Any]
_EVERY = 5.0  # seconds between two points of a curve of Weights & Biases
_MEASURES = ("loss_", "bpb_", "metric_")  # columns of rows that TensorBoard draws


@dataclass(frozen=True)
class Logs:
    """Where metrics of runs go besides their rows; nowhere by default.

    Attributes:
        tensorboard: the log folder of TensorBoard. Event files are in a subfolder for every run.
        wandb: a project of Weights & Biases, or ENTITY/PROJECT. Every run of a fleet is one there:
            its configuration has the columns of the run table that stay the same, its history the
            others, and `jaxmix import wandb` makes the run table of both. WANDB_MODE=offline
            writes files only.
        folder: where Weights & Biases keeps its files, in `wandb`, unless WANDB_DIR says it; None
            for the fleet's folder.
    """

    tensorboard: str | None = None
    wandb: str | None = None
    folder: str | None = None

    def check(self) -> None:
        """Refuses logs whose package is missing.

        Raises:
            JaxmixError: it is not installed.
        """
        _ = self.tensorboard and _package("tensorboardX", "--tensorboard", "tensorboardx")
        _ = self.wandb and _package("wandb", "--wandb", "wandb")

    @contextlib.contextmanager
    def opened(self, members: Sequence[Member], folder: Path) -> Iterator["Log"]:
        """Opens the logs of a fleet and closes them again, however its training ends.

        Args:
            members: the runs of the fleet.
            folder: folder of the fleet.

        Raises:
            JaxmixError: a package is missing, or Weights & Biases refuses.
        """
        self.check()
        parts: list[Log] = []
        with contextlib.ExitStack() as stack:
            if self.tensorboard:
                names = [member.run for member in members]
                parts.append(stack.enter_context(_event_files(Path(self.tensorboard), names)))
            if self.wandb:
                parts.append(stack.enter_context(_wandb_runs(self, members, folder)))

            def recorded(rows: Sequence[Row]) -> None:
                for part in parts:
                    part.recorded(rows)

            yield Log(all_of(*(part.progress for part in parts)), recorded)


@dataclass(frozen=True)
class Log:
    """An open log: `progress` takes snapshots, `recorded` the rows of a recorded step."""

    progress: Progress
    recorded: Callable[[Sequence[Row]], None]


NO_LOGS = Logs()


def _package(name: str, option: str, wheel: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise JaxmixError(f"{option} needs the package {name}: pip install {wheel}") from None


@contextlib.contextmanager
def _event_files(folder: Path, runs: Sequence[str]) -> Iterator[Log]:
    """Event files of TensorBoard, one subfolder for every run."""
    package = _package("tensorboardX", "--tensorboard", "tensorboardx")
    writers = {run: package.SummaryWriter(str(folder / run)) for run in runs}

    def progress(snapshot: Snapshot) -> None:
        for i, writer in enumerate(writers.values()):
            for name, value in _live(snapshot, i, len(writers)).items():
                writer.add_scalar(name, value, snapshot.step)
            writer.flush()

    def recorded(rows: Sequence[Row]) -> None:
        for row in rows:
            for name in (name for name in row if name.startswith(_MEASURES)):
                writers[row["run"]].add_scalar(name, float(row[name]), row["step"])

    try:
        yield Log(progress, recorded)
    finally:
        for writer in writers.values():
            writer.close()


def _live(snapshot: Snapshot, member: int, members: int) -> dict[str, float]:
    """The metrics of one run in a snapshot; its share of the fleet's rate."""
    return {
        "train/loss": float(snapshot.losses[member]),
        "train/gradient_norm": float(snapshot.gradient_norms[member]),
        "train/tokens_per_second": snapshot.tokens_per_second / members,
    }


@contextlib.contextmanager
def _wandb_runs(logs: Logs, members: Sequence[Member], folder: Path) -> Iterator[Log]:
    """Runs of Weights & Biases, which go on where an interrupted fleet left them."""
    package = _package("wandb", "--wandb", "wandb")
    entity, _, project = str(logs.wandb).rpartition("/")
    ids = _ids(folder / "wandb.json", [member.run for member in members])
    where = os.environ.get("WANDB_DIR") or logs.folder or str(folder)
    configs = {member.run: _config(member) for member in members}
    runs: dict[str, Any] = {}
    ended = 1
    try:
        for run, config in configs.items():
            runs[run] = package.init(
                entity=entity or None,
                project=project,
                name=run,
                id=ids[run],
                group=Path(logs.folder or folder).resolve().name,
                dir=where,
                config=config,
                resume="allow",
                reinit="create_new",  # the runs of a fleet are open side by side
                settings=package.Settings(console="off", silent=True),
            )

        shown = -_EVERY

        def progress(snapshot: Snapshot) -> None:
            nonlocal shown
            if snapshot.step < snapshot.steps and time.monotonic() - shown < _EVERY:
                return
            shown = time.monotonic()
            for i, run in enumerate(runs.values()):
                run.log(_live(snapshot, i, len(runs)), step=snapshot.step)

        def recorded(rows: Sequence[Row]) -> None:
            for row in rows:
                config = configs[row["run"]]
                new = {k: v for k, v in row.items() if k != "run" and config.get(k) != v}
                runs[row["run"]].log(new, step=row["step"])

        yield Log(progress, recorded)
        ended = 0
    except Stopped:
        for run in runs.values():
            run.mark_preempting()
        raise
    except (package.errors.Error, package.errors.UsageError) as error:
        raise JaxmixError(
            f"--wandb {logs.wandb}: wandb refuses ({clip(error, 120)}); run wandb login, or set "
            "WANDB_MODE=offline"
        ) from None
    finally:
        for run in runs.values():
            run.finish(exit_code=ended)


def _config(member: Member) -> dict[str, Any]:
    """The columns of a run's rows that stay the same, and what marks it as jaxmix's."""
    held = {**member.columns, "seed": member.seed, "learning_rate": member.learning_rate}
    return {**held, "jaxmix": __version__}


def _ids(file: Path, runs: Sequence[str]) -> dict[str, str]:
    """The ids of a folder's runs, so that the same folder goes on with the same ones."""
    found = read_json(file, "delete it, and new runs are begun") if file.exists() else {}
    ids = {run: str(found.get(run) or secrets.token_hex(4)) for run in runs}
    if ids != found:
        write_json(file, ids)
    return ids
