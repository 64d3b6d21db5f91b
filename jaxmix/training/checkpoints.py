"""Checkpoints and final parameters, saved with orbax."""

import contextlib
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding

from jaxmix.errors import JaxmixError, clip
from jaxmix.files import read_json
from jaxmix.training.seals import SEAL, UNFINISHED, find_damage, remove_unfinished, seal, steps_in
from jaxmix.training.sharding import Layout
from jaxmix.training.types import Model, Params


class Checkpoints:
    """The checkpoints of one fleet, named by the number of steps done.

    They are saved while training continues. If the process is killed, the last complete ones stay.

    Args:
        folder: absolute path; created if it does not exist.
        keep: number of checkpoints to keep, from the newest.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        # What its threads log as errors is raised here too, by `save` or `close`.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        before = ocp.AsyncOptions(post_finalization_callback=self._seal)  # before it is renamed
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True, async_options=before)
        self._folder, self._saving = folder, 0
        self._manager = ocp.CheckpointManager(folder, options=options)

    def steps(self) -> list[int]:
        """Steps done at the complete checkpoints, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any) -> None:
        """Starts to save a state; waits until the previous one is saved.

        Raises:
            JaxmixError: the disk is full, or the folder cannot be written.
        """
        with self._refusing():
            self._manager.wait_until_finished()
            self._saving = step
            self._manager.save(step, args=ocp.args.StandardSave(state))

    def _seal(self) -> None:
        (unfinished,) = self._folder.glob(f"{self._saving}{UNFINISHED}*")
        seal(unfinished)

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Turns what the system refuses, and orbax reports in its own ways, into one line."""
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:
            code = re.search(r"os_error_code='(\d+)'", str(error))
            number = error.errno if isinstance(error, OSError) else code and int(code[1])
            if number is None and not isinstance(error, JaxmixError):
                raise
            if jax.process_index() == 0:
                remove_unfinished(self._folder)
            reason = os.strerror(number) if number else str(error)
            raise JaxmixError(
                f"{self._folder}: a checkpoint cannot be saved ({reason}); what was saved before "
                "is kept, and the same command goes on from there"
            ) from None

    def restore(self, step: int, like: Any) -> Any:
        """The state at `step`, with the shapes and shardings of `like`.

        Raises:
            JaxmixError: it was written by a run of another shape, or is damaged and has no seal.
        """
        where = self._folder / str(step)
        try:
            return self._manager.restore(step, args=ocp.args.StandardRestore(like))
        except OSError:
            raise
        except Exception as error:  # orbax raises a bare one for an array that it cannot read
            sealed = (where / SEAL).exists()  # and was compared, so that nothing of it is damaged
            if sealed and not isinstance(error, ValueError | KeyError):
                raise
            what = "does not fit this run" if sealed else "is damaged, or does not fit this run"
            raise JaxmixError(
                f"{where}: {what} ({clip(error, 100)}); delete the folder {where.parent} to start "
                "over"
            ) from error

    def delete(self, step: int) -> None:
        """Removes a checkpoint; all processes of a group must call it."""
        self._manager.delete(step)

    def close(self) -> None:
        """Waits until everything is on disk.

        Raises:
            JaxmixError: the disk is full, or the folder cannot be written.
        """
        with self._refusing():
            self._manager.wait_until_finished()
        self._manager.close()


def save_final(folder: Path, step: int, params: Params, layout: Layout) -> None:
    """Saves the parameters of all members, [M, ...], under ``folder/final``, and waits for it."""
    if layout.host[0] == 0:
        shutil.rmtree(folder / "final", ignore_errors=True)
    layout.wait("final")
    with closing(Checkpoints(folder / "final", keep=1)) as final:
        final.save(step, params)


def member_names(mark: Path, remedy: str) -> list[str]:
    """Names of the members of the fleet that a mark, ``fleet.json``, describes.

    Raises:
        JaxmixError: the mark is damaged; the message ends with the remedy.
    """
    found = read_json(mark, remedy, "members")["members"]
    held = found if isinstance(found, list) else []
    names = [one.get("run") for one in held if isinstance(one, dict)]
    if not names or not all(isinstance(name, str) for name in names):
        raise JaxmixError(f"{mark}: 'members' does not name runs; {remedy}")
    return [str(name) for name in names]


def load_final(folder: Path, model: Model, run: str | None = None) -> Params:
    """The final parameters of one run.

    Args:
        folder: the folder that `train` was given, with ``keep_final``.
        model: the run's model.
        run: name of the run; None if the fleet has one member.

    Raises:
        JaxmixError: there is no such run, nothing was kept, or the model does not fit.
    """
    folder = Path(folder).resolve()
    mark, final = folder / "fleet.json", folder / "final"
    if not mark.exists() or not steps_in(final):
        raise JaxmixError(f"{folder}: holds no final parameters; train it with --keep-final")
    again = f"delete {folder} and train it again"
    names = member_names(mark, again)
    run = names[0] if run is None and len(names) == 1 else run
    if run not in names:
        raise JaxmixError(f"{folder}: no run '{run}'; it holds {', '.join(names)}")
    damage = {step: find_damage(final / str(step)) for step in steps_in(final)}
    good = [step for step in damage if damage[step] is None]
    if not good:
        (step, what), *_ = damage.items()
        raise JaxmixError(f"{final / str(step)}: is damaged ({what}); {again}")
    with closing(Checkpoints(final, keep=1)) as saved:
        params = saved.restore(good[-1], _like(model, len(names)))
    return jax.tree.map(lambda x: np.asarray(x[names.index(run)]), params)


def _like(model: Model, members: int) -> Params:
    device = SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((members, *x.shape), x.dtype, sharding=device), shapes
    )


def params_hash(params: Params) -> str:
    """Short hash of parameters: their names, shapes and values."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:12]
