"""Either spelling of a name."""

import math

import pytest

from jaxmix.runs import RunTableError, bare, read_runs, resolve_names

KNOWN = ("github", "arxiv", "w_odd")


def test_bare():
    assert bare("w_github", "w_") == "github" and bare("loss_w_x", "w_") == "loss_w_x"
    assert bare("loss_", "loss_") == "loss_"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, KNOWN),
        ("all", KNOWN),
        (["all"], KNOWN),
        (["w_arxiv", "arxiv", "github"], ("arxiv", "github")),
        ("arxiv, w_github", ("arxiv", "github")),
        (["w_odd"], ("w_odd",)),
        (["w_w_odd"], ("w_odd",)),
    ],
)
def test_resolve(asked, expected):
    assert resolve_names(asked, KNOWN, "domain") == expected


def test_unknown():
    with pytest.raises(RunTableError, match=r"^unknown domain 'w_gihub'; nearest: github$"):
        resolve_names(["w_gihub"], KNOWN, "domain")
    with pytest.raises(RunTableError, match="known: github, arxiv, w_odd"):
        resolve_names(["zzz"], KNOWN, "domain")
    with pytest.raises(RunTableError, match="no domain is named"):
        resolve_names([], KNOWN, "domain")


def test_a_pattern_means_the_targets_that_have_losses():
    columns = {"n_params": [1e6, 2e6], "tokens": 1e8, "loss_web": 3.0, "loss_task_a": 2.0}
    table = read_runs({**columns, "loss_task_b": [2.0, float("nan")], "metric_c": [0.5, 0.75]})
    assert table.target_names(["loss_task_*", "web"]) == ("task_a", "task_b", "web")
    assert table.target_names(["*"]) == table.targets == ("web", "task_a", "task_b")
    assert table.where("n_params > 1.5e6").target_names(["task_?"]) == ("task_a",)
    assert table.target_names(["accuracy_*"]) == ("accuracy_c",)
    wanted = pytest.approx([math.log(2), math.log(4 / 3)])
    assert table.losses(["accuracy_c"])[0] == wanted
    with pytest.raises(RunTableError, match=r"no target matches 'tusk_\*'; nearest: task_"):
        table.losses(["tusk_*"])
    with pytest.raises(RunTableError, match="target 'task_b' has no loss in these 1 rows"):
        table.where("n_params > 1.5e6").losses(["task_b"])
