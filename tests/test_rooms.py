"""The arrows between the rooms: which module may import what, read from the source, never run."""

import ast
import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "jaxmix"


@dataclasses.dataclass(frozen=True)
class Room:
    """What a room may import besides the standard library, itself and what all rooms share.

    What stands in `later` is imported inside functions only: methods that hand on to the next
    room, and plots.
    """

    packages: frozenset[str] = frozenset()
    rooms: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()


def room(packages: str = "", rooms: str = "", later: str = "") -> Room:
    return Room(frozenset(packages.split()), frozenset(rooms.split()), frozenset(later.split()))


SHARED = frozenset({"__version__", "claims", "display", "errors", "files", "notes", "quantities"})
ROOMS = {
    "data": room(
        "array_record datasets grain huggingface_hub numpy PIL pyarrow resvg_py tokenizers"
    ),
    "models": room("flax jax", "placement"),
    "training": room("jax numpy optax orbax", "placement runs"),
    "runs": room("numpy pandas", later="matplotlib"),
    "laws": room("jax numpy"),
    "fitting": room("jax jaxopt numpy pandas scipy", "laws runs", later="matplotlib mixtures"),
    "mixtures": room("jax numpy pandas scipy", "fitting laws runs", later="matplotlib"),
    "studies": room("numpy", "data mixtures models placement runs training", later="ray"),
    "report": room("matplotlib numpy pandas", "fitting laws mixtures runs"),
    "cli": room(
        "click pandas rich",
        "data examples fitting laws mixtures models report runs studies training",
    ),
    # Not rooms, but modules of the package all the same.
    "__init__": room(later="examples fitting laws mixtures report runs"),
    "examples": room(rooms="runs"),
    "claims": room(),
    "errors": room(),
    "files": room("numpy"),
    "notes": room(),
    "display": room(later="matplotlib"),
    "placement": room("jax"),
    "quantities": room(),
    "__main__": room(rooms="cli"),
}

# Light rooms load where the trainers' packages are absent: the table allows a light room
# none of them, and the rooms that need one are imported inside functions only.
LIGHT = ("runs", "laws", "fitting", "mixtures", "report", "cli")
HEAVY_PACKAGES = frozenset({"flax", "grain", "orbax", "tokenizers"})
HEAVY_ROOMS = frozenset({"data", "models", "training", "studies"})


# When a statement runs: when its module is loaded, when a function is called, or for types only.
LOAD, CALL, NEVER = "load", "call", "never"


@dataclasses.dataclass(frozen=True)
class Import:
    """One imported module: its dotted name, where it stands, and whether loading runs it."""

    name: str
    line: int
    at_load: bool


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """The dotted name that `from <node> import ...` means inside `module`."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    base = parts[: len(parts) - node.level + is_package]
    return ".".join([*base, *filter(None, [node.module])])


def named(node: ast.AST, module: str, is_package: bool) -> list[str]:
    """The modules that one statement or call imports."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            base = absolute(node, module, is_package)
            if base == "jaxmix":  # `from jaxmix import laws` is an arrow to laws
                return [f"jaxmix.{alias.name}" for alias in node.names]
            return [base]
        case ast.Call(
            func=ast.Name("__import__" | "import_module") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(str(name)), *_],
        ):
            return [name]
    return []


def below(node: ast.AST, when: str = LOAD) -> Iterator[tuple[ast.AST, str]]:
    """Every node below `node`, at any depth, and when it runs: LOAD, CALL or NEVER."""
    for child in ast.iter_child_nodes(node):
        yield child, when
        if isinstance(child, ast.If) and is_type_checking(child.test):
            yield from below(ast.Module(child.body, []), NEVER)
            yield from below(ast.Module(child.orelse, []), when)
            continue
        deferred = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from below(child, CALL if deferred and when == LOAD else when)


def imports(node: ast.AST, module: str, is_package: bool) -> Iterator[Import]:
    """Every import below `node`, at any depth."""
    for child, when in below(node):
        for name in named(child, module, is_package):
            yield Import(name, getattr(child, "lineno", 0), when == LOAD)


def fault(found: Import, here: str) -> str | None:
    """What is wrong with one import in room `here`, or None."""
    top, _, rest = found.name.partition(".")
    allowed = ROOMS[here]
    target = rest.partition(".")[0] if top == "jaxmix" else top
    if target in allowed.later:
        wrong = f"room {here} may import {found.name} only inside the function that needs it"
        return wrong if found.at_load else None
    if top != "jaxmix":
        if top in sys.stdlib_module_names or top in allowed.packages:
            return None
        return f"room {here} may not import package {top}"
    if not target:
        return "imports jaxmix whole: name the room"
    if target in SHARED or target == here:
        return None
    if target not in allowed.rooms:
        return f"room {here} may not import room {target}"
    if here in LIGHT and target in HEAVY_ROOMS and found.at_load:
        return f"room {here} is light: import {found.name} inside the function that needs it"
    return None


def violations(source: str, path: str) -> list[str]:
    """The faults of one module; `path` is relative to the folder that holds jaxmix."""
    parts = pathlib.PurePosixPath(path).with_suffix("").parts
    here = parts[1]
    if here not in ROOMS:
        return [f"{path}: {here} is not a room; rooms and their arrows are in ROOMS of {__file__}"]
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    found = imports(ast.parse(source, path), module, is_package)
    faults = ((one, fault(one, here)) for one in found)
    return [f"{path}:{one.line}: {text}" for one, text in faults if text]


def modules() -> list[pathlib.Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_module_keeps_to_the_arrows_of_its_room(path: pathlib.Path) -> None:
    relative = path.relative_to(PACKAGE.parent).as_posix()
    assert violations(path.read_text(encoding="utf-8"), relative) == []


FORBIDDEN = [
    ("jaxmix/runs/_x.py", "import jax.numpy as jnp", "room runs may not import package jax"),
    ("jaxmix/runs.py", "def f():\n    import jax", "room runs may not import package jax"),
    ("jaxmix/data/_x.py", "import jax", "room data may not import package jax"),
    ("jaxmix/laws/_x.py", "from flax import nnx", "room laws may not import package flax"),
    ("jaxmix/laws/_x.py", "from ..fitting import fit", "room laws may not import room fitting"),
    ("jaxmix/errors.py", "from jaxmix.laws import Law", "room errors may not import room laws"),
    ("jaxmix/laws/__init__.py", "from ..fitting import fit", "may not import room fitting"),
    ("jaxmix/laws/deep/_x.py", "from ...runs import read", "room laws may not import room runs"),
    ("jaxmix/laws/_x.py", "from .. import runs", "room laws may not import room runs"),
    ("jaxmix/runs/_x.py", "from jaxmix import laws", "room runs may not import room laws"),
    ("jaxmix/runs/_x.py", "import jaxmix.laws as l", "room runs may not import room laws"),
    ("jaxmix/laws/_x.py", "import jaxmix", "name the room"),
    ("jaxmix/mixtures/_x.py", "from jaxmix.report import plot", "may not import room report"),
    ("jaxmix/fitting/_x.py", "import importlib\nimportlib.import_module('optax')", "package optax"),
    ("jaxmix/training/_x.py", "if TYPE_CHECKING:\n    import jaxmix.laws", "may not import room"),
    ("jaxmix/cli.py", "from jaxmix.training import loop", "cli is light"),
    ("jaxmix/cli.py", "try:\n    import jaxmix.models\nfinally:\n    pass", "cli is light"),
    ("jaxmix/cli.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import jaxmix.data", "cli is light"),
    ("jaxmix/cli.py", "def f():\n    import grain", "room cli may not import package grain"),
    ("jaxmix/cli.py", "class A:\n    import jaxmix.data", "cli is light"),
    ("jaxmix/__init__.py", "from jaxmix.laws import additive", "only inside the function"),
    ("jaxmix/fitting/_x.py", "import jaxmix.mixtures.optimize", "only inside the function"),
    ("jaxmix/fitting/_x.py", "from matplotlib import pyplot", "only inside the function"),
    ("jaxmix/utils.py", "", "is not a room"),
]
ALLOWED = [
    ("jaxmix/runs/_x.py", "import csv\nimport numpy as np\nfrom . import _y\nfrom ._y import a"),
    ("jaxmix/laws/__init__.py", "from ._x import f as f\nfrom .deep import g as g"),
    ("jaxmix/fitting/_x.py", "from ..laws import Law\nfrom jaxmix import runs, __version__"),
    ("jaxmix/cli.py", "def train():\n    from jaxmix.training import loop"),
    ("jaxmix/cli.py", "import typing\nif typing.TYPE_CHECKING:\n    import jaxmix.data"),
    ("jaxmix/__main__.py", "from jaxmix.cli import main"),
    ("jaxmix/data/_x.py", "from jaxmix.errors import JaxmixError"),
    ("jaxmix/fitting/_x.py", "def f():\n    from jaxmix.mixtures import optimize"),
]


@pytest.mark.parametrize(("path", "source", "message"), FORBIDDEN)
def test_forbidden_import_is_caught(path: str, source: str, message: str) -> None:
    faults = violations(source, path)
    assert len(faults) == 1
    assert message in faults[0]


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_allowed_import_is_not_a_fault(path: str, source: str) -> None:
    assert violations(source, path) == []


def run_python(code: str, **environment: str) -> None:
    """Runs `code` in a fresh interpreter at the root; fails with its error."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr


def present(names: tuple[str, ...]) -> list[str]:
    """Those rooms that hold a module already."""
    return [n for n in names if (PACKAGE / f"{n}.py").exists() or any(PACKAGE.glob(f"{n}/*.py"))]


def block(packages: frozenset[str]) -> str:
    return f"import sys; sys.modules.update(dict.fromkeys({sorted(packages)!r}))\n"


@pytest.mark.parametrize("name", ["", *present(LIGHT)])
def test_light_room_loads_where_the_trainers_packages_are_absent(name: str) -> None:
    run_python(block(HEAVY_PACKAGES) + f"import {'.'.join(filter(None, ['jaxmix', name]))}")


def test_light_rooms_import_what_the_light_install_has() -> None:
    lines = (PACKAGE.parent / "requirements-fit.txt").read_text(encoding="utf-8").splitlines()
    held = {line.partition(">=")[0] for line in lines if not line.startswith("#")}
    assert set().union(*(ROOMS[name].packages for name in LIGHT)) - held == set()


def test_block_stops_an_import() -> None:
    with pytest.raises(AssertionError, match="tokenizers"):
        run_python(block(HEAVY_PACKAGES) + "import tokenizers")


@pytest.mark.parametrize("name", ["jaxmix", *(f"jaxmix.{n}" for n in present(("runs",)))])
def test_loads_without_jax(name: str) -> None:
    run_python(block(HEAVY_PACKAGES | {"jax", "jaxlib"}) + f"import {name}")


def test_package_itself_imports_nothing_but_the_standard_library() -> None:
    run_python(
        "import sys, jaxmix\n"
        "new = {m.partition('.')[0] for m in sys.modules} & {'numpy', 'pandas', 'jax', 'rich'}\n"
        "assert not new, new"
    )


def test_no_module_uses_a_device_when_it_is_imported() -> None:
    """A process joins its group before JAX starts; here JAX cannot start, and says where it tried.

    See `jaxmix train --coordinator`.
    """
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in modules()]
    names = [n.removesuffix(".__init__") for n in names if n != "jaxmix.__main__"]
    run_python(f"import importlib\nfor n in {names!r}: importlib.import_module(n)", **NO_DEVICE)


NO_DEVICE = {"JAX_PLATFORMS": "none_such"}


def test_what_uses_a_device_is_caught() -> None:
    with pytest.raises(AssertionError, match="none_such"):
        run_python("import jax.numpy as jnp; jnp.arange(3)", **NO_DEVICE)
