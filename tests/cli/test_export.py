"""``jaxmix export``: what it takes, what it writes, what it refuses."""

import pytest
import yaml

from jaxmix.fitting.files import load_laws
from jaxmix.mixtures import optimize

BUDGET = ("--n-params", "7B", "--tokens", "150B")


def test_law_to_yaml_with_its_origin(run, study):
    result = run("export", study.law, *BUDGET, "--format", "yaml", "--prefix", "w_web=/data/web")
    found = yaml.safe_load(result.out)
    want = optimize(load_laws(study.law), 7e9, 150e9).weights
    assert result.status == 0 and "note: " in result.err
    assert found["weights"] == pytest.approx(want, abs=1e-6)
    assert found["paths"] == {"web": "/data/web"} and found["tokens"] == 150e9
    assert "sha256" in found["provenance"]["law"]


def test_weights_on_the_command_line_and_from_optimize(run, study, tmp_path):
    listed = run("export", "w_web=0.7,code=0.3", "--format", "megatron", "--prefix", "web=/a,b")
    assert "note: no --prefix for code" in listed.err
    assert listed.out.splitlines()[-1] == "0.7 /a,b 0.3 code"
    (tmp_path / "best.json").write_text(run("optimize", study.law, *BUDGET, "--json").out)
    again = run("export", tmp_path / "best.json", "--format", "megatron").out
    law = run("export", study.law, *BUDGET, "--format", "megatron").out
    assert again.splitlines()[-1] == law.splitlines()[-1]


def test_epochs_and_sampling(run, study):
    stock = ("--available", "web=10B,code=50B")
    law = run("export", study.law, *BUDGET, *stock, "--epochs", "--format", "energon")
    text = run("export", study.law, *BUDGET, *stock, "--format", "yaml")
    epochs = yaml.safe_load(text.out)["epochs"]
    entries = yaml.safe_load(law.out)["splits"]["train"]["blend_epochized"]
    assert {e["path"]: e["repetitions"] for e in entries} == pytest.approx(epochs)
    assert epochs["web"] * 10 + epochs["code"] * 50 == pytest.approx(150)
    mixed = ("web=0.9,code=0.1", "--format", "automodel", "--sampling", "proportional")
    found = yaml.safe_load(run("export", *mixed, *stock).out)["domain_mixture"]["domains"]
    assert [d["sampling_weight"] for d in found] == pytest.approx([1 / 6, 5 / 6])
    assert [d["objective_weight"] for d in found] == [0.9, 0.1]


def test_writes_a_file(run, tmp_path):
    out = tmp_path / "mix.py"
    result = run("export", "a=0.5,b=0.5", "--format", "hf", "--out", out)
    assert result.out == "" and "interleave_datasets" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("LAW", "--format", "yaml"), "is a law; name the budget"),
        (("LAW", "--format", "nemo"), "'nemo' is not one of"),
        (("nothing.json", "--format", "yaml"), "no such file; give a law"),
        (("a=0.5,b=0.4", "--format", "yaml"), "the weights sum to 0.9"),
        (("w_a=1,a=0", "--format", "yaml"), "a domain is given in both spellings"),
        (("a=x", "--format", "yaml"), "'a=x' is not name=number"),
        (("a=1", "--format", "yaml", "--max", "a=0.5"), "is a mixture and no law, so --max does"),
        (("LAW", *BUDGET, "--format", "yaml", "--min", "wbe=1"), "unknown domain 'wbe'"),
        (("a=1", "--format", "yaml", "--prefix", "b=/x"), "unknown domain 'b'"),
        (("a=1", "--format", "yaml", "--prefix", "b"), "'b' is not domain=path"),
        (("a=1", "--format", "megatron", "--prefix", "a=/x y"), "holds ' ', which does not"),
        (("a=1", "--format", "yaml", "--out", "no/where.yaml"), "does not exist; make it first"),
        (("RUNS", "--format", "yaml"), "is not JSON"),
        (("a=1", "--format", "megatron", "--available", "a=1B"), "so --available does not apply"),
        (("a=1", "--format", "megatron", "--sampling", "uniform"), "no place for loss weights"),
        (("a=1", "--format", "yaml", "--sampling", "proportional"), "needs --available of a too"),
        (("a=1", "--format", "energon", "--epochs"), "epochs need --available of a too"),
    ],
)
def test_refuses(refused, study, arguments, message):
    known = {"LAW": study.law, "RUNS": study.runs}
    assert message in refused("export", *(known.get(a, a) for a in arguments))
