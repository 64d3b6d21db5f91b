"""Metrics for TensorBoard, written by the optional package tensorboardX."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import jax

from jaxmix.errors import JaxmixError
from jaxmix.training.moments import Moment, Progress


def tensorboard(folder: Path | str, runs: Sequence[str]) -> Progress:
    """Returns a progress callback that writes event files, one folder below `folder` per run.

    Scalars are ``loss``, ``gradient_norm`` and ``tokens_per_second`` (the run's share) by step. Of
    a group of processes only the first one writes.

    Args:
        folder: to point TensorBoard at.
        runs: names of the members, in the fleet's order.

    Raises:
        JaxmixError: tensorboardX is not installed.
    """
    try:
        package = importlib.import_module("tensorboardX")
    except ImportError:
        raise JaxmixError(
            "event files need the package tensorboardX: pip install tensorboardx"
        ) from None
    if jax.process_index():
        return lambda moment: None
    writers = [package.SummaryWriter(str(Path(folder) / run)) for run in runs]

    def tell(moment: Moment) -> None:
        share = moment.tokens_per_second / len(writers)
        for i, writer in enumerate(writers):
            writer.add_scalar("loss", float(moment.losses[i]), moment.step)
            writer.add_scalar("gradient_norm", float(moment.gradient_norms[i]), moment.step)
            writer.add_scalar("tokens_per_second", share, moment.step)
            # A writer that is told to close opens a new file if it is called once more.
            writer.close() if moment.step == moment.steps else writer.flush()

    return tell
