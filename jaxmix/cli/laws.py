"""``jaxmix laws``: the laws there are."""

import click

from jaxmix.cli import common


@click.command("laws", cls=common.Command, short_help="List the laws there are.")
@common.json_option
def laws_command(as_json: bool) -> None:
    """List the laws: formula, number of parameters for k domains, source.

    NAME+repetition is the law NAME at the effective tokens of repeated data.
    """
    from jaxmix.laws import LAWS

    if as_json:
        found = {law.name: _entry(law) for law in LAWS.values()}
        common.emit({"laws": found, "more": dict(_more())})
        return
    made = common.table(
        "laws",
        "name",
        "parameters",
        "formula and source",
        text=("parameters", "formula and source"),
    )
    for law in LAWS.values():
        made.add_row(law.name, law.count_formula(), f"{law.formula}\n{law.source}")
        made.add_section()
    for name, entry in _more():
        made.add_row(name, str(entry["n_parameters"]), f"{entry['formula']}\n{entry['source']}")
        made.add_section()
    common.show(
        made,
        "NAME+repetition: the law at effective tokens and weights, where rows repeat data "
        "(columns unique_<domain>); one more parameter, R_D_star (chinchilla: R_N_star as well). "
        "Muennighoff et al. 2023 (arXiv 2305.16264), eq. (5) and (6)",
    )


def _more() -> list[tuple[str, dict[str, object]]]:
    """What ``--law`` takes beside the laws: a family of them."""
    from jaxmix.laws.implicit_domains import FAMILY, FORMULA, SOURCE

    entry = {"formula": FORMULA, "n_parameters": "1 + S + Sk", "inputs": ["weights"]}
    return [(FAMILY, {**entry, "source": f"{SOURCE}; write ye-implicit-2"})]


def _entry(law) -> dict[str, object]:
    return {
        "formula": law.formula,
        "n_parameters": law.count_formula(),
        "parameters": [p.name for p in law.parameters],
        "inputs": [i.name for i in law.inputs],
        "source": law.source,
    }
