"""``jaxmix export``: a mixture in the format of a trainer."""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from jaxmix.cli import common
from jaxmix.cli.limits import decay_option, known_mixture
from jaxmix.cli.proposal import proposal_options, propose
from jaxmix.cli.values import NUMBERS, PATHS, MixtureType, named_option
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.mixtures import Optimum

_FORMATS = ("megatron", "levanter", "hf", "olmo-core", "energon", "automodel", "yaml")
_KNOW_STOCKS = ("olmo-core", "yaml")  # formats that available tokens change


_Found = tuple["Optimum | dict[str, float]", dict[str, Any]]  # a mixture and its origin


@click.command("export", cls=common.Command)
@click.argument("mixture", metavar="WEIGHTS|BEST.json|LAW.json")
@click.option("--format", "format_", type=click.Choice(_FORMATS), required=True, help="Trainer.")
@named_option("--prefix", "prefixes", kind=PATHS, help="Each domain's data: web=/data/web.")
@click.option(
    "--epochs",
    "by_epochs",
    is_flag=True,
    help="Write passes over the --available tokens in place of weights (energon, yaml).",
)
@click.option(
    "--sampling",
    type=MixtureType(),
    help="Draw domains with these weights and write loss weights, so that the expected loss is the "
    "mixture's (automodel, hf, yaml).",
)
@click.option("--out", metavar="FILE", help="File to write; the default is standard output.")
@proposal_options(required=False)
@decay_option
@click.pass_context
def command(
    ctx: click.Context,
    mixture: str,
    format_: str,
    prefixes: Mapping[str, str],
    by_epochs: bool,
    sampling: str | Mapping[str, float] | None,
    out: str | None,
    **given: Any,
) -> None:
    """Write a mixture as a trainer reads it.

    It is given as web=0.7,code=0.3, as the JSON that jaxmix recommend or optimize prints, or as a
    law: then the mixture is that of jaxmix optimize with the same options.

    Megatron-LM takes weights and prefixes: --data-path $(grep -v '^#' FILE). Levanter takes the
    data section of its configuration, OLMo-core a SourceMixtureList, which may repeat a domain as
    often as --tokens and --available ask for. Energon takes a MetadatasetV2 of weights, or of
    repetitions with --epochs. NeMo Automodel takes a domain_mixture: weights to sample with, and
    those of the objective. hf is a script for the datasets package, yaml is everything.
    """
    if out:
        common.check_out(out, mixture)
    from jaxmix.files import write_text
    from jaxmix.report import prepare_export
    from jaxmix.runs import resolve_name

    named = [n for n in given if ctx.get_parameter_source(n) == ParameterSource.COMMANDLINE]
    allowed = ["tokens"]
    if by_epochs or format_ in _KNOW_STOCKS or sampling == "proportional":
        allowed.append("available")
    found, origin = _resolve(mixture, given, [name for name in named if name not in allowed])
    command = common.command_line()
    origin |= {"command": command} if command else {}
    domains = tuple(found if isinstance(found, dict) else found.weights)
    paths = {resolve_name(n, domains, "domain"): path for n, path in prefixes.items()}
    if len(paths) < len(prefixes):
        raise JaxmixError("--prefix: a domain is given in both spellings; give it once")
    stock = {d: n for d, n in given["available"].items() if n < float("inf")}
    made = prepare_export(
        found,
        format_,
        prefixes=paths,
        tokens=given["tokens"],
        available=stock or None,
        by_epochs=by_epochs,
        sampling=known_mixture(sampling, _used(found), stock, "--sampling"),
        provenance=origin,
    )
    if out:
        write_text(out, made.text)
        common.log(f"written to {out}")
    else:
        click.echo(made.text, nl=False)
    common.say([*(() if isinstance(found, dict) else found.notes), *made.notes])


def _used(found: "Optimum | dict[str, float]") -> tuple[str, ...]:
    """The domains of a mixture that have a weight."""
    weights = found if isinstance(found, dict) else found.weights
    return tuple(domain for domain, weight in weights.items() if weight > 0)


def _resolve(mixture: str, given: Mapping[str, Any], named: list[str]) -> _Found:
    """The mixture that the argument means; ``named`` are the options that only a law takes."""
    document = _document(mixture) if os.path.exists(mixture) else None
    if document and document.get("format") == "jaxmix-law":
        return _optimal(mixture, given)
    if named:
        option = "--" + named[0].replace("_", "-")
        raise JaxmixError(f"{mixture}: is a mixture and no law, so {option} does not apply")
    if document is None:
        return _listed(mixture), {}
    weights = document.get("weights")
    if not isinstance(weights, dict) or {*map(type, weights.values())} - {int, float}:
        raise JaxmixError(
            f"{mixture}: has no 'weights' by domain; give what jaxmix recommend --json prints"
        )
    from jaxmix.files import file_hash

    origin = {"weights file": f"{os.path.basename(mixture)}, sha256 {file_hash(mixture)}"}
    return {str(d): float(w) for d, w in weights.items()}, origin


def _listed(given: str) -> dict[str, float]:
    if "=" not in given:
        raise JaxmixError(f"{given}: no such file; give a law's file or web=0.7,code=0.3")
    found = NUMBERS.convert(given, None, None)
    weights = {name.removeprefix("w_") or name: weight for name, weight in found.items()}
    if len(weights) < len(found):
        raise JaxmixError(f"{given}: a domain is given in both spellings; give it once")
    return weights


def _document(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (ValueError, RecursionError):  # of text that is not JSON
        raise JaxmixError(
            f"{path}: is not JSON; give a law's file or what jaxmix recommend --json prints"
        ) from None
    return document if isinstance(document, dict) else {}


def _optimal(path: str, given: Mapping[str, Any]) -> _Found:
    if given["n_params"] is None or given["tokens"] is None:
        raise JaxmixError(f"{path}: is a law; name the budget with --n-params and --tokens")
    from jaxmix.files import file_hash
    from jaxmix.fitting.files import read_provenance

    best = propose(path, given)
    origin = {"law": f"{best.laws.law.name} in {os.path.basename(path)}, sha256 {file_hash(path)}"}
    fitted = read_provenance(path)
    table = fitted.get("runs")
    if isinstance(table, str):
        # The table that was fitted, whatever has become of the file since.
        digest = f"sha256 {fitted.get('runs_sha256', 'unknown: fit again to record it')}"
        origin["run table"] = f"{os.path.basename(table)}, {digest}"
    if fitted.get("where"):
        origin["rows"] = str(fitted["where"])
    return best, origin
