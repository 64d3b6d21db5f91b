"""Mixtures as trainers read them, parsed by the trainers' own syntax."""

import json
import math
import subprocess
import sys
import types
from decimal import Decimal

import numpy as np
import pytest
import yaml

from jaxmix.files import file_hash
from jaxmix.mixtures import Constraints
from jaxmix.report.exports import FORMATS, export_mixture, prepare_export, rounded

from .conftest import proposal

MIXTURE = {"web": 0.6180339, "my code": 0.28196605, "books: 'old'": 0.1, "rare": 5e-8, "none": 0.0}
PATHS = {
    "web": "/data/web, été",
    "my code": "/data/my code/*.npy",
    "books: 'old'": 'C:\\it\'s "$x"',
    "rare": "-r",
}
PLAIN = {"web": "/data/web,été", "my code": "s3://code#1", "books: 'old'": "~b=1", "rare": "./-r"}
ORIGIN = {"law": "additive\nin law.json", "command": "jaxmix export # law.json"}


def exported(format: str) -> str:
    paths = PLAIN if format == "megatron" else PATHS
    return export_mixture(MIXTURE, format, prefixes=paths, tokens=1.5e11, provenance=ORIGIN)


def same(found: dict[str, float], zeros: bool = False) -> None:
    """What is read back is the mixture, number by number, and sums to 1."""
    assert found == {name: value for name, value in MIXTURE.items() if value or zeros}
    assert math.fsum(found.values()) == 1


@pytest.mark.parametrize("seed", range(20))
def test_weights_read_back_and_sum_to_exactly_one(seed):
    weights = np.random.default_rng(seed).dirichlet(np.full(17, 0.05 if seed % 2 else 2.0))
    found = rounded({f"d{i}": w for i, w in enumerate(weights)})
    assert sum(map(Decimal, found.values())) == 1
    for text, value in zip(found.values(), weights, strict=True):
        assert float(text) == pytest.approx(value, rel=1e-14, abs=1e-27)
        assert yaml.safe_load(text) == json.loads(text) == float(text)


def megatron(tokens: list[str]) -> dict[str, float]:
    """A blend as get_blend_from_list of Megatron-LM reads it: weights and prefixes in turn."""
    assert len(tokens) % 2 == 0
    return dict(zip(map(str.strip, tokens[1::2]), map(float, tokens[::2]), strict=True))


def test_megatron_blend_through_the_shell_and_as_a_file(tmp_path):
    text, file = exported("megatron"), tmp_path / "blend"
    file.write_text(text, encoding="utf-8")
    assert "# weight 0: none" in text
    shell = f"printf '%s\\n' $(grep -v '^#' {file})"  # as the help of jaxmix export says
    said = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    for tokens in (said.stdout.split("\n")[:-1], text.splitlines()[-1].split()):
        blend = megatron(tokens)
        same({name: blend[path] for name, path in PLAIN.items()})


@pytest.mark.parametrize(
    "path", [*PATHS.values(), "/a\tb", "/a`b`", "/a(b)", "/a;b", "/\udce9", "/a\\b"][1:]
)
def test_megatron_refuses_what_a_blend_cannot_carry(path):
    with pytest.raises(ValueError, match=r"of domain 'web' (holds|begins with).* --prefix"):
        export_mixture({"web": 1.0}, "megatron", prefixes={"web": path})


def test_levanter_configuration():
    data = yaml.safe_load(exported("levanter"))["data"]
    assert set(data["configs"]) == set(data["train_weights"]) == set(MIXTURE)
    assert {d: c["train_urls"] for d, c in data["configs"].items()} == {
        d: [PATHS.get(d, d)] for d in MIXTURE
    }
    same(data["train_weights"], zeros=True)


def test_hugging_face_script(tmp_path):
    """With the package itself where it is installed: folders of files, drawn by their weights."""
    datasets = pytest.importorskip("datasets")
    folders = {name: tmp_path / path.lstrip("/-") for name, path in PATHS.items()}
    for name, folder in folders.items():
        folder.mkdir(parents=True)
        (folder / "part.jsonl").write_text(json.dumps({"text": name}) + "\n")
    paths = {name: str(folder) for name, folder in folders.items()}
    made: dict = {}
    exec(export_mixture(MIXTURE, "hf", prefixes=paths), made)
    assert isinstance(made["dataset"], datasets.IterableDataset)
    same(dict(zip(paths, made["probabilities"], strict=True)))
    drawn = [row["text"] for row in made["dataset"].take(200)]
    assert drawn.count("web") == pytest.approx(124, abs=30) and "rare" not in drawn


def test_hugging_face_script_calls_what_the_documentation_names(monkeypatch):
    def load_dataset(path, *, split, streaming):
        return path, split, streaming

    def interleave_datasets(datasets, probabilities, seed, stopping_strategy):
        assert stopping_strategy in ("first_exhausted", "all_exhausted") and seed == 0
        return dict(zip(datasets, probabilities, strict=True))

    stand_in = types.SimpleNamespace(**locals())
    monkeypatch.setitem(sys.modules, "datasets", stand_in)
    made: dict = {}
    exec(exported("hf"), made)
    same({d: made["dataset"][path, "train", True] for d, path in PATHS.items()})


def test_olmo_core_sources():
    sources = yaml.safe_load(exported("olmo-core"))["sources"]
    assert all(set(s) == {"source_name", "target_ratio", "paths"} for s in sources)
    assert {s["source_name"]: s["paths"] for s in sources} == {d: [p] for d, p in PATHS.items()}
    same({s["source_name"]: s["target_ratio"] for s in sources})


STOCK = {"web": 3e10, "my code": 1e9, "books: 'old'": 1e12, "rare": 1e3}


def test_olmo_core_may_repeat_what_must_be_repeated():
    text = export_mixture(MIXTURE, "olmo-core", prefixes=PATHS, tokens=1.5e11, available=STOCK)
    found = {s["source_name"]: s for s in yaml.safe_load(text)["sources"]}
    for name, source in found.items():
        most = source.get("max_repetition_ratio", 1.0)
        epochs = MIXTURE[name] * 1.5e11 / STOCK[name]
        assert max(epochs, 1) <= most <= max(epochs, 1) + 0.0011
    assert "max_repetition_ratio" not in found["books: 'old'"]


def test_energon_reads_weights_or_repetitions():
    plain = yaml.safe_load(exported("energon"))
    assert plain["__class__"] == "MetadatasetV2" and plain["__module__"] == "megatron.energon"
    same({n: e["weight"] for n, e in zip(PATHS, plain["splits"]["train"]["blend"], strict=True)})
    options = {"prefixes": PATHS, "tokens": 1.5e11, "available": STOCK}
    text = export_mixture(MIXTURE, "energon", by_epochs=True, **options)
    assert "# epochs: 150B tokens of web=30B my code=1B" in text
    entries = yaml.safe_load(text)["splits"]["train"]["blend_epochized"]
    read = {e["path"]: e["repetitions"] for e in entries}
    for name, path in PATHS.items():
        assert read[path] * STOCK[name] == pytest.approx(MIXTURE[name] * 1.5e11)


def objective(config: dict) -> dict[str, float]:
    """What domains weigh in the expected loss, as DomainMixture of NeMo Automodel computes it."""
    domains = config["domain_mixture"]["domains"]
    blend = config["dataset"]["paths"]
    assert blend[::2] == [d["sampling_weight"] for d in domains]
    assert blend[1::2] == [d["path"] for d in domains]
    factors = [d["objective_weight"] / d["sampling_weight"] for d in domains]
    return {d["name"]: f * w for d, f, w in zip(domains, factors, blend[::2], strict=True)}


SAMPLING = {"web": 0.5, "code": 0.25, "rare": 0.25}
OBJECTIVE = {"web": 0.7, "code": 0.29, "rare": 0.01, "none": 0.0}


def test_sampling_and_objective_of_automodel():
    config = yaml.safe_load(export_mixture(OBJECTIVE, "automodel", sampling=SAMPLING))
    assert objective(config) == pytest.approx({d: w for d, w in OBJECTIVE.items() if w})
    plain = objective(yaml.safe_load(export_mixture(OBJECTIVE, "automodel")))
    assert plain == {d: w for d, w in OBJECTIVE.items() if w}


def test_sampling_in_yaml_and_in_a_script(tmp_path):
    text = export_mixture(OBJECTIVE, "yaml", sampling=SAMPLING, tokens=1e9, available={"web": 1e9})
    found = yaml.safe_load(text)
    drawn, factors = found["sampling"], found["loss_weights"]
    assert {d: drawn[d] * f for d, f in factors.items()} == pytest.approx(
        {d: w for d, w in OBJECTIVE.items() if w}
    )
    assert found["weights"] == OBJECTIVE and found["epochs"] == {"web": 0.5}
    pytest.importorskip("datasets")
    paths = {name: str(tmp_path / name) for name in SAMPLING}
    for name in paths:
        (tmp_path / name).mkdir()
        (tmp_path / name / "part.jsonl").write_text(json.dumps({"text": name}) + "\n")
    made: dict = {}
    exec(export_mixture(OBJECTIVE, "hf", prefixes=paths, sampling=SAMPLING), made)
    rows = {row["text"]: row["loss_weight"] for row in made["dataset"].take(50)}
    assert rows == pytest.approx({"web": 1.4, "code": 1.16, "rare": 0.04})


@pytest.mark.parametrize(
    ("format", "options", "message"),
    [
        ("megatron", {"by_epochs": True}, "shares of the samples, not epochs; .* energon or yaml"),
        ("levanter", {"sampling": SAMPLING}, "no place for loss weights; .* automodel or hf or"),
        ("energon", {"by_epochs": True, "tokens": 1e9}, "epochs need --available of web, code, ra"),
        (
            "yaml",
            {"by_epochs": True, "available": dict.fromkeys(SAMPLING, 1e9)},
            "epochs need --tokens too",
        ),
        ("yaml", {"sampling": {"web": 1.0}}, "sampling weight of 'code' is 0, but .* is 0.29"),
        ("yaml", {"sampling": {"wbe": 1.0}}, "unknown domain 'wbe'"),
        ("yaml", {"sampling": {"web": 0.5}}, "the weights sum to 0.5, not 1"),
    ],
)
def test_what_a_format_cannot_carry_is_refused(format, options, message):
    with pytest.raises(ValueError, match=message) as error:
        export_mixture(OBJECTIVE, format, **options)
    assert "\n" not in str(error.value)


def test_a_large_loss_weight_is_noted():
    made = prepare_export({"a": 0.9, "b": 0.1}, "hf", sampling={"a": 0.05, "b": 0.95})
    assert any("the loss of a is weighted 18 times" in note for note in made.notes)


def test_plain_yaml_has_everything():
    found = yaml.safe_load(exported("yaml"))
    same(found["weights"], zeros=True)
    assert found["tokens"] == 1.5e11 and found["paths"] == PATHS
    assert found["provenance"]["command"] == ORIGIN["command"]
    assert yaml.safe_load(export_mixture({"a": 1.0}, "yaml", tokens=2e22))["tokens"] == 2e22


@pytest.mark.parametrize("format", sorted({*FORMATS} - {"megatron"}))
def test_awkward_names_cannot_break_a_file(format):
    names = ["a\0\x07", "\u2028b", "é\udce9", "#", "{{x}}", "- y", "😀"]
    text = export_mixture(dict.fromkeys(names, 1 / 7), format, prefixes={"#": "a\nb"})
    assert text.encode("utf-8") and "\0" not in text
    if format == "hf":
        compile(text, "mixture.py", "exec")
    else:
        assert all(ascii(n)[1:-1] in ascii(yaml.safe_load(text)) for n in names)


def test_what_was_left_out_or_assumed_is_said():
    said = {f: " ".join(prepare_export(MIXTURE, f, prefixes=PLAIN).notes) for f in FORMATS}
    assert said["hf"] == said["olmo-core"] == said["megatron"]
    assert said["hf"] == "weight 0, so not in the file: none" and said["yaml"] == ""
    assert said["levanter"].startswith("no --prefix for none: the file has the domain's name")
    odd = prepare_export({"a": 0.5, "b": 0.499}, "megatron", prefixes={"a": "/a"})
    assert (
        odd.notes[0] == "weights renormalized (sum 0.999)" and "no --prefix for b" in odd.notes[1]
    )


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
    with pytest.raises(ValueError, match="a and b have one path, '/x'; give each its own --prefix"):
        export_mixture({"a": 0.5, "b": 0.5}, "yaml", prefixes={"a": "/x", "b": "/x"})
    with pytest.raises(ValueError, match="path '' of domain 'a' is empty"):
        export_mixture({"a": 1.0}, "hf", prefixes={"a": ""})
    with pytest.raises(ValueError, match="unknown domain 'c'"):
        export_mixture({"a": 1.0}, "yaml", prefixes={"c": "x"})


def test_hash_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a").startswith("ba7816bf8f01cfea")
