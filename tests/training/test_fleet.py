"""Fleets: the same as single runs, whatever the layout, and each member on its own."""

import dataclasses
import math

import numpy as np
import pytest

from jaxmix.training import Feed, Fleet, HeldOut, fleet_layout, single_layout, train
from tests.training import toys


def losses(rows) -> np.ndarray:
    names = ("train_loss", "loss_a", "loss_b", "sem_a", "sem_b")
    return np.array([[row[n] for n in names] for row in rows])


def only(given: Fleet, i: int) -> Fleet:
    return dataclasses.replace(given, members=(given.members[i],))


def data_of(given: Feed, i: int) -> Feed:
    def start(step: int):
        for batch in given.batches(step):
            yield {"tokens": batch["tokens"][i : i + 1]}

    return dataclasses.replace(given, batches=start)


@pytest.fixture(scope="module")
def singles(tmp_path_factory):
    """Every member of the fleet trained alone, on one device."""
    folder = tmp_path_factory.mktemp("singles")
    fleet, feed = toys.fleet(3), toys.feed(3)
    done = (
        train(toys.Toy(), only(fleet, i), data_of(feed, i), folder / str(i), layout=one())
        for i in range(3)
    )
    return {row["run"]: losses(o.rows) for o in done for row in o.rows}


def one():
    return single_layout(devices=1)


@pytest.mark.parametrize(("devices", "members"), [(1, "vmap"), (2, "map"), (2, "vmap"), (8, "map")])
def test_a_fleet_trains_its_members_as_if_alone(tmp_path, singles, devices, members):
    layout = fleet_layout(devices, members)
    outcome = train(toys.Toy(), toys.fleet(3), toys.feed(3), tmp_path, layout=layout)
    assert [(r["run"], r["step"]) for r in outcome.rows] == [
        (f"r{i}", s) for s in (4, 8, 12) for i in range(3)
    ]
    for run, alone in singles.items():
        rows = [r for r in outcome.rows if r["run"] == run]
        np.testing.assert_allclose(losses(rows), alone, rtol=1e-5)
    assert not outcome.diverged


def test_members_differ(singles):
    first = {run: found[0, 1] for run, found in singles.items()}
    assert len(set(first.values())) == 3


def test_layout_on_a_cpu_takes_members_one_by_one():
    assert fleet_layout().members == "map"
    assert fleet_layout(2, "vmap").members == "vmap"
    assert fleet_layout(2).padded(3) == 4
    assert fleet_layout(2).host == (0, 1)


@pytest.mark.parametrize("members", ["vmap", pytest.param("map", marks=pytest.mark.slow)])
def test_accumulation_in_a_fleet(tmp_path, members):
    def run(parts: int):
        fleet = toys.fleet(3, accumulate=parts)
        layout = fleet_layout(2, members)
        return train(toys.Toy(), fleet, toys.feed(3), tmp_path / str(parts), layout=layout)

    np.testing.assert_allclose(losses(run(4).rows), losses(run(1).rows), rtol=1e-4)


def test_a_member_that_diverges_leaves_the_others_alone(tmp_path):
    layout = fleet_layout(2)
    wild = toys.fleet(3, rates=(0.02, 1e38, 0.06))
    calm = toys.fleet(3, rates=(0.02, 0.04, 0.06))
    found = train(toys.Toy(), wild, toys.feed(3), tmp_path / "wild", layout=layout)
    expected = train(toys.Toy(), calm, toys.feed(3), tmp_path / "calm", layout=layout)
    assert found.diverged == {"r1": 4}
    assert found.rows == [r for r in expected.rows if r["run"] != "r1"]
    again = train(toys.Toy(), wild, toys.feed(3), tmp_path / "wild", layout=layout)
    assert again.diverged == found.diverged
    assert again.rows == found.rows


def test_rows_carry_what_the_run_table_needs(tmp_path):
    feed = dataclasses.replace(toys.feed(2), consumed=lambda i, step: {"epochs_a": i + step / 8})
    row = train(toys.Toy(), toys.fleet(2, (4, 8)), feed, tmp_path).rows[-1]
    assert row["run"] == "r1"
    assert row["step"] == 8
    assert row["tokens"] == 8 * toys.BATCH * toys.LENGTH
    assert row["w_a"] == 0.25
    assert row["epochs_a"] == 2.0
    assert row["seed"] == 11
    assert row["learning_rate"] == 0.04
    assert not any(name.startswith("bpb_") for name in row)


def test_steps_are_recorded_exactly_as_asked(tmp_path):
    snapshots = []
    feed, at = toys.feed(2), (1, 2, 5, 11)
    outcome = train(toys.Toy(), toys.fleet(2, at), feed, tmp_path, progress=snapshots.append)
    assert [row["step"] for row in outcome.rows] == [s for s in at for _ in range(2)]
    assert snapshots[-1].step == snapshots[-1].steps == 11
    assert snapshots[-1].losses.shape == snapshots[-1].gradient_norms.shape == (2,)
    assert snapshots[-1].losses[0] == pytest.approx(outcome.rows[-2]["train_loss"])
    assert outcome.tokens_per_second > 0
    assert 0 <= outcome.data_wait <= 1


def test_several_members_in_a_layout_for_one_are_refused(tmp_path):
    with pytest.raises(ValueError, match="the layout holds one run and the fleet has 3"):
        train(toys.Toy(), toys.fleet(3), toys.feed(3), tmp_path, layout=single_layout())


def test_no_held_out_records_is_refused(tmp_path):
    feed = dataclasses.replace(toys.feed(3), heldout={})
    with pytest.raises(ValueError, match="no held-out records"):
        train(toys.Toy(), toys.fleet(3), feed, tmp_path)


def test_loss_falls_to_the_entropy_of_its_source(tmp_path):
    fleet = toys.fleet(2, (2, 10, 200), rates=(0.05, 0.1), weight_decay=0.0)
    feed = toys.feed(2, batch=32)
    held = {"a": HeldOut({"tokens": toys.records(5, 2000)})}
    rows = train(toys.Toy(), fleet, dataclasses.replace(feed, heldout=held), tmp_path).rows
    for run in ("r0", "r1"):
        found = [row["loss_a"] for row in rows if row["run"] == run]
        assert found[0] > found[1] > found[2]
        assert found[0] > toys.entropy() + 0.3
        assert found[-1] == pytest.approx(toys.entropy(), abs=0.03)
    assert toys.entropy() < math.log(toys.VOCABULARY - 1)


@pytest.mark.slow
def test_a_transformer_learns_one_batch_by_heart(tmp_path):
    tokens = toys.records(0, 1, 4, vocabulary=64, length=8)

    def same(step: int):
        while True:
            yield {"tokens": tokens}

    feed = dataclasses.replace(toys.feed(1, vocabulary=64, length=8), batches=same)
    fleet = toys.fleet(1, (1, 150), rates=(0.01,))
    model = toys.transformer(width=32, depth=1, qk_norm=True)
    rows = train(model, fleet, feed, tmp_path, layout=one()).rows
    assert rows[0]["train_loss"] == pytest.approx(math.log(64), abs=0.1)
    assert rows[-1]["train_loss"] < 0.5  # the second token of a record is not known from the first
