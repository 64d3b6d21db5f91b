"""The throughput benchmarks run from end to end, at the size of a toy; never a time."""

import json
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "benchmarks"


def smoke(script, out):
    command = [sys.executable, str(FOLDER / script), "--smoke", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def test_data(tmp_path):
    smoke("bench_data.py", tmp_path)
    rows = json.loads((tmp_path / "bench_data.json").read_text())["result"]
    assert {(row["members"], row["batch"], row["length"]) for row in rows} == {
        (m, b, t) for m in (1, 16) for b in (8, 64) for t in (128, 1024)
    }
    for row in rows:
        ratio = row["ratios"]["GPU, as stated"]
        assert ratio == pytest.approx(row["tokens_per_second"] / 1e6)


@pytest.mark.slow
def test_train(tmp_path):
    smoke("bench_train.py", tmp_path)
    (section,) = json.loads((tmp_path / "bench_train.json").read_text()).values()
    if section["machine"]["device"] == "cpu":
        (result,) = section["result"]
        assert result["preset"] == "tiny-32"
        assert result["tokens_per_second"]["jaxmix fleet of 8"] > 0
