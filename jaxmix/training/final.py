"""The parameters that a finished fleet leaves, where it is asked to keep them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from jaxmix.errors import JaxmixError
from jaxmix.training.checkpoints import Checkpoints
from jaxmix.training.types import Model, Params


def save_final(folder: Path, step: int, params: Params) -> None:
    """Saves the parameters of all members, [M, ...], under ``folder/final``, and waits for it."""
    final = Checkpoints(folder / "final")
    try:
        if final.latest() != step:
            final.save(step, params)
    finally:
        final.close()


def load_final(folder: Path, model: Model, run: str | None = None) -> Params:
    """The final parameters of one run.

    Args:
        folder: that `train` was given, with ``keep_final``.
        model: of the run.
        run: its name; None where the fleet has one member.

    Raises:
        JaxmixError: there is no such run, nothing was kept, or the model is another.
    """
    folder = Path(folder).resolve()
    mark = folder / "fleet.json"
    if not mark.exists() or not (folder / "final").is_dir():
        raise JaxmixError(f"{folder}: holds no final parameters; train with keep_final")
    names = [member["run"] for member in json.loads(mark.read_text(encoding="utf-8"))["members"]]
    if run is None and len(names) == 1:
        run = names[0]
    if run not in names:
        raise JaxmixError(f"{folder}: no run '{run}'; it holds {', '.join(names)}")
    final = Checkpoints(folder / "final")
    try:
        latest = final.latest()
        if latest is None:
            raise JaxmixError(f"{folder}: holds no final parameters; train with keep_final")
        params = final.restore(latest, _like(model, len(names)))
    finally:
        final.close()
    return jax.tree.map(lambda x: np.asarray(x[names.index(run)]), params)


def params_hash(params: Params) -> str:
    """Short hash of parameters: their names, shapes and values."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:12]


def _like(model: Model, members: int) -> Params:
    place = SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((members, *x.shape), x.dtype, sharding=place), shapes
    )
