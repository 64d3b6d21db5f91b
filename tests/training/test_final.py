"""The parameters that a finished fleet leaves are those that its last rows were measured with."""

import numpy as np
import pytest

from jaxmix.training import fleet_layout, load_final, read_rows, single_layout, train
from tests.training import toys


@pytest.mark.parametrize("members", [3, 1])
def test_final_parameters_give_the_last_losses(tmp_path, members):
    feed, model = toys.feed(members), toys.Toy()
    layout = fleet_layout(2) if members > 1 else single_layout(2, devices=4)
    fleet = toys.fleet(members, (2, 4))
    train(model, fleet, feed, tmp_path, layout=layout, keep_final=True)
    (target, held), *_ = feed.held.items()
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
    with pytest.raises(ValueError, match="holds no final parameters; train with keep_final"):
        load_final(tmp_path / "a", toys.Toy())
    train(toys.Toy(), toys.fleet(2, (2,)), toys.feed(2), tmp_path / "b", keep_final=True)
    with pytest.raises(ValueError, match="no run 'None'; it holds "):
        load_final(tmp_path / "b", toys.Toy())
