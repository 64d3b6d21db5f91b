"""``jaxmix next``: which runs to train next."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.mixtures.sequential.next_runs import NextRuns

_Parts = Sequence[Mapping[str, float]]
_CRITERIA = ("regret", "variance", "space-filling", "random")


class Sizes(click.ParamType):
    """Allowed sizes: ``50M=1B,100M=2B``."""

    name = "N=D,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[tuple[float, float], ...]:
        """Text to (N, D) pairs."""
        if isinstance(value, tuple):
            return value
        sizes = []
        for part in str(value).split(","):
            n, equals, d = part.partition("=")
            if not equals:
                self.fail(f"'{part}' is not N=D; write 50M=1B,100M=2B", param, ctx)
            sizes.append(tuple(common.Quantity().convert(x, param, ctx) for x in (n, d)))
        return tuple(sizes)


@click.command("next", cls=common.Command, short_help="Choose the runs to train next.")
@click.argument("law", metavar="LAW.json")
@click.argument("runs", metavar="RUNS")
@click.option("--n-params", type=common.Quantity(), required=True, help="N of the big run: 7B.")
@click.option("--tokens", type=common.Quantity(), required=True, help="D of the big run: 150B.")
@click.option("--flops", type=common.Quantity(), help="Cost of the batch, 6 N D a run: 1e19.")
@click.option("--count", type=click.IntRange(1, 1000), help="Most runs.")
@click.option(
    "--sizes", type=Sizes(), help="Allowed sizes 50M=1B,100M=2B.  [default: those that were run]"
)
@click.option("--criterion", type=click.Choice(_CRITERIA), default="regret", show_default=True)
@click.option("--checkpoints", type=click.IntRange(1, 100), default=1, show_default=True)
@click.option(
    "--target-weights", multiple=True, type=common.NamedNumbers(), help="As for jaxmix optimize."
)
@click.option("--min", "min_", multiple=True, type=common.NamedNumbers(), help="Smallest weights.")
@click.option("--max", "max_", multiple=True, type=common.NamedNumbers(), help="Largest weights.")
@click.option(
    "--noise", type=common.Quantity(), help="SD of one run's loss.  [default: from the residuals]"
)
@click.option(
    "--closest",
    type=click.FloatRange(min=0),
    default=0.02,
    show_default=True,
    help="Distance of mixtures under which a run repeats another.",
)
@click.option("--repeats/--no-repeats", default=None, help="[default: where noise dominates]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@common.where_option
@common.pool_option
@click.option("--out", metavar="NEXT.csv", help="Plan to write: n_params, tokens, w_<domain>.")
@common.json_option
def next_command(
    law: str,
    runs: str,
    n_params: float,
    tokens: float,
    target_weights: _Parts,
    min_: _Parts,
    max_: _Parts,
    where: str | None,
    pool: tuple[str, ...],
    out: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Choose which runs to add to RUNS so that LAW.json's best mixture gets more certain.

    RUNS holds the rows that LAW.json was fitted on; its file says which of them.
    """
    if out is not None:
        common.check_out(out, law, runs)
    from jaxmix.cli.limits import load_mixture_laws
    from jaxmix.fitting.files import read_fitted_rows
    from jaxmix.mixtures.sequential.next_runs import next_runs

    if options["flops"] is None and options["count"] is None:
        raise JaxmixError("name a limit of the batch: --flops 1e19, --count 8 or both")
    laws = load_mixture_laws(law)
    table, _ = read_fitted_rows(law, runs, where, pool)
    batch = next_runs(
        laws,
        table,
        n_params=n_params,
        tokens=tokens,
        target_weights=common.merged(target_weights, "--target-weights"),
        minimum=common.merged(min_, "--min"),
        maximum=common.merged(max_, "--max"),
        **options,
    )
    if out is not None:
        _write(out, batch)
    if as_json:
        common.emit(as_dict(batch))
    else:
        show_batch(batch)
    common.say(batch.notes)


def _write(path: str, batch: "NextRuns") -> None:
    """The plan as CSV; numbers read back bit for bit."""
    import csv
    import io

    from jaxmix.files import write_text

    rows, text = batch.rows(), io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def as_dict(batch: "NextRuns") -> dict[str, Any]:
    """The batch as JSON has it; curves start before the first run."""
    cover = {
        name: {key: getattr(found, key) for key in ("farthest", "typical", "closest")}
        for name, found in (("before", batch.before), ("after", batch.after))
    }
    best = dict(zip(batch.domains, batch.optimum.tolist(), strict=True))
    names = ("criterion", "regret", "spread", "noise", "refused", "notes")
    return {
        "runs": batch.rows(),
        "flops": float(batch.flops.sum()),
        **{name: getattr(batch, name) for name in names},
        "coverage": cover,
        "weights": best,
    }


def show_batch(batch: "NextRuns") -> None:
    """One line a run, and what the batch is expected to do."""
    made = common.table(
        f"{len(batch)} runs by {batch.criterion}",
        "run",
        "N",
        "D",
        "FLOPs",
        *batch.domains,
        "regret, nats",
        "SD of h*",
    )
    made.add_row("now", "", "", "", *([""] * len(batch.domains)), *_curve(batch, 0))
    for i, h in enumerate(batch.weights):
        size = (f"{x[i]:.3g}" for x in (batch.n_params, batch.tokens, batch.flops))
        made.add_row(str(i + 1), *size, *(f"{w:.3f}" for w in h), *_curve(batch, i + 1))
    before, after = batch.before, batch.after
    common.show(
        made,
        f"{batch.flops.sum():.3g} FLOPs; farthest mixture from any run "
        f"{before.farthest:.2f} before, {after.farthest:.2f} after; "
        f"{batch.refused} near-duplicates refused",
    )


def _curve(batch: "NextRuns", i: int) -> tuple[str, str]:
    return common.number(float(batch.regret[i]), 2), f"{batch.spread[i]:.3f}"
