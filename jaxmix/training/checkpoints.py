"""Checkpoints and final parameters, saved with orbax."""

import hashlib
import json
import logging
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding

from jaxmix.errors import JaxmixError, clip
from jaxmix.training.types import Model, Params


class Checkpoints:
    """The checkpoints of one fleet, named by the number of steps done.

    They are saved while training continues. If the process is killed, the last complete one stays.

    Args:
        folder: absolute path; created if it does not exist.
        keep: number of checkpoints to keep, from the newest.
    """

    def __init__(self, folder: Path, keep: int = 1) -> None:
        logging.getLogger("absl").setLevel(logging.ERROR)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(folder, options=options)

    def latest(self) -> int | None:
        """Steps done at the newest complete checkpoint, None if there is none."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any) -> None:
        """Starts to save a state; waits until the previous one is saved."""
        self._manager.save(step, args=ocp.args.StandardSave(state))

    def restore(self, step: int, like: Any) -> Any:
        """The state at `step`, with the shapes and shardings of `like`.

        Raises:
            JaxmixError: it was written by a run of another shape.
        """
        try:
            return self._manager.restore(step, args=ocp.args.StandardRestore(like))
        except (ValueError, KeyError) as error:
            raise JaxmixError(
                f"{self._manager.directory}: does not fit this run ({clip(error, 100)}); "
                "delete the folder to start over"
            ) from error

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


def save_final(folder: Path, step: int, params: Params) -> None:
    """Saves the parameters of all members, [M, ...], under ``folder/final``, and waits for it."""
    with closing(Checkpoints(folder / "final")) as final:
        if final.latest() != step:
            final.save(step, params)


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
    mark, none = (
        folder / "fleet.json",
        f"{folder}: holds no final parameters; train with keep_final",
    )
    if not mark.exists() or not (folder / "final").is_dir():
        raise JaxmixError(none)
    names = [member["run"] for member in json.loads(mark.read_text(encoding="utf-8"))["members"]]
    run = names[0] if run is None and len(names) == 1 else run
    if run not in names:
        raise JaxmixError(f"{folder}: no run '{run}'; it holds {', '.join(names)}")
    with closing(Checkpoints(folder / "final")) as final:
        latest = final.latest()
        if latest is None:
            raise JaxmixError(none)
        params = final.restore(latest, _like(model, len(names)))
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
