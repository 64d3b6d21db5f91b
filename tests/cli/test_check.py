"""``jaxmix check``: one screen, JSON, and one line for what is no run table."""

import numpy as np
import pandas as pd
import pytest

from jaxmix.mixtures import dirichlet_design


@pytest.fixture
def wide(tmp_path):
    """A table of 40 domains with long names that has all that check can complain about."""
    h = dirichlet_design(40, 20, seed=1)
    names = [f"common_crawl_part_{i:02d}" for i in range(40)]
    frame = pd.DataFrame(h, columns=[f"w_{name}" for name in names])
    for i in range(12):
        frame[f"loss_{names[i]}"] = np.where(np.arange(20) == i, np.nan, 2 + h[:, i])
    frame = frame.assign(n_params=1e8, tokens=1e10, run=[f"r{i}" for i in range(20)])
    frame["schedule"] = np.where(np.arange(20) % 2, "cosine", "constant")
    frame["w_common_crawl_part_39"] *= 1.0
    path = tmp_path / "wide.csv"
    frame.to_csv(path, index=False)
    return path


def test_one_screen(run, wide, three, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for path in (wide, three.runs):
        result = run("check", path)
        lines = result.out.splitlines()
        assert len(lines) <= 40 and max(map(len, lines)) <= 80, result.out
        assert result.status == 0 and result.err == ""


def test_json_has_everything(run, three):
    found = run("check", three.runs, "--json").json
    assert found["mixtures"] == 14 and found["directions"] == {"varied": 2, "of": 2}
    assert found["n_params"] == [1e7, 1e8] and set(found["weights"]) == set("abc")
    answers = {one["question"]: one["answer"] for one in found["answers"]}
    assert answers["effect of model size"] == "a guess" and found["next"]
    assert run("check", three.runs, "--where", "n_params > 5e7", "--json").json["n_params"] == [1e8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run,n_params,tokens\nr,1e6,1e8\n", "no loss column"),
        ("run,n_params,tokens,w_a,w_b,loss_a\nr,1e6,1e8,0.5,0.9,3\n", "sum to 1.4"),
        ("run,n_params,tokens,loss_a\nr,1e6,1e8,three\n", "'three' is not a number"),
    ],
)
def test_what_is_no_run_table(refused, tmp_path, text, said):
    path = tmp_path / "runs.csv"
    path.write_text(text)
    assert said in refused("check", path)
