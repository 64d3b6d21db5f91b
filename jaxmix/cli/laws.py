"""``jaxmix laws``: the laws there are."""

import click

from jaxmix.cli import skin


@click.command("laws", cls=skin.Command, short_help="List the laws there are.")
@skin.json_option
def laws_command(as_json: bool) -> None:
    """List the laws: formula, number of parameters for k domains, source."""
    from jaxmix.laws import LAWS

    if as_json:
        skin.emit({"laws": {law.name: _entry(law) for law in LAWS.values()}})
        return
    made = skin.table(
        "laws",
        "name",
        "parameters",
        "formula and source",
        text=("parameters", "formula and source"),
    )
    for law in LAWS.values():
        made.add_row(law.name, law.count_formula(), f"{law.formula}\n{law.source}")
        made.add_section()
    skin.show(made)


def _entry(law) -> dict[str, object]:
    return {
        "formula": law.formula,
        "n_parameters": law.count_formula(),
        "parameters": [p.name for p in law.parameters],
        "uses": law.uses,
        "source": law.source,
    }
