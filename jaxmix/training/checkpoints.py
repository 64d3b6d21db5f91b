"""Checkpoints by orbax: whole or not there, the newest kept. The only file that speaks orbax."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from jaxmix.errors import JaxmixError


class Checkpoints:
    """The checkpoints of one fleet, named by the steps done.

    Saving goes on beside training; a process killed at any moment leaves the last complete one.

    Args:
        folder: absolute; made where it is not there.
        keep: newest ones to keep.
    """

    def __init__(self, folder: Path, keep: int = 1) -> None:
        logging.getLogger("absl").setLevel(logging.ERROR)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(folder, options=options)

    def latest(self) -> int | None:
        """Steps done at the newest complete checkpoint."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any) -> None:
        """Begins to save; waits for the one before."""
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
                f"{self._manager.directory}: does not fit this run ({str(error)[:100]}); "
                "delete the folder to start anew"
            ) from error

    def close(self) -> None:
        """Waits until all is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()
