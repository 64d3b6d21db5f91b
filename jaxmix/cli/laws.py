"""``jaxmix laws``: the laws there are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt

if TYPE_CHECKING:
    from jaxmix.laws import Law


@click.command("laws", cls=common.Command)
@opt.out
@opt.json
def command(out: str | None, as_json: bool) -> None:
    """List the laws: formula, number of parameters for k domains, source.

    Transforms such as +repetition and +harm are added to a name.
    """
    common.check_table(out)
    from jaxmix.laws import LAWS

    found, more = {law.name: _entry(law) for law in LAWS.values()}, _more()
    names = ("n_parameters", "formula", "source")
    common.answer(
        as_json,
        {"laws": found, "more": more},
        lambda: [_table(found | more), _transformed()],
        out=out,
        rows=lambda: [
            {"name": law, **{name: entry[name] for name in names}}
            for law, entry in (found | more).items()
        ],
    )


def _transformed() -> str:
    """What may be added to the name of a law: each transform in one line."""
    from jaxmix.laws import TRANSFORMS

    said = [f"{end}: {_WORDS[end]}" for end in TRANSFORMS]
    return "\n".join([_BEHIND, *said])


_BEHIND = "Add one or more of these to a name, as in effective+repetition+harm:"
_WORDS = {
    "+repetition": "what repeated tokens are still worth (columns unique_<domain>), with one more "
    "parameter, R_D_star (chinchilla: R_N_star as well). Muennighoff et al. 2023 "
    "(arXiv 2305.16264), eq. (5) and (6)",
    "+repetition-by-domain": "the same with an R_D_star for every domain",
    "+harm": "+ sum_i g_i max(e_i (N/U_i)^nu/t - 1, 0), e_i = h_i D/U_i epochs: reading a domain "
    "too often raises the loss, sooner for larger models; k + 2 parameters",
    "+scarcity": "+ 1/(sum_i tau_i min(h_i D, U_i))^c: unique tokens bound the loss; k + 1 "
    "parameters",
    "+before": "at D + rho P for runs that continue others, P in column tokens_before; one "
    "parameter",
    "+floor": "F + exp(the law): what N, D and the mixture cost multiplies above a floor; one "
    "parameter",
}


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
