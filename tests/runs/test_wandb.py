"""Exports of Weights & Biases: panels, histories, tables of runs, and the API by a stand-in."""

import json
import sys
import types

import pandas as pd
import pytest

from jaxmix.runs import RunTableError, import_wandb

PANEL = """"Step","brisk-1 - eval/web/loss","brisk-1 - eval/web/loss__MIN",\
"brisk-1 - eval/web/loss__MAX","lr=3e-4 - b - eval/web/loss","lr=3e-4 - b - eval/web/loss__MIN",\
"lr=3e-4 - b - eval/web/loss__MAX"
"0","10","10","10","11","11","11"
"100","4.0","3.9","4.1","","",""
"200","3.5","3.5","3.5","3.6","3.6","3.6"
"""
RUNS = """"Name","State","n_params","weights.web","weights.my.code","eval/web/loss"
"lr=3e-4 - b","finished","160M","1",""," 9"
"brisk-1","finished","70M","0.5","0.5","9"
"""
HISTORY = [
    {
        "run": "a",
        "_step": 0,
        "config": {"n_params": 7e7, "weights": {"web": 1.0}},
        "eval/w.loss": 9,
    },
    {"run": "a", "_step": 5, "tokens": 1e9, "eval/web/loss": 4.5, "train/loss": 1},
    {"run": "a", "_step": 5, "tokens": 1e9, "eval/my.code/loss": 3.5},
    {"run": "a", "_step": 6, "tokens": 2e9, "train/loss": 1, "hist": {"bins": [1, 2]}},
    {"run": "b", "_step": 5, "tokens": 1e9, "eval/web/loss": 4.4, "base_loss_old": 2.0},
    {"run": "b", "config": {"n_params": 7e7, "weights": {"web": 0.5, "code": 0.5}}},
]


@pytest.fixture
def files(tmp_path):
    texts = {"web.csv": PANEL, "runs.csv": RUNS, "code.csv": PANEL.replace("web/", "my.code/")}
    texts["history.jsonl"] = "\n".join(map(json.dumps, HISTORY))
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name: tmp_path / name for name in texts}


def test_a_panel_has_a_column_for_every_run(files):
    table = import_wandb(files["web.csv"], n_params="70M", tokens_per_step=1e6)
    assert list(table.frame["run"]) == ["brisk-1", "brisk-1", "lr=3e-4 - b"]
    assert table.tokens.tolist() == [1e8, 2e8, 2e8] and table.domains == ()
    assert table.targets == ("web",) and table.losses().tolist() == [[4.0, 3.5, 3.6]]
    said = ("4 columns __MIN and __MAX left out", "2 rows at 0 tokens left out")
    assert table.notes[:2] == said


def test_panels_are_joined_with_the_table_of_runs(files):
    three = [files[name] for name in ("runs.csv", "web.csv", "code.csv")]
    table = import_wandb(three, tokens_per_step=1e6)
    assert table.domains == ("web", "my_code") and table.targets == ("web", "my_code")
    assert table.n_params.tolist() == [7e7, 7e7, 1.6e8]
    assert table.weights.tolist() == [[0.5, 0.5], [0.5, 0.5], [1, 0]]
    assert table.losses()[1].tolist() == [4.0, 3.5, 3.6]


def test_files_of_some_runs_each_are_put_together(files, tmp_path):
    more = PANEL.replace("brisk-1", "c").replace("lr=3e-4 - b", "d")
    (tmp_path / "more.csv").write_text(more)
    both = [files["web.csv"], tmp_path / "more.csv"]
    table = import_wandb(both, n_params="70M", tokens_per_step=1e6)
    assert list(table.frame["run"]) == ["brisk-1"] * 2 + ["lr=3e-4 - b", "c", "c", "d"]
    histories = [tmp_path / "r1.csv", tmp_path / "r2.csv"]
    for path in histories:
        path.write_text("_step,eval/loss,w_a,w_b\n5,3.5,1,0\n6,3.4,1,0\n")
    table = import_wandb(histories, n_params="70M", tokens_per_step=1e6)
    assert list(table.frame["run"]) == ["r1", "r1", "r2", "r2"] and table.domains == ("a", "b")


def test_tokens_on_the_axis_are_those_of_a_loss(files):
    axis = files["web.csv"].read_text().replace("Step", "train/tokens")
    files["web.csv"].write_text(axis)
    files["runs.csv"].write_text(RUNS.replace("State", "tokens").replace("finished", "1e9"))
    table = import_wandb([files["web.csv"], files["runs.csv"]])
    assert table.tokens.tolist() == [100, 200, 200] and table.domains == ("web", "my_code")


def test_a_history_says_its_configuration_once(files):
    table = import_wandb(files["history.jsonl"], losses=["eval/*/loss"])
    assert list(table.frame["run"]) == ["a", "b"] and table.n_params.tolist() == [7e7, 7e7]
    assert table.domains == ("web", "code") and table.weights.tolist() == [[1, 0], [0.5, 0.5]]
    assert table.targets == ("web", "my_code") and table.losses()[:, 0].tolist() == [4.5, 3.5]
    assert "base_loss_old" in table.frame and "train/loss" in table.frame
    given = {"weights": ["config.weights.*"], "n_params": "config.n_params", "tokens": "tokens"}
    frame = pd.DataFrame(HISTORY)
    again = import_wandb(frame, losses=["eval/*/loss"], **given)
    columns = ["run", "n_params", "tokens", "w_web", "w_code", "loss_web", "loss_my_code"]
    pd.testing.assert_frame_equal(again.frame[columns], table.frame[columns])


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        (["web.csv"], {"tokens": "20B"}, "no column 'n_params'; .* with --n-params"),
        (["web.csv"], {"n_params": "7M"}, "no column 'tokens'; .* with --tokens-per-step"),
        (["web.csv", "runs.csv"], {"run": "name"}, "--run: no column 'name'; nearest: Name"),
        (
            ["runs.csv", "web.csv"],
            {"losses": ["val/*"], "tokens": "20B"},
            "--losses: no column is 'val/",
        ),
    ],
)
def test_faults(files, names, options, expected):
    with pytest.raises(RunTableError, match=expected):
        import_wandb([files[name] for name in names], **options)


def test_runs_that_do_not_match(files):
    files["runs.csv"].write_text(RUNS.replace("brisk-1", "brisk-2"))
    both = [files["web.csv"], files["runs.csv"]]
    with pytest.raises(RunTableError, match=r"runs\.csv: has no run 'brisk-1' of .*web\.csv"):
        import_wandb(both, tokens_per_step=1e6)
    files["runs.csv"].write_text(RUNS + RUNS.splitlines()[1] + "\n")
    with pytest.raises(RunTableError, match=r"line 4: run 'lr=3e-4 - b' stands twice"):
        import_wandb(both, tokens_per_step=1e6)


def test_files_that_wandb_kept(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for i in (0, 1):
        config = {"n_params": 7e7, "weights": {"web": i, "code": 1 - i}}
        quiet = wandb.Settings(console="off", silent=True)
        about = {"name": f"run {i}", "id": f"a{i}", "config": config}
        run = wandb.init(dir=tmp_path, project="p", settings=quiet, **about)
        for step in (0, 10, 20):
            run.log({"eval/web/loss": 3.0 - step / 100, "lr": 0.1}, step=step)
        run.finish()
    wandb.teardown()  # which waits until all is written
    table = import_wandb(tmp_path, tokens_per_step=1e6)
    assert sorted(set(table.frame["run"])) == ["run 0", "run 1"]
    assert table.tokens.tolist() == [1e7, 2e7] * 2 and table.targets == ("web",)
    assert table.weights.tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]
    (file, _) = sorted(tmp_path.rglob("run-*.wandb"))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 3])
    assert len(import_wandb(tmp_path, tokens_per_step=1e6)) >= 2
    file.write_bytes(b"nothing")
    with pytest.raises(RunTableError, match=r"\.wandb: is no file of wandb .*:W&B"):
        import_wandb(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunTableError, match=r"empty: holds no run-\*\.wandb"):
        import_wandb(tmp_path / "empty")


def test_a_project_is_read_through_the_api(monkeypatch):
    class Refusal(Exception):
        """The base of wandb's errors."""

    def runs(path):
        if path != "me/mixtures":
            raise Refusal(f"could not find project {path}")
        return [
            types.SimpleNamespace(
                name=f"run {i}",
                id=f"id{i}",
                config={"n_params": 7e7, "weights": {"web": i, "code": 1 - i}},
                scan_history=lambda: [{"_step": 10, "eval/web/loss": 3.0}, {"_step": 11, "lr": 1}],
            )
            for i in (0, 1)
        ]

    package = types.SimpleNamespace(
        Api=lambda: types.SimpleNamespace(runs=runs), errors=types.SimpleNamespace(Error=Refusal)
    )
    monkeypatch.setitem(sys.modules, "wandb", package)
    table = import_wandb("me/mixtures", tokens_per_step=1e6)
    assert list(table.frame["run"]) == ["run 0", "run 1"] and table.tokens.tolist() == [1e7, 1e7]
    assert table.weights.tolist() == [[0, 1], [1, 0]] and table.targets == ("web",)
    with pytest.raises(RunTableError, match=r"me/other: wandb refuses .*could not find project"):
        import_wandb("me/other")
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(RunTableError, match="takes the package wandb: pip install wandb"):
        import_wandb("me/mixtures")
