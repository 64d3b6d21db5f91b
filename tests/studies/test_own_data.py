"""Studies of data and a tokenizer of the user's own, by their plans."""

import json

from jaxmix.data.tokenizer import train_tokenizer
from jaxmix.studies import CorpusSpec, Size, Study, load_plan, make_plan
from jaxmix.studies.plan import tokenizer_name


def test_a_plan_names_its_data_and_tokenizer(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXMIX_CACHE", str(tmp_path / "cache"))
    texts = [f"{i} words and {i} more of them, again and again" for i in range(200)]
    own = train_tokenizer("bpe-300", texts)
    (tmp_path / "own.json").write_text(own.dumps())
    lines = [json.dumps({"body": text, "text": text[::-1]}) for text in texts]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    domains = {"web": str(tmp_path / "rows.jsonl")}
    spec = CorpusSpec("own", str(tmp_path / "own.json"), max_bytes=5_000, domains=domains)
    study = Study(spec, (Size("tiny-16", 4_096),), mixtures={"a": {"web": 1.0}}, checkpoints=1)
    plan = make_plan(study)
    plan.save(tmp_path / "plan.json")
    again = load_plan(tmp_path / "plan.json")
    corpus = again.study.corpus.open()
    assert again == plan and corpus.hash == plan.corpus_hash
    assert tokenizer_name(corpus) == f"bpe-300-{own.hash[:12]}"
    assert corpus.domains == ("web",)
