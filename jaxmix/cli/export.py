"""``jaxmix export``: a mixture in the format of a trainer."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from jaxmix.cli import common
from jaxmix.errors import JaxmixError

_FORMATS = ("megatron", "levanter", "hf", "olmo-core", "yaml")


class NamedText(click.ParamType):
    """Texts by name: ``web=/data/web,code=/data/code``."""

    name = "domain=path,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, str]:
        """Text to a dictionary."""
        found: dict[str, str] = {}
        for part in str(value).split(","):
            name, equals, text = part.partition("=")
            if not equals or not name.strip() or not text.strip():
                self.fail(f"'{part}' is not domain=path; write web=/data/web", param, ctx)
            if name.strip() in found:
                self.fail(f"'{name.strip()}' is given twice", param, ctx)
            found[name.strip()] = text.strip()
        return found


@click.command("export", cls=common.Command, short_help="Write a mixture as a trainer reads it.")
@click.argument("mixture", metavar="WEIGHTS|LAW.json")
@click.option("--format", "format_", type=click.Choice(_FORMATS), required=True)
@click.option("--n-params", type=common.Quantity(), help="N of the big run, for a law.")
@click.option("--tokens", type=common.Quantity(), help="D of the big run, for a law.")
@click.option(
    "--target-weights",
    multiple=True,
    type=common.NamedNumbers(),
    help="For a law: weights of the targets; the default is their mean.",
)
@click.option("--prefix", "prefixes", multiple=True, type=NamedText(), help="Each domain's data.")
@click.option("--out", metavar="FILE", help="File to write; the default is standard output.")
def export_command(
    mixture: str,
    format_: str,
    n_params: float | None,
    tokens: float | None,
    target_weights: Sequence[Mapping[str, float]],
    prefixes: Sequence[Mapping[str, str]],
    out: str | None,
) -> None:
    """Write a mixture as a trainer reads it.

    It is given as web=0.7,code=0.3, as the JSON that jaxmix optimize prints, or as a law whose
    optimum at --n-params and --tokens is taken. Megatron: --data-path $(grep -v '^#' FILE).
    """
    if out:
        common.check_out(out, mixture)
    from jaxmix.files import write_text
    from jaxmix.report.exports import export_mixture

    weights, provenance, notes = _resolve(
        mixture, n_params, tokens, common.merged(target_weights, "--target-weights")
    )
    command = common.command_line()
    text = export_mixture(
        weights,
        format_,
        prefixes=_bare(prefixes, weights),
        tokens=tokens,
        provenance={**provenance, **({"command": command} if command else {})},
    )
    if out:
        write_text(out, text)
        click.echo(f"written to {out}", err=True)
    else:
        click.echo(text, nl=False)
    common.say(notes)


_Found = tuple[dict[str, float], dict[str, Any], Sequence[str]]


def _resolve(
    given: str,
    n_params: float | None,
    tokens: float | None,
    target_weights: Mapping[str, float] | None,
) -> _Found:
    """Weights, provenance and notes of what the command was given."""
    if not os.path.exists(given):
        if "=" not in given:
            raise JaxmixError(f"{given}: no such file; give a law's file or web=0.7,code=0.3")
        return _listed(given), {}, ()
    document = _document(given)
    if document.get("format") == "jaxmix-law":
        return _optimal(given, n_params, tokens, target_weights)
    weights = document.get("weights")
    if not isinstance(weights, dict) or not all(_is_number(w) for w in weights.values()):
        raise JaxmixError(
            f"{given}: has no 'weights' by domain; give the output of jaxmix optimize"
        )
    from jaxmix.files import file_hash

    origin = {"weights file": f"{os.path.basename(given)}, sha256 {file_hash(given)}"}
    return {str(d): float(w) for d, w in weights.items()}, origin, ()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _listed(given: str) -> dict[str, float]:
    found = common.NamedNumbers().convert(given, None, None)
    return {name.removeprefix("w_") or name: weight for name, weight in found.items()}


def _document(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (ValueError, RecursionError):
        raise JaxmixError(
            f"{path}: is not JSON; give a law's file or the output of jaxmix optimize --json"
        ) from None
    return document if isinstance(document, dict) else {}


def _optimal(
    path: str,
    n_params: float | None,
    tokens: float | None,
    target_weights: Mapping[str, float] | None,
) -> _Found:
    if n_params is None or tokens is None:
        raise JaxmixError(f"{path}: is a law; name the budget with --n-params and --tokens")
    from jaxmix.cli.limits import load_mixture_laws
    from jaxmix.files import file_hash
    from jaxmix.mixtures import optimize
    from jaxmix.report import read_provenance

    laws = load_mixture_laws(path)
    best = optimize(laws, n_params, tokens, target_weights=target_weights)
    fitted = read_provenance(path)
    table = fitted.get("runs")
    origin = {
        "law": f"{laws[0].law.name} in {os.path.basename(path)}, sha256 {file_hash(path)}",
        "budget": f"N = {n_params:g}, D = {tokens:g}",
        "targets": ", ".join(f"{t} {w:.4g}" for t, w in best.target_weights.items()),
    }
    if isinstance(table, str):
        # The table that was fitted, whatever has become of the file since.
        digest = f"sha256 {fitted.get('runs_sha256', 'unknown: fit again to record it')}"
        origin["run table"] = f"{os.path.basename(table)}, {digest}"
    if fitted.get("where"):
        origin["rows"] = str(fitted["where"])
    return best.mixture, origin, best.notes


def _bare(parts: Sequence[Mapping[str, str]], weights: Mapping[str, float]) -> dict[str, str]:
    """Prefixes by bare name."""
    from jaxmix.runs import resolve_names

    found: dict[str, str] = {}
    for part in parts:
        for name, value in part.items():
            bare = resolve_names([name], tuple(weights), "domain")[0]
            if bare in found:
                raise JaxmixError(f"--prefix: '{bare}' is given twice")
            found[bare] = value
    return found
