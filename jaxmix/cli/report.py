"""``jaxmix report``: fitted laws and a run table to one self-contained HTML page."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.proposal import baseline_option, named_baselines, proposal_options, propose
from jaxmix.cli.values import LAWS


@click.command("report", cls=common.Command)
@click.argument("law")
@click.argument("runs")
@opt.rename
@click.option("--out", required=True, metavar="FILE.html", help="File to write.")
@proposal_options(required=False)
@baseline_option
@opt.level
@click.option(
    "--where",
    metavar="EXPR",
    help="More held-out rows to show; rows that were fitted, and those of fit --held-out, always "
    "are.",
)
@click.option("--laws", type=LAWS, help="Laws to fit too and compare on the largest size.")
@opt.resamples(least=0, zero="makes none")
@opt.json
def command(
    law: str,
    runs: str,
    out: str,
    baselines: Sequence[tuple[str, Any]],
    level: float,
    where: str | None,
    laws: tuple[str, ...] | None,
    resamples: int | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Write one HTML page on the laws in LAW and the RUNS they were fitted on.

    The page opens offline: what to train on, how sure that is and what not to trust, the fit and
    its residuals, and sliders for N, D and the target weights. The mixture is that of jaxmix
    optimize with the same options.
    """
    common.check_out(out, law, runs)
    from jaxmix.report import read_provenance, read_rows, write_report

    optimum = propose(law, given, mixed=False)
    provenance = read_provenance(law)
    rows = read_rows(runs, provenance, where)
    with common.progress("report") as tell:
        report = write_report(
            out,
            optimum,
            rows,
            baselines=named_baselines(
                baselines, optimum.domains, getattr(optimum, "constraints", None), rows.used
            ),
            level=level,
            compare_laws=laws or (),
            resamples=resamples,
            weighting=str(provenance.get("weighting") or "equal"),
            n_params=given["n_params"],
            tokens=given["tokens"],
            provenance=_origin(law, runs, provenance),
            seed=given["seed"],
            progress=tell,
        )
    size = os.path.getsize(out)
    held = {"out": out, "bytes": size, **report.to_dict()}
    common.answer(as_json, held, lambda: _parts(report, out, size), report.all_notes)


def _parts(report: Any, out: str, size: int) -> list[str]:
    from jaxmix.report.findings import budget, train_on, verdict

    said = [f"for {budget(report)}: {train_on(report)}", *verdict(report)[:1]]
    return [*said, f"written to {out} ({size / 1e6:.2f} MB)"]


def _origin(law: str, runs: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    from jaxmix.files import file_hash

    command = common.command_line()
    files = {"law file": law, "run table": runs}
    own = {k: f"{os.path.basename(p)}, sha256 {file_hash(p)}" for k, p in files.items()}
    own |= {"command": command} if command else {}
    return own | {f"fit: {name}": kept for name, kept in provenance.items() if name != "runs"}
