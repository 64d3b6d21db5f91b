"""The project's own files agree with one another: requirements, pins, version, exports."""

import ast
import pathlib
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import jaxmix

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
PYTHONS = ("3.11", "3.12", "3.13")


def direct_requirements() -> list[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    groups = [PROJECT["build-system"]["requires"], PROJECT["project"]["dependencies"], *extras]
    return [Requirement(line) for group in groups for line in group]


def pins(python: str) -> dict[str, list[str]]:
    """The versions that constraints.txt pins on one Python, by canonical package name."""
    found: dict[str, list[str]] = {}
    for line in CONSTRAINTS.splitlines():
        if not line or line.startswith("#"):
            continue
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate({"python_version": python}):
            version = str(pin.specifier).removeprefix("==")
            found.setdefault(canonicalize_name(pin.name), []).append(version)
    return found


def test_every_constraint_is_an_exact_pin() -> None:
    pin = re.compile(r'[a-z0-9-]+==[0-9][0-9a-z.]*(; python_version (<|>=) "3\.\d+")?')
    lines = [line for line in CONSTRAINTS.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not pin.fullmatch(line)] == []
    assert lines == sorted(lines, key=lambda line: line.partition("==")[0])


def test_constraints_name_no_registry_host_or_path() -> None:
    assert re.findall(r"://|/|\\| @ |--\w+|\.(?:org|com|io|net)\b", CONSTRAINTS) == []


@pytest.mark.parametrize("python", PYTHONS)
def test_each_package_is_pinned_once(python: str) -> None:
    assert {name: v for name, v in pins(python).items() if len(v) != 1} == {}


@pytest.mark.parametrize("python", PYTHONS)
def test_every_direct_dependency_is_pinned_within_its_range(python: str) -> None:
    pinned = pins(python)
    for need in direct_requirements():
        versions = pinned.get(canonicalize_name(need.name), [])
        assert versions, f"{need.name} of pyproject.toml is not in constraints.txt"
        assert need.specifier.contains(versions[0]), f"{need}: constraints.txt pins {versions[0]}"


def test_the_light_install_needs_part_of_what_the_whole_one_does() -> None:
    whole = {Requirement(line) for line in PROJECT["project"]["dependencies"]}
    lines = (ROOT / "requirements-fit.txt").read_text(encoding="utf-8").splitlines()
    light = {Requirement(line) for line in lines if not line.startswith("#")}
    assert light - whole == set()
    heavy = {canonicalize_name(need.name) for need in whole - light}
    assert heavy == {
        "array-record", "flax", "grain", "optax", "orbax-checkpoint", "pillow", "tokenizers",
    }  # fmt: skip


def test_version_is_the_same_everywhere() -> None:
    assert PROJECT["project"]["version"] == jaxmix.__version__


def test_package_is_typed() -> None:
    assert (ROOT / "jaxmix" / "py.typed").is_file()


def hidden_exports(source: str) -> list[str]:
    """Names that an `__init__` takes from jaxmix, neither uses nor says that it exports."""
    tree = ast.parse(source)
    listed = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed |= set(ast.literal_eval(node.value))
    return [
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.level or node.module.startswith("jaxmix"))
        for alias in node.names
        if not (alias.asname or alias.name).startswith("_")
        if alias.asname != alias.name and (alias.asname or alias.name) not in listed
    ]


INITS = sorted((ROOT / "jaxmix").rglob("__init__.py"))


@pytest.mark.parametrize("path", INITS, ids=lambda p: str(p.relative_to(ROOT)))
def test_init_re_exports_explicitly(path: pathlib.Path) -> None:
    assert hidden_exports(path.read_text(encoding="utf-8")) == []


def test_hidden_export_is_caught() -> None:
    assert hidden_exports("from ._x import f") == ["f"]
    assert hidden_exports("from jaxmix.laws import f as g") == ["g"]
    assert hidden_exports("from ._x import f as f, _h\nimport os") == []
    assert hidden_exports("from ._x import f\n__all__ = ['f']") == []
    assert hidden_exports("from ._x import f\ndef g():\n    return f()") == []
