"""``jaxmix recommend``: from a run table to the mixture that the runs support."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.fit import bare_targets, share_option
from jaxmix.cli.limits import check_limits, constraints_of, inputs_of
from jaxmix.cli.proposal import baseline_option, named_baselines, proposal_options
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.mixtures import Recommendation
    from jaxmix.runs import RunTable


@click.command("recommend", cls=common.Command)
@click.argument("runs")
@proposal_options()
@click.option("--law", metavar="LAW", help="Law to use.  [default: chosen by held-out rows]")
@opt.targets
@opt.where
@opt.pool
@baseline_option
@opt.level
@opt.setting(
    "--confidence",
    click.FloatRange(0, 1, min_open=True, max_open=True),
    0.7,
    "Probability with which the gain exceeds the lower bound that is maximized. Larger values stay "
    "closer to the best mixture that was run.",
)
@opt.resamples()
@share_option
@opt.out
@click.option("--report", "page", metavar="FILE.html", help="Write one HTML page too.")
@opt.json
def command(
    runs: str,
    law: str | None,
    targets: tuple[str, ...] | None,
    where: str | None,
    pool: tuple[str, ...],
    baselines: Sequence[tuple[str, Any]],
    page: str | None,
    out: str | None,
    as_json: bool,
    level: float,
    confidence: float,
    resamples: int | None,
    **given: Any,
) -> None:
    """Recommend the mixture that the small RUNS support for a model of N and D.

    A law is chosen by its error on held-out rows, fitted, and refitted on resampled rows. Among the
    mixtures whose weights were run (--within), the one with the best lower bound of its gain over
    the best baseline is recommended. The law's own optimum is shown beside it.
    """
    common.check_table(out, runs)
    if page:
        common.check_out(page, runs, *([out] if out else []))
    check_limits(given)
    table = common.read_table(runs, where, pool)
    names = table.target_names(bare_targets(table, targets))
    options = _question(given, table, names, law)
    compared = named_baselines(baselines, table.domains, options["constraints"], table)
    from jaxmix.mixtures import recommend

    with common.progress("recommending") as report:
        found = recommend(
            table, law=law, targets=targets and names, baselines=compared, level=level,
            confidence=confidence, resamples=resamples, progress=report, **options,
        )  # fmt: skip
    held = found.to_dict()
    if page:
        held["report"] = page
        _write(page, found, table, runs)
    common.answer(
        as_json,
        held,
        lambda: parts(found),
        found.notes,
        out=out,
        rows=lambda: found.to_frame().reset_index(),
    )
    if page and not as_json:
        common.log(f"written to {page}")


def _question(
    given: Mapping[str, Any], table: "RunTable", names: tuple[str, ...], law: str | None
) -> dict[str, Any]:
    """What is asked, as arguments of ``recommend``."""
    from jaxmix.laws import get_law

    known = get_law(law) if law else None
    if known:
        check_limits(given, known)
    elif given["at"]:
        raise JaxmixError("--at gives inputs of a law; name it with --law")
    return {
        **{
            name: given[name]
            for name in ("n_params", "tokens", "worst_case", "pull", "starts", "share")
        },
        "constraints": constraints_of(given, table.domains, names),
        "target_weights": given["target_weights"] or None,
        "at": inputs_of(given["at"], known, table.domains) if known else None,
        "seed": given["seed"],
    }


def _write(page: str, found: "Recommendation", table: "RunTable", runs: str) -> None:
    from jaxmix.files import file_hash
    from jaxmix.report import write_report

    origin = {"run table": f"{os.path.basename(runs)}, sha256 {file_hash(runs)}"}
    command = common.command_line()
    write_report(page, found, table, provenance=origin | ({"command": command} if command else {}))


def parts(found: "Recommendation") -> list[Any]:
    """The headline, the weights beside what was run, and the gains."""
    frame, anchor = found.to_frame(), found.anchor
    columns = [name for name in frame.columns if name not in ("uniform",)]
    weights = ((d, *(f"{x:.4f}" for x in frame.loc[d, columns])) for d in frame.index)
    gains = ((name, *_ends(g)) for name, g in found.gains.items())
    losses = (
        (name, *_ends(i), *_ends(found.by_target[anchor][name]))
        for name, i in found.predicted.items()
    )
    ends = (f"{100 * found.level:g}%, from", "to")
    title = f"mixture for {found.optimum.budget}"
    law = f"law: {found.optimum.laws.law.name}"
    return [
        found.headline,
        common.table(title, "domain", *columns, rows=weights),
        common.table("gain, nats", "over", "estimate", *ends, rows=gains),
        common.table(
            f"predicted losses, and gains over the {anchor}, nats",
            *("target", "loss", *ends, "gain", *ends),
            rows=losses,
        ),
        "\n".join([law, *(f"why: {reason}" for reason in found.reasons)]),
        f"next: {found.next_step}",
    ]


def _ends(i: Any) -> list[str]:
    return [common.fixed(i.estimate), common.end(i.low), common.end(i.high)]
