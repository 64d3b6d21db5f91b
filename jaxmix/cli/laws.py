"""``jaxmix laws``: the laws there are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt

if TYPE_CHECKING:
    from jaxmix.laws import Law


@click.command("laws", cls=common.Command, short_help="List the laws there are.")
@opt.out
@opt.json
def command(out: str | None, as_json: bool) -> None:
    """List the laws: formula, number of parameters for k domains, source.

    NAME+repetition is the law NAME at the effective tokens of repeated data.
    """
    common.check_table(out)
    from jaxmix.laws import LAWS

    found, more = {law.name: _entry(law) for law in LAWS.values()}, _more()
    names = ("n_parameters", "formula", "source")
    common.answer(
        as_json,
        {"laws": found, "more": more},
        lambda: [_table(found | more), _REPEATED],
        out=out,
        rows=lambda: [
            {"name": law, **{name: entry[name] for name in names}}
            for law, entry in (found | more).items()
        ],
    )


_REPEATED = (
    "NAME+repetition: the law at the effective tokens and weights of rows that repeat data "
    "(columns unique_<domain>), with one more parameter, R_D_star (chinchilla: R_N_star as well). "
    "Muennighoff et al. 2023 (arXiv 2305.16264), eq. (5) and (6)"
)


def _table(laws: Mapping[str, Mapping[str, Any]]) -> Any:
    words = ("parameters", "formula and source")
    made = common.table("laws", "name", *words, text=words)
    for name, entry in laws.items():
        made.add_row(name, str(entry["n_parameters"]), f"{entry['formula']}\n{entry['source']}")
        made.add_section()
    return made


def _more() -> dict[str, dict[str, Any]]:
    """What ``--law`` takes beside the laws: a family of them."""
    from jaxmix.laws.implicit_domains import FAMILY, FORMULA, SOURCE

    entry = {"formula": FORMULA, "n_parameters": "1 + S + Sk", "inputs": ["weights"]}
    return {FAMILY: {**entry, "source": f"{SOURCE}; write ye-implicit-2"}}


def _entry(law: "Law") -> dict[str, Any]:
    return {
        **common.pick(law, "formula", "source"),
        "n_parameters": law.count_formula(),
        "parameters": [p.name for p in law.parameters],
        "inputs": [i.name for i in law.inputs],
    }
