"""Processes that train with PyTorch, spoken to line by line; what they say is torch_peer.py's."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from bench_fit import say

CORES = 2
INSTALL = (
    "no torch, so no peer: python -m venv DIR && DIR/bin/pip install torch numpy, then pass "
    "--torch-python DIR/bin/python"
)


class Peer:
    """A process that trains with PyTorch."""

    def __init__(self, python: str, threads: int) -> None:
        script = str(pathlib.Path(__file__).with_name("torch_peer.py"))
        self._process = subprocess.Popen(
            [python, script, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Products go to as many threads as torch is told, whatever jax's libraries were.
            env={k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"},
        )

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def send(self, **message: Any) -> None:
        """Asks without waiting for the reply."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def reply(self) -> Any:
        """The next reply."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the torch process ended; its error stands above")
        return json.loads(line)


def ask(peers: Sequence[Peer], **message: Any) -> list[Any]:
    """Asks all at once and waits for all."""
    for peer in peers:
        peer.send(**message)
    return [peer.reply() for peer in peers]


@contextmanager
def peers(python: str | None) -> Iterator[dict[str, list[Peer]]]:
    """PyTorch as one process with all cores, and as a process for each core."""
    with ExitStack() as stack:
        if python is None:
            say(INSTALL)
            yield {}
        else:
            start = lambda threads: stack.enter_context(Peer(python, threads))  # noqa: E731
            several = [start(1) for _ in range(CORES)]
            yield {"torch single": [start(CORES)], "torch one a core": several}


def agreement(ours: Mapping[str, Any], theirs: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Largest differences from torch's losses and norms, either form of attention.

    Raises:
        RuntimeError: the first loss differs by more than 1e-4, or a later one by more than 1e-3:
            it is another model.
    """

    def off(what: str, steps: int | None) -> float:
        pairs = [(ours[what][:steps], form[what][:steps]) for form in theirs.values()]
        return max(float(np.abs(np.subtract(*pair)).max()) for pair in pairs)

    found = {
        "first_loss": off("losses", 1),
        "first_norm": off("norms", 1),
        "losses": off("losses", None),
    }
    # Not `>`: a loss that is no number agrees with nothing.
    if not (found["first_loss"] <= 1e-4 and found["losses"] <= 1e-3):
        raise RuntimeError(f"torch trains another model: {found}")
    return found


def torch_python(given: str | None) -> str | None:
    """The interpreter that has torch: the given one, or this one where it has."""
    return given or (sys.executable if importlib.util.find_spec("torch") else None)


def torch_version(python: str | None) -> str | None:
    """Of the peer."""
    if python is None:
        return None
    command = [python, "-c", "import torch; print(torch.__version__)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
