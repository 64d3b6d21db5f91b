"""Pages of the Python API: the everyday names, and what each package of jaxmix exports."""

import ast
import importlib
import inspect
import pathlib

import jaxmix

FOLDER = "reference/api"
ROOT = pathlib.Path(jaxmix.__file__).parent
PACKAGES = {
    "runs": "Run tables",
    "laws": "Laws",
    "fitting": "Fits",
    "mixtures": "Mixtures",
    "report": "Report and exports",
    "data": "Data",
    "models": "Models",
    "training": "Training",
    "studies": "Studies",
}


def navigation() -> list[str | dict[str, str]]:
    """Entries of the navigation."""
    rooms = [{f"jaxmix.{room}": f"{FOLDER}/{room}.md"} for room in PACKAGES]
    return [f"{FOLDER}/index.md", *rooms]


def pages() -> dict[str, str]:
    """Markdown by path."""
    found = {f"{FOLDER}/{room}.md": package(room, title) for room, title in PACKAGES.items()}
    return {f"{FOLDER}/index.md": everyday(), **found}


def exports(room: str) -> dict[str, str]:
    """Where the names come from that a package exports: ``{name: module}``."""
    tree = ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))
    return {
        alias.name: str(node.module)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }


def package(room: str, title: str) -> str:
    """All that a package exports."""
    text = [f"# {title}: `jaxmix.{room}`", intro(room)]
    homes = exports(room)
    names = sorted(homes, key=lambda name: (name[0].islower(), name))
    own = [name for name in names if f"{homes[name]}.".startswith(f"jaxmix.{room}.")]
    text += [f"::: {identifier(room, name)}" for name in own]
    return "\n\n".join(text)


def identifier(room: str, name: str) -> str:
    """Where the generator finds a name; in its own module if that has the same name."""
    home = exports(room)[name]
    return f"{home}.{name}" if home.endswith(f".{name}") else f"jaxmix.{room}.{name}"


def intro(room: str) -> str:
    """The package's own docstring."""
    return inspect.cleandoc(importlib.import_module(f"jaxmix.{room}").__doc__ or "")


def everyday() -> str:
    """The names of ``import jaxmix as jm``, each with its first line and a link."""
    text = [
        "# Python",
        "`import jaxmix as jm` offers the names that everyday work needs. Each is loaded when it "
        "is first used, so the import itself is fast. The packages in the navigation hold "
        "everything else.",
    ]
    for room, names in jaxmix._HOMES.items():
        rows = [f"| {link(room, name)} | {first_line(name)} |" for name in names]
        text.append(
            "\n".join([f"**From `jaxmix.{room}`**\n", "| name | what it is |", "|---|---|", *rows])
        )
    text += ["::: jaxmix.JaxmixError", "::: jaxmix.load_example"]
    return "\n\n".join(text)


def link(room: str, name: str) -> str:
    """A link to where a name is documented."""
    page = f"{room}.md#{identifier(room, name)}" if room in PACKAGES else f"#jaxmix.{name}"
    return f"[`jm.{name}`]({page})"


def first_line(name: str) -> str:
    """The first line of its docstring."""
    return (inspect.getdoc(getattr(jaxmix, name)) or "").partition("\n")[0].replace("``", "`")
