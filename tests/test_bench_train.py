"""The throughput benchmarks run from end to end, at the size of a toy; never a time."""

import importlib
import json
import math
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxmix.models import PatchGrid

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "benchmarks"
FAMILIES = ("text", "multimodal", "vision")
LENGTHS = {"multimodal": 128, "vision": 32}
GRID = PatchGrid(32, 8)


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """Imports a module of benchmarks/ as its scripts do, where no corpus is prepared."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setenv("JAXMIX_CACHE", str(tmp_path))
    return importlib.import_module


def smoke(script, out, family):
    command = [sys.executable, str(FOLDER / script), "--smoke", "--out", str(out)]
    python = os.environ.get("JAXMIX_TORCH_PYTHON")  # an interpreter that has torch
    if python and script == "bench_train.py":
        command += ["--torch-python", python]
    done = subprocess.run([*command, "--family", family], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (file,) = out.iterdir()
    (section,) = json.loads(file.read_text()).values()
    return section


def test_data(tmp_path):
    rows = smoke("bench_data.py", tmp_path, "text")["result"]
    assert {(row["members"], row["batch"], row["length"]) for row in rows} == {
        (m, b, t) for m in (1, 16) for b in (8, 64) for t in (128, 1024)
    }
    for row in rows:
        ratio = row["ratios"]["GPU, as stated"]
        assert ratio == pytest.approx(row["tokens_per_second"] / 1e6)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES[1:])
def test_image_data(tmp_path, family):
    result = smoke("bench_data.py", tmp_path, family)["result"]
    assert min(result["cold_images_per_second"].values()) > 0
    assert {(row["members"], row["threads"]) for row in result["pipeline"]} == {
        (m, t) for m in (1, 2) for t in (1, 2)
    }
    for row in result["pipeline"]:
        (need,), (ratio,) = row["consumed_images"].values(), row["ratios"].values()
        assert ratio["median"] == pytest.approx(row["images_per_second"] / need)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_train(tmp_path, family):
    section = smoke("bench_train.py", tmp_path, family)
    (result,) = section["result"]
    assert result["preset"].endswith("tiny-32")
    assert result["tokens_per_second"]["jaxmix fleet of 8"] > 0
    if section["machine"]["torch"] is not None:
        assert result["check"]["first_loss"] < 1e-4


@pytest.mark.parametrize("family", FAMILIES[1:])
def test_batches_of_made_pictures_have_the_models_shapes(bench, family):
    work = bench("workloads").WORKLOADS[family]
    domains = bench("pictures").opened(family, GRID, LENGTHS[family])
    sources = bench("image_data").even(domains, 2, 12)
    batch = {k: np.stack([source[0][k] for source in sources]) for k in sources[0][0]}
    member = {k: v[0] for k, v in batch.items()}
    positions = batch["tokens"].shape[2] + (GRID.patches if family == "vision" else 0)
    assert positions == work.length == LENGTHS[family]
    assert member["patches"].shape[2] == GRID.patch_dim
    assert batch["patches"][..., 0].max() > 0


def test_large_pictures_are_decoded_each_time(bench):
    rates = bench("image_data").large_rates(0.0)
    assert set(rates) == {"photographs", "drawings"}
    assert all(min(found.values()) > 0 for found in rates.values())


def test_images_are_counted_over_all_members(bench):
    images = bench("pictures").images
    rows = {"is_patch": np.ones((2, 3, 32), np.uint8), "patches": np.zeros((2, 3, 32, 192))}
    assert images(rows, GRID) == 2 * 3 * 32 // GRID.patches
    assert images({"patches": np.zeros((2, 5, 16, 192))}, GRID) == 10


def test_shares_of_packed_and_padded_rows_are_those_of_their_arrays(bench):
    packed = bench("pictures").opened("multimodal", GRID, 128)["image_caption"]
    padded = bench("packing").padded(packed)
    for rows in (packed, padded):
        found = rows.take(np.arange(len(rows)))
        assert found["tokens"].shape[1] == rows.length
        shares = bench("packing").shares(rows)
        assert shares["counted"] == pytest.approx(found["counted"].mean())
        used = (found["is_patch"] | found["counted"]).astype(bool)
        assert shares["used"] == pytest.approx(used.mean())
    assert sum(len(row) for row in packed.rows) == len(padded.rows)
    assert padded.length == 16 + 12  # of the longest caption no token but the last is a target only
    assert bench("packing").shares(packed)["used"] > bench("packing").shares(padded)["used"]


def test_another_model_or_no_number_is_no_agreement(bench):
    agreement = bench("torch_process").agreement
    ours = {"losses": [2.0, 1.5], "norms": [1.0, 1.0]}
    assert agreement(ours, {"fused": ours})["losses"] == 0.0
    for wrong in ([2.001, 1.5], [2.0, 1.6], [2.0, math.nan]):
        with pytest.raises(RuntimeError, match="another model"):
            agreement(ours, {"fused": {"losses": wrong, "norms": ours["norms"]}})


def test_ratios_are_of_the_same_round(bench):
    found = bench("turns").ratio({"a": [1.0, 4.0, 9.0], "b": [1.0, 2.0, 3.0]}, "a", "b")
    assert found == {"median": 2.0, "rounds": [1.0, 2.0, 3.0]}


def test_what_a_gpu_is_to_show_runs_as_a_toy(tmp_path):
    """Every measurement gives figures, in an interpreter without the packages that read data."""
    blocked = (
        "import sys, runpy; absent = ('grain', 'array_record', 'resvg_py', 'tokenizers', 'PIL'); "
        "sys.modules.update(dict.fromkeys(absent)); sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    out = tmp_path / "h200.jsonl"
    command = [sys.executable, "-c", blocked, str(FOLDER / "h200.py"), "--toy", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = {line["name"]: line for line in map(json.loads, out.read_text().splitlines())}
    assert done.stdout == out.read_text()
    assert not [line for line in lines.values() if "error" in line or "skipped" in line]
    for name, line in lines.items():
        if name.startswith(("train", "fleet")):
            assert line["tokens_per_second"] > 0
        if name.startswith("bfloat16"):
            assert line["loss_error"] < 1e-3 and line["gradient_cosine"] > 0.999
    here, there = (line for name, line in lines.items() if name.startswith("fit"))
    assert here["objective"] == pytest.approx(there["objective"], rel=1e-6)
    assert sum(name.startswith("fleet") for name in lines) == 2


def test_a_failure_and_the_deadline_are_lines(bench, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["h200.py"])
    told = bench("h200").told

    def fail():
        raise RuntimeError("out of memory")

    later = time.monotonic() + 0.1
    assert told("a", fail, later)["error"] == "RuntimeError: out of memory"
    assert "TimeoutError" in told("b", lambda: time.sleep(5) or {}, later)["error"]
    assert told("c", fail, later) == {"name": "c", "skipped": "the deadline"}
