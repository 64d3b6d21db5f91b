"""``jaxmix examples``: the run tables that ship with the package."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.errors import JaxmixError
from jaxmix.examples import EXAMPLES, load_example
from jaxmix.quantities import amount

if TYPE_CHECKING:
    from jaxmix.runs import RunTable


@click.group("examples", cls=common.Group, no_args_is_help=False)
def group() -> None:
    """List the run tables that ship with jaxmix, or copy one to a file of your own."""


@group.command("list")
@opt.json
def list_command(as_json: bool) -> None:
    """List the example tables: what was trained, domains, targets, sizes, license and source."""
    found = {name: _facts(name, load_example(name)) for name in EXAMPLES}
    common.answer(as_json, {"examples": found}, lambda: _parts(found))


@group.command("copy")
@click.argument("name", type=click.Choice(list(EXAMPLES)), metavar="NAME")
@opt.out
@opt.json
def copy_command(name: str, out: str | None, as_json: bool) -> None:
    """Copy the example table NAME to a file, by default NAME.csv in this folder."""
    path = out or f"{name}.csv"
    common.check_table(path)
    if out is None and Path(path).exists():
        raise JaxmixError(f"{path}: exists already; name the file to write with --out")
    runs = load_example(name)
    common.write_rows(path, runs.frame)
    text = f"{len(runs)} rows of {name} written to {path}"
    common.answer(as_json, {"name": name, "out": path, "rows": len(runs)}, lambda: [text])


def _facts(name: str, runs: "RunTable") -> dict[str, Any]:
    sizes = sorted({float(n) for n in runs.n_params})
    return {
        **vars(EXAMPLES[name]),
        "rows": len(runs),
        "runs": runs.frame["run"].nunique(),
        "mixtures": len({tuple(row) for row in runs.weights.round(6).tolist()}),
        "domains": runs.domains,
        "targets": runs.targets,
        "n_params": sizes,
        "tokens": [float(runs.tokens.min()), float(runs.tokens.max())],
    }


def _parts(found: dict[str, dict[str, Any]]) -> list[Any]:
    columns = ("rows", "runs", "mixtures", "domains", "targets", "N", "D")
    rows = (
        (
            name,
            *(str(one[count]) for count in columns[:3]),
            *(str(len(one[names])) for names in columns[3:5]),
            _range(one["n_params"]),
            _range(one["tokens"]),
        )
        for name, one in found.items()
    )
    return [
        common.table("example tables", "name", *columns, rows=rows),
        *(_about(name, one) for name, one in found.items()),
        "copy one: jaxmix examples copy text --out runs.csv",
    ]


def _range(values: list[float]) -> str:
    return " to ".join(amount(value) for value in (values[0], values[-1]))


def _about(name: str, one: dict[str, Any]) -> str:
    unseen = [target for target in one["targets"] if target not in one["domains"]]
    more = f"; and {', '.join(unseen)}" if unseen else ""
    return (
        f"{name}: {one['about']}\n"
        f"domains {', '.join(one['domains'])}\n"
        f"targets the domains{more}\n"
        f"data    corpus {one['corpus']} (jaxmix data list); made by {one['folder']}\n"
        f"license {one['license']}"
    )
