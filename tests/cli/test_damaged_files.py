"""Every command with every file that it needs missing, empty, cut short or of another kind."""

import json
import os
import pathlib
import re
import shutil
import struct
from collections.abc import Mapping

import click
import numpy as np
import pandas as pd
import pytest

from jaxmix.cli.app import cli
from jaxmix.data.tokenizer import train_tokenizer
from tests.cli import small_study

BIG = ("--n-params", "1e9", "--tokens", "1e11")
SMALL = ("--n-params", "1e7", "--tokens", "1e9")
FEW = ("--restarts", "8")
# Every command, once for each way to give it files. {name} is a file of the fixture, OUT.csv and
# the like are files that the command writes.
CALLS = (
    ("recommend", "{runs.csv}", *BIG, "--law", "additive", "--report", "OUT.html"),
    ("check", "{runs.csv}"),
    (
        *("critical-ratio", "{law.json}", "--target", "a", "--limit", "3", "--old", "a=1"),
        *("--new", "b=1", "--tokens", "1e10"),
    ),
    ("fit", "{runs.csv}", "--law", "additive", *FEW, "--out", "OUT.json"),
    ("score", "{law.json}", "{runs.csv}"),
    ("predict", "{law.json}", "{runs.csv}", "--out", "OUT.csv"),
    ("optimize", "{law.json}", *BIG),
    ("trust", "{law.json}", "{runs.csv}", *BIG, "--resamples", "50"),
    ("budget", "{law.json}", "--flops", "1e21"),
    ("pareto", "{law.json}", *BIG, "--points", "3"),
    (
        *("compare", "{runs.csv}", "--laws", "additive", *FEW),
        *("--train", "n_params < 5e7", "--test", "n_params > 5e7"),
    ),
    ("select", "{runs.csv}", "--laws", "additive", *FEW, "--out", "OUT.json"),
    ("extrapolate", "{runs.csv}", *BIG, "--out", "OUT.csv"),
    ("next", "{law.json}", "{runs.csv}", *BIG, "--count", "1", "--out", "OUT.csv"),
    ("sample-size", "--from", "{law.json}", "--mixtures", "8", "--truths", "1", *FEW),
    ("report", "{law.json}", "{runs.csv}", *BIG, "--resamples", "50", "--out", "OUT.html"),
    ("export", "{law.json}", *BIG, "--format", "yaml", "--out", "OUT.yaml"),
    ("export", "{best.json}", "--format", "yaml", "--out", "OUT.yaml"),
    ("simulate", "--from", "{law.json}", "--out", "OUT.csv"),
    ("import olmix", "{ratios.csv}", "{metrics.csv}", *SMALL, "--out", "OUT.csv"),
    ("import regmix", "{mixtures.csv}", "{losses.csv}", *SMALL, "--out", "OUT.csv"),
    (
        *("import columns", "{runs.csv}", "--run", "run", "--n-params", "n_params"),
        *("--tokens", "tokens", "--weights", "w_*", "--losses", "loss_*", "--out", "OUT.csv"),
    ),
    (
        *("import wandb", "{history.csv}", "--n-params", "70M", "--tokens", "_step"),
        *("--weights", "w/*", "--losses", "eval/*", "--out", "OUT.csv"),
    ),
    ("import wandb", "{run-x.wandb}", "--tokens-per-step", "1M", "--out", "OUT.csv"),
    ("import mixinglaws", "{70M.jsonl}", "--domains", "a,b", "--out", "OUT.csv"),
    ("domains add", "{runs.csv}", "new", "--out", "OUT.csv"),
    ("domains split", "{runs.csv}", "a", "x=0.5,y=0.5", "--out", "OUT.csv"),
    ("domains merge", "{runs.csv}", "a,b", "ab", "--out", "OUT.csv"),
    ("domains remove", "{runs.csv}", "a", "--out", "OUT.csv"),
    ("data prepare", "{texts/low.jsonl}", "--tokenizer", "bytes", "--name", "copy"),
    ("data prepare", "{texts/low.jsonl}", "--tokenizer", "{own.json}", "--name", "copy"),
    ("data show", "{corpus/corpus.json}"),
    ("data tasks", "{corpus/corpus.json}", "--count", "2", "--out", "OUT.jsonl"),
    ("evaluate", "{study/plan.json}", "--tasks", "{tasks.jsonl}"),
    ("inspect", "{study/plan.json}", "--out", "OUT.png"),
    (
        *("study plan", "OUT", "--corpus", "{corpus/corpus.json}"),
        *("--size", "tiny-16=50k", "--design", "uniform"),
    ),
    (
        *("study plan", "OUT", "--corpus", "mine", "--size", "tiny-16=50k"),
        *("--mixtures", "{grid.csv}", "--schedule-file", "{stages.json}"),
    ),
    ("study run", "{study/plan.json}"),
    ("study script", "{study/plan.json}", "--slurm", "--out", "OUT.sh"),
    ("study status", "{study/plan.json}"),
    ("study table", "{study/plan.json}", "--out", "OUT.csv"),
    (
        *("train", "tiny-16", "--corpus", "mine", "--weights", "low=1", "--tokens", "10k"),
        *("--from", "{study/plan.json}", "--out", "OUT"),
    ),
)
WITHOUT_FILES = {
    "demo",
    "laws",
    "presets",
    "completion",
    "data list",
    "examples list",
    "examples copy",
}
FOLDERS = ("texts", "corpus", "study")  # a file in one of these is damaged, the folder is named
DAMAGE = ("missing", "empty", "blank", "cut", "picture", "prose", "list", "object", "folder")


def damaged(path: pathlib.Path, how: str) -> None:
    """Damages a file in place."""
    held = path.read_bytes()
    path.unlink()
    match how:
        case "missing":
            return
        case "folder":
            path.mkdir()
            return
    text = {
        "empty": b"",
        "blank": b"\n \n",
        "cut": held[: len(held) // 2],
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "prose": b"The quick brown fox jumps over the lazy dog.\nAnd again.\n",
        "list": b"[1, 2, 3]\n",
        "object": b'{"a": 1}\n',
    }
    path.write_bytes(text[how])


def commands(group: click.Group, before: str = "") -> set[str]:
    """The names of all commands, those of groups with the group's name before them."""
    found = set()
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        inner = isinstance(command, click.Group)
        found |= commands(command, f"{name} ") if inner else {before + name}
    return found


def test_every_command_is_here():
    assert {call[0] for call in CALLS} | WITHOUT_FILES == commands(cli)


@pytest.fixture(scope="module")
def files(tmp_path_factory, three):
    """A folder with a good file of every kind, and a study that was trained."""
    root = tmp_path_factory.mktemp("files")
    shutil.copy(three.runs, root / "runs.csv")
    shutil.copy(three.law, root / "law.json")
    weights = {"a": 0.5, "b": 0.3, "c": 0.2}
    (root / "best.json").write_text(json.dumps({"weights": weights}))
    stages = [{"share": 0.5, "weights": {"low": 1}}, {"share": 0.5, "weights": {"high": 1}}]
    (root / "stages.json").write_text(json.dumps({"turn": stages}))
    pd.DataFrame({"w_low": [0.5, 0.2], "w_high": [0.5, 0.8]}).to_csv(root / "grid.csv")
    asked = {"task": "t", "context": "abc", "choices": [" ab", " de"], "answer": 0}
    (root / "tasks.jsonl").write_text(json.dumps(asked) + "\n")
    write_logged(root / "run-x.wandb")
    own = train_tokenizer("bpe-260", ["abcde abcde"])
    (root / "own.json").write_text(own.dumps())
    write_swarms(root)
    corpus = small_study.train(root, {"even": {"low": 0.5, "high": 0.5}}, tokens=512)
    (root / "corpus").symlink_to(corpus.path)
    return root


def write_logged(path: pathlib.Path) -> None:
    """The file of one run as Weights & Biases keeps it, in a single fragment for each record."""
    protocol = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    begun, row = protocol.Record(), protocol.Record()
    begun.run.run_id = begun.run.display_name = "x"
    for key, value in {"n_params": 7e7, "w_a": 0.5, "w_b": 0.5}.items():
        begun.run.config.update.add(key=key, value_json=str(value))
    for key, value in {"_step": 10, "eval/x": 3.5}.items():
        row.history.item.add(key=key, value_json=str(value))
    data = [record.SerializeToString() for record in (begun, row)]
    held = b"".join(struct.pack("<IHB", 0, len(one), 1) + one for one in data)
    path.write_bytes(b":W&B\0\0\0" + held)


def write_swarms(root: pathlib.Path) -> None:
    """Tables as olmix, RegMix and Data Mixing Laws have them."""
    share = np.array([0.1, 0.4, 0.7])
    runs = {"run": ["r0", "r1", "r2"]}
    pd.DataFrame(runs | {"a": share, "b": 1 - share}).to_csv(root / "ratios.csv", index=False)
    pd.DataFrame(runs | {"x": 3 + share}).to_csv(root / "metrics.csv", index=False)
    history = {"Name": ["r0", "r1", "r2"], "_step": [100, 100, 100], "eval/x": 3 + share}
    history |= {"w/a": share, "w/b": 1 - share}
    pd.DataFrame(history).to_csv(root / "history.csv", index=False)
    index = {"index": [0, 1, 2]}
    mixtures = pd.DataFrame(index | {"train_a": share, "train_b": 1 - share})
    mixtures.to_csv(root / "mixtures.csv", index=False)
    losses = pd.DataFrame(index | {"valid_x": 3 + share})
    losses.to_csv(root / "losses.csv", index=False)
    lines = (f'["x/70M_a{h}_b{1 - h:.1f}/step1000","a.val.jsonl",{3 + h}]\n' for h in share)
    (root / "70M.jsonl").write_text("".join(lines))


def words(
    call: tuple[str, ...], places: Mapping[str, pathlib.Path], out: pathlib.Path
) -> list[str]:
    """The command line: every {name} is the file, or the folder that holds it."""
    found = call[0].split()
    for word in call[1:]:
        if word.startswith("{"):
            place = places[word.strip("{}")]
            word = str(place.parent if place.parent.name in FOLDERS else place)
        found.append(word.replace("OUT", str(out / "out")))
    return found


def cases() -> list[tuple[tuple[str, ...], str]]:
    pairs = [(call, word.strip("{}")) for call in CALLS for word in call if word.startswith("{")]
    return list(dict.fromkeys(pairs))


@pytest.mark.parametrize(("call", "name"), cases(), ids=lambda x: x if isinstance(x, str) else x[0])
def test_a_damaged_file_is_named_in_one_line(call, name, files, run, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXMIX_CACHE", str(files / "cache"))
    named = [word.strip("{}") for word in call if word.startswith("{")]
    for how in DAMAGE:
        here = tmp_path / how
        here.mkdir()
        places = {one: files / one for one in named}
        folder, _, _ = name.rpartition("/")
        if folder:
            shutil.copytree(os.path.realpath(files / folder), here / folder)
        else:
            shutil.copy(files / name, here / name)
        places[name] = here / name
        damaged(places[name], how)
        before = set(here.rglob("*"))
        result = run(*words(call, places, here))
        story = f"{how} {name}: exit {result.status}, {result.err!r}"
        # Half a table may be a good one, and a folder of texts may lack one.
        harmless = how == "cut" or (how == "missing" and folder == "texts")
        allowed = (0, 2) if harmless else (2,)
        assert result.status in allowed, story
        if result.status == 2:
            assert result.err.count("\n") == 1, story
            assert result.out == "", story
            assert pathlib.Path(name).name in result.err or str(here) in result.err, story
            assert not re.search(r"Expecting|line 1 column|Traceback|Error\(", result.err), story
            assert set(here.rglob("*")) <= before, story
