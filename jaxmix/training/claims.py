"""Which fleet a folder is of: the same call resumes, another one is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax

from jaxmix.errors import JaxmixError
from jaxmix.training.final import params_hash
from jaxmix.training.recording import write_json
from jaxmix.training.types import Fleet, Model, Params


def claim(folder: Path, fleet: Fleet, model: Model, start: Params | None, writes: bool) -> None:
    """Marks a folder as this fleet's; refuses one that holds another."""
    mark = folder / "fleet.json"
    parameters = _shapes(jax.eval_shape(model.init, jax.random.key(0)))
    if start is not None and _shapes(start) != parameters:
        raise JaxmixError(f"{folder}: the parameters to start from are of another model")
    made = {"start": None if start is None else params_hash(start), "parameters": parameters}
    ours = json.loads(json.dumps(dataclasses.asdict(fleet) | made))
    if not mark.exists():
        if writes:
            write_json(mark, ours)
        return
    theirs = {"start": None, **json.loads(mark.read_text(encoding="utf-8"))}
    for held in (ours, theirs):  # another machine may cut batches otherwise
        held["optimizer"].pop("accumulate", None)
    # As text, in which an unknown number (NaN) equals itself.
    changed = [n for n in ours if json.dumps(ours[n]) != json.dumps(theirs.get(n, ours[n]))]
    if changed:
        raise JaxmixError(
            f"{folder}: holds a run with other {', '.join(sorted(changed))}; name another folder "
            "or delete this one"
        )


def _shapes(params: Params) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path): tuple(leaf.shape) for path, leaf in leaves}
