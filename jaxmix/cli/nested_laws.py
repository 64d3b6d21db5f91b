"""What commands do with nested laws: their options, their files, what is shown of a fit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaw
    from jaxmix.fitting.nested import NestedLaw

_OPTIONS = (
    click.option(
        "--share-steps",
        type=click.Choice(["none", "size", "all"]),
        help="Nested: step laws with one exponent.  [default: size, those of one size]",
    ),
    click.option(
        "--share-sizes",
        type=click.Choice(["none", "all"]),
        help="Nested: size laws with one exponent.  [default: all]",
    ),
    click.option(
        "--mixture-law",
        metavar="LAW",
        help="Nested: the law of the mixture at a budget.  [default: ye-m4]",
    ),
)
_NAMES = ("share_steps", "share_sizes", "mixture_law")


def nested_options(command: Any) -> Any:
    """Adds the options that only nested laws take."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wants_nested(law: str, options: dict[str, Any]) -> bool:
    """Whether ``--law`` asks for nested laws; takes their options out where it does not.

    Raises:
        JaxmixError: an option of theirs is given with another law.
    """
    if law.strip().lower() == "nested":
        return True
    for name in _NAMES:
        if options.pop(name) is not None:
            option = "--" + name.replace("_", "-")
            raise JaxmixError(f"{option} goes with --law nested, not with --law {law}")
    return False


def given(option: str) -> bool:
    """Whether an option of the running command was given, and is not just its default."""
    source = click.get_current_context().get_parameter_source(option)
    return source is not click.core.ParameterSource.DEFAULT


def fit_nested_file(asked: tuple[Any, ...], out: str, options: Any, as_json: bool) -> None:
    """``jaxmix fit --law nested``; `asked` is what `rows_to_fit` takes."""
    from jaxmix.cli.fit import fit_notes, rows_to_fit, solver_options
    from jaxmix.fitting.loading import resolve_law
    from jaxmix.fitting.nested import Nested, fit_nested, save_nested

    ours = {name: options.pop(name) for name in _NAMES}
    chosen = solver_options(options)
    if not given("restarts"):
        del chosen["restarts"]
    weighting = chosen.pop("weighting")
    law = ours.pop("mixture_law") or "ye-m4"
    how = Nested(mixture_law=resolve_law(law), **{n: v for n, v in ours.items() if v}, **chosen)
    rows = rows_to_fit(*asked)
    with common.progress("fitting nested laws") as report:
        laws = fit_nested(
            rows.table,
            how,
            targets=rows.targets,
            weighting=weighting,
            held_out=rows.held_out,
            progress=report,
        )
    provenance = {**rows.origin, "weighting": weighting, "rows": len(rows.table)}
    save_nested(out, laws, provenance, law_ref=law if ".py:" in law else None)
    notes = [*rows.table.notes, *fit_notes(laws)]
    if as_json:
        common.emit(_summary(laws, out, notes))
    else:
        common.show(_table(laws), f"written to {out}")
    common.say(notes)


def load_laws_at(
    path: str, n_params: float, tokens: float
) -> "tuple[tuple[FittedLaw, ...], list[str]]":
    """The laws in a file that look at the mixture, nested ones at a budget; and notes on these."""
    from jaxmix.cli.fit import fit_notes
    from jaxmix.cli.limits import load_mixture_laws
    from jaxmix.fitting.loading import is_nested, read_document
    from jaxmix.fitting.nested import load_nested, nested_at

    if not is_nested(read_document(path)):
        return load_mixture_laws(path), []
    laws = nested_at(load_nested(path), n_params, tokens)
    return laws, fit_notes(laws)


def predict_all(laws: "Sequence[FittedLaw] | Sequence[NestedLaw]", *at: Any) -> dict[str, Any]:
    """Predicted losses by target at N, D, mixtures and unique tokens."""
    from jaxmix.fitting.nested import NestedLaw, predict_nested

    nested = [law for law in laws if isinstance(law, NestedLaw)]
    found = predict_nested(nested, *at[:3]) if nested else [law.predict(*at) for law in laws]
    return {law.target: values for law, values in zip(laws, found, strict=True)}


def law_name(law: "FittedLaw | NestedLaw") -> str:
    """What tables call a law."""
    from jaxmix.fitting.nested import NestedLaw

    return law.how.name if isinstance(law, NestedLaw) else law.law.name


def _summary(laws: "Sequence[NestedLaw]", out: str, notes: list[str]) -> dict[str, Any]:
    import dataclasses

    from jaxmix.fitting.nested.files import steps_to_json

    first = laws[0]
    return {
        "law": "nested",
        "mixture_law": first.law.name,
        "share_steps": first.how.share_steps,
        "share_sizes": first.how.share_sizes,
        "out": out,
        "domains": first.domains,
        "n_parameters": first.report.n_parameters,
        "curves": {"n_params": first.n_params, "mixture": first.mixture},
        "targets": {
            f.target: {**dataclasses.asdict(f.report), "parameters": steps_to_json(f)} for f in laws
        },
        "notes": notes,
    }


def _table(laws: "Sequence[NestedLaw]") -> Any:
    """Errors stage by stage, and how the fits ended."""
    held_out = any(f.report.held_out_rows for f in laws)
    unseen = ("held-out %",) if held_out else ()
    stages = ("steps %", "sizes %", "mixtures %", "MRE %", *unseen)
    columns = (*stages, "rows", "curves", "agree", "gradient", "at bound")
    title = f"{laws[0].how.name}, then {laws[0].law.name}: {laws[0].report.n_parameters} parameters"
    made = common.table(title, "target", *columns)
    for f in laws:
        r = f.report
        errors = [r.step_mre, r.size_mre, r.mixture_mre, r.train_mre]
        errors += [r.held_out_mre] if held_out else []
        made.add_row(
            f.target,
            *(common.number(e, 3) for e in errors),
            str(r.rows),
            str(r.curves),
            f"{r.agreeing}/{r.restarts}",
            f"{r.gradient_norm:.0e}",
            str(len(r.at_bound)),
        )
    return made
