"""No module of the package imports itself, by however long a way; read from the source."""

import ast
import pathlib
from collections.abc import Iterator, Mapping

from tests.test_rooms import CALL, NEVER, PACKAGE, absolute, below, modules

Graph = Mapping[str, set[str]]

# Values and functions that hand on to what is built on them, by imports inside: a fit's strength of
# sharing is chosen by trials, which are fits.
HAND_ON = ("jaxmix.fitting.fitted", "jaxmix.fitting.fit", "jaxmix.mixtures.optimum")


def name_of(path: pathlib.Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def named(node: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Dotted names that a statement may load; some are of things inside modules."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        base = absolute(node, module, is_package)
        yield from (f"{base}.{alias.name}" for alias in node.names)


def loaded(name: str, module: str, known: set[str]) -> Iterator[str]:
    """The modules of which Python runs the code for one name, outermost package first.

    Packages that hold `module` run already.
    """
    parts = name.split(".")
    ways = [".".join(parts[: i + 1]) for i in range(len(parts))]
    found = [way for way in ways if way in known]
    yield from (way for way in found if way == found[-1] or not f"{module}.".startswith(f"{way}."))


def graph(sources: Mapping[str, tuple[str, bool]]) -> Graph:
    """What every module loads, now or in a function, from its source and whether it is a package.

    Imports for types, and those inside the functions of HAND_ON, are no arrows.
    """
    known = set(sources)
    return {
        module: {
            other
            for node, when in below(ast.parse(source))
            if when != NEVER and not (when == CALL and module in HAND_ON)
            for name in named(node, module, is_package)
            for other in loaded(name, module, known)
        }
        for module, (source, is_package) in sources.items()
    }


def reached(start: str, arrows: Graph) -> set[str]:
    found: set[str] = set()
    left = list(arrows[start])
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += arrows[name]
    return found


def circles(arrows: Graph) -> set[frozenset[str]]:
    """Modules that reach one another, as sets."""
    ways = {name: reached(name, arrows) for name in arrows}
    return {
        frozenset(other for other in ways[name] if name in ways[other])
        for name in arrows
        if name in ways[name]
    }


def test_no_module_imports_itself() -> None:
    sources = {
        name_of(path): (path.read_text(encoding="utf-8"), path.name == "__init__.py")
        for path in modules()
    }
    assert [sorted(circle) for circle in circles(graph(sources))] == []


def test_circles_are_found() -> None:
    sources = {
        "jaxmix": ("", True),
        "jaxmix.a": ("from .x import f\nfrom . import y", True),
        "jaxmix.a.x": ("from jaxmix.b.z import g", False),
        "jaxmix.a.y": ("if TYPE_CHECKING:\n    from jaxmix.a import x", False),
        "jaxmix.a.v": ("def f():\n    from jaxmix.a import u", False),
        "jaxmix.a.u": ("import jaxmix.a.v", False),
        "jaxmix.b": ("import jaxmix.b.z", True),
        "jaxmix.b.z": ("import jaxmix.a.y", False),
        "jaxmix.b.w": ("from jaxmix.b import z", False),
    }
    assert circles(graph(sources)) == {
        frozenset({"jaxmix.a", "jaxmix.a.x", "jaxmix.b", "jaxmix.b.z"}),
        frozenset({"jaxmix.a.u", "jaxmix.a.v"}),
    }
