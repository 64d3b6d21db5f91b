"""Mixtures as trainers read them, parsed by the trainers' own syntax."""

import ast
import shlex
from decimal import Decimal

import numpy as np
import pytest
import yaml

from jaxmix.files import file_hash
from jaxmix.mixtures import Constraints
from jaxmix.report.exports import FORMATS, export_mixture, rounded

from .conftest import proposal

MIXTURE = {"web": 0.6180339, "my code": 0.2819661, "books: 'old'": 0.1, "none": 0.0}
PATHS = {"web": "/data/web_text", "my code": "/data/my code/*.npy"}
ORIGIN = {"law": "additive\nin law.json", "command": "jaxmix export # law.json"}


def exported(format: str) -> str:
    return export_mixture(MIXTURE, format, prefixes=PATHS, tokens=1.5e11, provenance=ORIGIN)


def close(found: dict[str, float]) -> None:
    for name, value in MIXTURE.items():
        assert found.get(name, 0.0) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_rounded_weights_sum_to_exactly_one(seed):
    weights = np.random.default_rng(seed).dirichlet(np.full(17, 0.2))
    found = rounded({f"d{i}": w for i, w in enumerate(weights)})
    assert sum(map(Decimal, found.values())) == 1
    for text, value in zip(found.values(), weights, strict=True):
        assert float(text) == pytest.approx(value, abs=1e-6)


def test_megatron_blend_is_weights_and_paths():
    *comments, line = exported("megatron").splitlines()
    assert all(c.startswith("# ") for c in comments) and "# weight 0: none" in comments
    parts = shlex.split(line)
    weights, paths = parts[::2], parts[1::2]
    assert sum(map(Decimal, weights)) == 1 and all(float(w) > 0 for w in weights)
    assert paths == ["/data/web_text", "/data/my code/*.npy", "books: 'old'"]


def test_levanter_configuration():
    data = yaml.safe_load(exported("levanter"))["data"]
    assert set(data["configs"]) == set(data["train_weights"]) == set(MIXTURE)
    assert data["configs"]["web"]["train_urls"] == ["/data/web_text"]
    close(data["train_weights"])


def test_hugging_face_script():
    tree = ast.parse(exported("hf"))
    values = {
        n.targets[0].id: n.value  # type: ignore[attr-defined]
        for n in tree.body
        if isinstance(n, ast.Assign)
    }
    shares = ast.literal_eval(values["probabilities"])
    names = [ast.literal_eval(call.args[0]) for call in values["datasets"].elts]
    assert names == ["/data/web_text", "/data/my code/*.npy", "books: 'old'"]
    assert sum(map(Decimal, map(str, shares))) == 1
    keywords = {k.arg for k in values["dataset"].keywords}
    assert {"probabilities", "seed", "stopping_strategy"} == keywords


def test_olmo_core_sources():
    sources = yaml.safe_load(exported("olmo-core"))["sources"]
    assert all(set(s) == {"source_name", "target_ratio", "paths"} for s in sources)
    assert all(s["target_ratio"] > 0 and isinstance(s["paths"], list) for s in sources)
    close({s["source_name"]: s["target_ratio"] for s in sources})


def test_plain_yaml_has_everything():
    found = yaml.safe_load(exported("yaml"))
    close(found["weights"])
    assert found["tokens"] == 1.5e11 and found["paths"] == PATHS
    assert found["provenance"]["command"] == ORIGIN["command"]


@pytest.mark.parametrize("format", FORMATS)
def test_provenance_is_in_every_format_and_cannot_break_it(format):
    text = exported(format)
    assert "jaxmix export # law.json" in text and "made" in text
    assert "\nin law.json" not in text


def test_an_optimum_says_what_it_was_asked():
    best, _ = proposal(constraints=Constraints(maximum={"web": 0.25}))
    found = yaml.safe_load(export_mixture(best, "yaml"))
    assert found["weights"] == pytest.approx(best.weights, abs=1e-6) and found["tokens"] == 1e11
    origin = found["provenance"]
    assert origin["law"] == "additive" and "N = 1e+09, D = 1e+11" in origin["budget"]
    assert origin["constraints"] == "web<=0.25"


def test_refusals():
    with pytest.raises(ValueError, match="unknown format 'nemo'"):
        export_mixture({"a": 1.0}, "nemo")
    with pytest.raises(ValueError, match=r"weights sum to 0\.9"):
        export_mixture({"a": 0.9}, "yaml")
    with pytest.raises(ValueError, match="weight of 'a' is -1"):
        export_mixture({"a": -1.0, "b": 2.0}, "yaml")
    with pytest.raises(ValueError, match="unknown domain 'c'"):
        export_mixture({"a": 1.0}, "yaml", prefixes={"c": "x"})


def test_hash_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a").startswith("ba7816bf8f01cfea")
