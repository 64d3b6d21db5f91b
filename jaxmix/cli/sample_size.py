"""``jaxmix sample-size``: how many mixtures to run, before any is."""

from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.values import COUNTS, QUANTITIES, Quantity
from jaxmix.quantities import count

if TYPE_CHECKING:
    from jaxmix.laws import Law
    from jaxmix.mixtures.sequential.sample_size import SampleSize


@click.command("sample-size", cls=common.Command)
@opt.setting("--law", str, "additive", "Law, true and fitted.")
@click.option("--from", "source", metavar="LAW.json", help="Take this file's laws as the truths.")
@opt.setting("--domains", click.IntRange(2, 100), 3, "How many domains.")
@opt.setting("--sizes", QUANTITIES, "50M,100M,200M", "Sizes N of the runs.")
@opt.setting("--tokens", QUANTITIES, "1B", "D of each run, or those at which it records its loss.")
@opt.setting(
    "--checkpoints", click.IntRange(1, 64), 4, "Losses of each run, if --tokens is one number."
)
@opt.setting(
    "--noise", click.FloatRange(min=0), 0.003, "Relative standard deviation of a run's loss."
)
@click.option("--mixtures", "counts", type=COUNTS, help="Numbers to try: 10,20,40.")
@opt.setting(
    "--regret",
    click.FloatRange(0, 1, min_open=True),
    0.01,
    "Share of the gain over the uniform mixture that may be lost, for 90% of the true laws.",
)
@opt.setting("--truths", click.IntRange(1, 1000), 20, "True laws to draw.")
@click.option("--n-params", type=Quantity(), help="N of the big run.  [default: 10 x the largest]")
@click.option(
    "--target-tokens", type=Quantity(), help="D of the big run.  [default: 10 x the most]"
)
@opt.count("--restarts", 32, "Restarts of each fit.")
@opt.seed
@opt.out
@opt.json
def command(
    law: str,
    source: str | None,
    domains: int,
    tokens: tuple[float, ...],
    checkpoints: int,
    regret: float,
    truths: int,
    n_params: float | None,
    target_tokens: float | None,
    out: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Simulate studies of more and more mixtures and say how many are enough.

    True laws are drawn from the law's prior, or taken from a file. For each, a study with noise is
    simulated and fitted, and the true law judges the fit's best mixture at the size of the big run.
    """
    common.check_table(out, *([source] if source else []))
    from jaxmix.mixtures.sequential.sample_size import sample_size

    chosen, truth = _truths(law, source, truths)
    if len(tokens) == 1:
        tokens = tuple(tokens[0] * (i + 1) / checkpoints for i in range(checkpoints))
    target = (n_params or 10 * max(options["sizes"]), target_tokens or 10 * max(tokens))
    asked = {"tokens": tokens, "truths": truth, "target": target, **options}
    with common.progress("fitting") as report:
        k = len(truth.domains) if source else domains
        found = sample_size(chosen, k, progress=report, **asked)
    held = found.to_dict(regret)
    common.answer(
        as_json,
        held,
        lambda: _parts(found, held, chosen),
        found.notes,
        out=out,
        rows=lambda: held["curve"],
    )


def _truths(law: str, source: str | None, count: int) -> tuple[Any, Any]:
    """The law and its truths: a file's, or how many to draw."""
    if source is None:
        from jaxmix.laws import get_law

        return get_law(law), count
    from jaxmix.fitting.files import load_laws

    laws = load_laws(source)
    return laws.law, laws


def _parts(found: "SampleSize", held: dict[str, Any], law: "Law") -> list[Any]:
    """The curve, and the answer in one line."""
    big = (("n_params", f"N = {found.n_params:.3g}"), ("tokens", f"D = {found.tokens:.3g}"))
    at = ", ".join(said for name, said in big if law.reads(name))
    percent = f"{100 * held['regret']:g}%"
    made = common.table(
        f"{found.law} law, {found.domains} domains{', at ' * bool(at)}{at}",
        *("mixtures", "runs", "MRE %, median", "MRE %, 90%"),
        *("regret %, median", "regret %, 90%", f"within {percent}"),
    )
    for row in held["curve"]:
        made.add_row(
            str(row["mixtures"]),
            str(row["runs"]),
            *(common.fixed(row[name], 2) for name in ("mre_median", "mre_90")),
            *(common.number(100 * row[name], 3) for name in ("regret_median", "regret_90")),
            f"{100 * row['share_met']:.0f}%",
        )
    answer = held["mixtures"]
    enough = count(answer, "mixture is", "mixtures are") if answer else ""
    text = f"{enough} enough" if answer else "none of these is enough"
    return [f"{text}: regret of at most {percent} of the gain in 90% of the truths.", made]
