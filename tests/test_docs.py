"""What the documentation names exists: commands, their options, Python names, files, targets."""

import importlib.util
import json
import pathlib
import types
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
NOTEBOOKS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))


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


def flaws(notebook: dict[str, Any]) -> list[str]:
    """Why a notebook should not be committed: outputs, or what `checks` finds in its cells."""
    cells = notebook["cells"]
    made = [c["id"] for c in cells if c.get("outputs") or c.get("execution_count")]
    code = "```python\n{}\n```".format
    text = [
        c["source"] if c["cell_type"] == "markdown" else code(c["source"])
        for c in ({**c, "source": "".join(c["source"])} for c in cells)
    ]
    return [*(f"cell {one} has outputs" for one in made), *checks.problems("\n\n".join(text))]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_have_no_outputs_and_name_what_exists(path: pathlib.Path) -> None:
    assert flaws(json.loads(path.read_text(encoding="utf-8"))) == []


def test_flaws_of_notebooks_are_caught() -> None:
    def cell(source: str, **more: Any) -> dict[str, Any]:
        return {"cell_type": "code", "id": "a", "source": [source], "outputs": [], **more}

    assert flaws({"cells": [cell("x = 1")]}) == []
    assert len(flaws({"cells": [cell("x = = 1")]})) == 1
    assert len(flaws({"cells": [cell("x = 1", outputs=[{"text": "1"}])]})) == 1
    assert len(flaws({"cells": [cell("x = 1", execution_count=3)]})) == 1
    assert len(flaws({"cells": [cell("import jaxmix as jm\njm.fti()")]})) == 1
