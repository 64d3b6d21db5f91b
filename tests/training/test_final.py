"""The parameters that a finished fleet leaves are those that its last rows were measured with."""

import numpy as np
import pytest

from jaxmix.training import fleet_layout, load_final, read_rows, single_layout, train
from tests.training import toys


@pytest.mark.parametrize(("members", "average"), [(3, 0.0), (1, 0.0), (3, 0.6), (1, 0.6)])
def test_final_parameters_give_the_last_losses(tmp_path, members, average):
    feed, model = toys.feed(members), toys.Toy()
    layout = fleet_layout(2) if members > 1 else single_layout(2, devices=4)
    fleet = toys.fleet(members, (2, 4), average=average)
    train(model, fleet, feed, tmp_path, layout=layout, keep_final=True)
    (target, held), *_ = feed.heldout.items()
    for member in fleet.members:
        params = load_final(tmp_path, model, member.run)
        losses = model.losses(params, held.batch)
        (row,) = (
            r
            for r in read_rows(tmp_path / "rows.jsonl")
            if r["run"] == member.run and r["step"] == 4
        )
        found = float(np.sum(losses.sums) / np.sum(losses.counts))
        assert found == pytest.approx(row[f"loss_{target}"], rel=1e-5)
    if members == 1:
        assert load_final(tmp_path, model)["table"]["kernel"].shape == (12, 12)


def test_what_was_not_kept_is_said(tmp_path):
    train(toys.Toy(), toys.fleet(1, (2,)), toys.feed(1), tmp_path / "a", layout=fleet_layout(1))
    with pytest.raises(ValueError, match="holds no final parameters; train it with --keep-final"):
        load_final(tmp_path / "a", toys.Toy())
    train(toys.Toy(), toys.fleet(2, (2,)), toys.feed(2), tmp_path / "b", keep_final=True)
    with pytest.raises(ValueError, match="no run 'None'; it holds "):
        load_final(tmp_path / "b", toys.Toy())


def test_a_fleet_starts_from_a_finished_run(tmp_path):
    begun = train(toys.Toy(), toys.fleet(2), toys.feed(2), tmp_path / "a", keep_final=True)
    params = load_final(tmp_path / "a", toys.Toy(), "r1")
    work = toys.Toy(), toys.fleet(3, (1, 2), warmup_steps=0), toys.feed(3), tmp_path / "b"
    rows = train(*work, layout=fleet_layout(2), start=params).rows
    ended = [row for row in begun.rows if row["run"] == "r1"][-1]
    fresh = train(*work[:3], tmp_path / "c", layout=fleet_layout(2)).rows
    for row, other in zip(rows, fresh, strict=True):
        assert row["base_loss_a"] == pytest.approx(ended["loss_a"], rel=1e-6)
        assert row["loss_a"] < other["loss_a"] and "base_loss_a" not in other
    assert train(*work, start=params).rows == rows
    for other in (None, load_final(tmp_path / "a", toys.Toy(), "r0")):
        with pytest.raises(ValueError, match="holds a run with other start; name another"):
            train(*work, start=other)
    with pytest.raises(ValueError, match="the parameters to start from are of another model"):
        train(toys.Toy(20), *work[1:3], tmp_path / "d", start=params)
