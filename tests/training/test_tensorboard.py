"""Event files, where the package that writes them is there."""

import sys

import numpy as np
import pytest

from jaxmix.training import Snapshot, all_of, tensorboard, train
from tests.training import toys


def test_without_the_package_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ValueError, match="tensorboardX: pip install tensorboardx") as error:
        tensorboard(tmp_path, ["r0"])
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
    tell = tensorboard(tmp_path, ["r0", "r1"])
    tell(Snapshot(3, 5, np.array([2.0, 1.0]), np.array([0.5, 0.25]), 100.0, 0.0, 1.0))
    assert [writer.closed for writer in WRITERS] == [False, False]
    tell(Snapshot(5, 5, np.array([1.5, 0.5]), np.array([0.5, 0.25]), 100.0, 0.0, 0.0))
    assert [writer.folder for writer in WRITERS] == [str(tmp_path / r) for r in ("r0", "r1")]
    assert WRITERS[1].scalars[:3] == [
        ("loss", 1.0, 3),
        ("gradient_norm", 0.25, 3),
        ("tokens_per_second", 50.0, 3),
    ]
    assert [writer.closed for writer in WRITERS] == [True, True]


def test_event_files_of_a_fleet(tmp_path):
    pytest.importorskip("tensorboardX")
    tell = tensorboard(tmp_path / "events", ["r0", "r1"])
    train(toys.Toy(), toys.fleet(2), toys.feed(2), tmp_path / "runs", progress=tell)
    for run in ("r0", "r1"):
        (file,) = (tmp_path / "events" / run).iterdir()
        assert b"gradient_norm" in file.read_bytes()


def test_all_of_calls_each_in_turn():
    heard = []
    snapshot = Snapshot(1, 2, np.zeros(1), np.zeros(1), 0.0, 0.0, 0.0)
    all_of(lambda m: heard.append((1, m)), lambda m: heard.append((2, m)))(snapshot)
    assert heard == [(1, snapshot), (2, snapshot)]
