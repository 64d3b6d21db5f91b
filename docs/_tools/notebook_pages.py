"""Pages of the tutorials: notebooks without outputs, which are executed when the site is built.

A notebook becomes a Markdown page with what its cells printed and drew. Its file lies beside the
page, for Jupyter and marimo. An error in a cell fails the build.
"""

import base64
import hashlib
import pathlib
import re
from concurrent.futures import ThreadPoolExecutor

import nbformat
from nbclient import NotebookClient

DOCS = pathlib.Path(__file__).resolve().parents[1]
FOLDER = "tutorials"
SECONDS = 600  # most time of a cell
DONE = pathlib.Path("notebooks")  # below the folder of the build, which `make docs` empties first
AT_ONCE = 2


def pages() -> dict[str, str | bytes]:
    """Markdown and pictures by path."""
    sources = sorted((DOCS / FOLDER).glob("*.ipynb"))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        executed = list(pool.map(execute, sources))
    found: dict[str, str | bytes] = {}
    for source, notebook in zip(sources, executed, strict=True):
        found |= page(source.stem, notebook)
    return found


def execute(source: pathlib.Path) -> nbformat.NotebookNode:
    """A notebook with its outputs; those of an earlier build if it has not changed since."""
    text = source.read_text(encoding="utf-8")
    kept = DONE / f"{source.stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.ipynb"
    if kept.is_file():
        return nbformat.read(kept, 4)
    notebook = nbformat.reads(text, 4)
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(source.parent)}},
    )
    client.execute()
    DONE.mkdir(exist_ok=True)
    nbformat.write(notebook, kept)
    return notebook


def page(name: str, notebook: nbformat.NotebookNode) -> dict[str, str | bytes]:
    """The page of a notebook, and its pictures, by path."""
    parts, pictures = [], {}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(re.sub(r"\]\(([\w-]+)\.ipynb\)", r"](\1.md)", cell.source))
            continue
        parts.append(fence(cell.source, "python"))
        for i, output in enumerate(cell.get("outputs", ())):
            path = f"pictures/{name}-{number}-{i}.png"
            text, drawn = shown(output, path)
            parts.append(text)
            pictures |= {f"{FOLDER}/{path}": drawn} if drawn else {}
    title, rest = parts[0].split("\n", 1)
    parts[0] = f"{title}\n\n[Download this page as a notebook]({name}.ipynb){{ download }}\n{rest}"
    return {f"{FOLDER}/{name}.md": "\n\n".join(parts) + "\n", **pictures}


def shown(output: nbformat.NotebookNode, path: str) -> tuple[str, bytes]:
    """An output as Markdown, and the picture that it refers to by its path, if it is one."""
    if output.output_type == "stream":
        return fence(output.text, "text"), b""
    data = output.data
    if "image/png" in data:
        return f"![What the code above draws]({path})", base64.b64decode(data["image/png"])
    if "text/html" in data:
        return html(data["text/html"]), b""
    return fence(data["text/plain"], "text"), b""


def fence(text: str, language: str) -> str:
    """A block of code, or of text that was printed."""
    kind = "{.text .printed}" if language == "text" else language
    return f"```{kind}\n{text.rstrip()}\n```"


def html(text: str) -> str:
    """HTML as one block of Markdown; tables take the style of the site."""
    plain = re.sub(r"<style.*?</style>|<script.*?</script>", "", text, flags=re.S)
    plain = re.sub(r' border="1"| class="dataframe"| style="text-align: right;"', "", plain)
    line = re.sub(r"\n\s*", "", plain).replace("$", "&#36;")  # no formulas
    return f'<div class="output">\n{line}\n</div>'
