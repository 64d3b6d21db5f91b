"""What the documentation names exists: commands, their options, Python names, files, targets."""

import importlib.util
import pathlib
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def load_checks() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("checks", ROOT / "docs" / "_tools" / "checks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


checks = load_checks()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: pathlib.Path) -> None:
    assert checks.problems(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "page",
    [
        "```sh\njaxmix fit runs.csv --low joint\n```",
        "```sh\nmake nothing\n```",
        "```sh\njaxmix laws && python benchmarks/none.py\n```",
        "```python\nimport jaxmix as jm\njm.fti(runs)\n```",
        "```python\nfrom jaxmix.runs import nothing\n```",
        "```python\nx = = 1\n```",
        "Call `jaxmix study begin`.",
        "Give `--no-such-option`.",
        "See `docs/none.md`.",
        "`jaxmix.fitting.none`",
    ],
)
def test_what_does_not_exist_is_caught(page: str) -> None:
    assert len(checks.problems(page)) == 1
