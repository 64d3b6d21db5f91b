"""Logs for TensorBoard and Weights & Biases, by stand-ins and by the packages themselves."""

import sys

import numpy as np
import pytest

from jaxmix.runs.wandb_files import logged_rows, read_logged
from jaxmix.training import Logs, Member, Snapshot, train
from tests.training import toys

MEMBERS = [Member(run, 0, 0.1, {"n_params": 7, "w_a": 1.0}) for run in ("r0", "r1")]
ROW = {"run": "r1", "step": 5, "loss_web": 3.5, "tokens": 10.0, "n_params": 7, "w_a": 1.0}


@pytest.mark.parametrize(
    ("package", "logs", "message"),
    [
        ("tensorboardX", Logs(tensorboard="x"), "--tensorboard needs .*: pip install tensorboardx"),
        ("wandb", Logs(wandb="x"), "--wandb needs the package wandb: pip install wandb"),
    ],
)
def test_without_the_package_it_says_what_to_install(monkeypatch, package, logs, message):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=message) as error:
        logs.check()
    assert "\n" not in str(error.value)


class Writer:
    """Stands in for tensorboardX.SummaryWriter."""

    def __init__(self, folder: str) -> None:
        self.folder, self.scalars, self.closed = folder, [], False
        WRITERS.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


WRITERS: list[Writer] = []


def test_scalars_of_every_member(monkeypatch, tmp_path):
    WRITERS.clear()
    monkeypatch.setitem(sys.modules, "tensorboardX", type("package", (), {"SummaryWriter": Writer}))
    with Logs(tensorboard=str(tmp_path)).opened(MEMBERS, tmp_path) as log:
        losses, norms = np.array([2.0, 1.0]), np.array([0.5, 0.25])
        log.progress(Snapshot(3, 5, losses, norms, 100.0, 0.0, 1.0))
        log.recorded([ROW])
        assert not any(writer.closed for writer in WRITERS)
    assert [writer.folder for writer in WRITERS] == [str(tmp_path / r) for r in ("r0", "r1")]
    assert WRITERS[1].scalars == [
        ("train/loss", 1.0, 3),
        ("train/gradient_norm", 0.25, 3),
        ("train/tokens_per_second", 50.0, 3),
        ("loss_web", 3.5, 5),
    ]
    assert all(writer.closed for writer in WRITERS) and len(WRITERS[0].scalars) == 3


def test_a_fleet_is_logged_and_read_back(tmp_path, monkeypatch):
    """By the packages; what Weights & Biases keeps offline is the table that the fleet wrote."""
    pytest.importorskip("tensorboardX")
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    logs = Logs(str(tmp_path / "events"), "me/project", str(tmp_path))
    outcome = train(toys.Toy(), toys.fleet(2), toys.feed(2), tmp_path / "runs", logs=logs)
    wandb.teardown()  # which waits until all is written
    for run in ("r0", "r1"):
        (file,) = (tmp_path / "events" / run).iterdir()
        assert b"gradient_norm" in file.read_bytes() and b"loss_" in file.read_bytes()
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 2
    rows = {(row["run"], row["tokens"]): row for row in outcome.rows}
    found = [row for run in read_logged(tmp_path) for row in logged_rows(run)]
    measured = {(row["run"], row["tokens"]): row for row in found if "tokens" in row}
    for key, held in rows.items():
        assert held.items() <= measured[key].items()
    assert len(measured) == len(rows)
    curves = [row["train/loss"] for row in found if "train/loss" in row]
    assert len(curves) >= 4 and np.isfinite(curves).all()  # the first and the last step of two runs
