"""Hooks of the documentation's build: generated pages, formulas, and checks of every page.

MkDocs calls the functions whose names begin with ``on_``. Warnings fail the build, which is strict.
"""

import logging
import pathlib
import re
import sys
from typing import Any

import latex2mathml.converter
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import api_pages
import checks
import cli_pages
import notebook_pages

log = logging.getLogger("mkdocs.hooks.jaxmix")
FORMULA = re.compile(r"(?<![\\$`])(\$\$?)(?!\s)([^$`]+?)(?<!\s)\1(?!\d)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fills the navigation's entries of generated pages."""
    for section in config.nav or []:
        for pages in section.values():
            if isinstance(pages, list):
                for entry in pages:
                    fill(entry)
    return config


def fill(entry: Any) -> None:
    """Replaces the list ``[cli]`` or ``[api]`` of an entry by the generated pages."""
    made = {"cli": cli_pages.navigation, "api": api_pages.navigation}
    if isinstance(entry, dict):
        for title, value in entry.items():
            if isinstance(value, list) and len(value) == 1 and value[0] in made:
                entry[title] = made[value[0]]()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of the command line, of the Python API and of the tutorials."""
    made = {**cli_pages.pages(), **api_pages.pages(), **notebook_pages.pages()}
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Checks a page, and writes its formulas as MathML, which browsers draw without scripts."""
    if not page.file.src_uri.startswith("reference/"):
        for problem in checks.problems(markdown):
            log.warning("%s: %s", page.file.src_uri, problem)
    fences = re.split(r"(^ *```.*?^ *```+ *$)", markdown, flags=re.M | re.S)
    return "".join(text if i % 2 else FORMULA.sub(mathml, text) for i, text in enumerate(fences))


def mathml(found: re.Match[str]) -> str:
    """A formula between ``$`` or ``$$`` as MathML."""
    display = "block" if found[1] == "$$" else "inline"
    return latex2mathml.converter.convert(" ".join(found[2].split()), display=display)
