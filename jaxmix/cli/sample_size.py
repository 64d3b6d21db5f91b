"""``jaxmix enough``: how many mixtures to run, before any is."""

from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common

if TYPE_CHECKING:
    from jaxmix.mixtures.sequential.sample_size import Enough


class Counts(click.ParamType):
    """Whole numbers: ``10,20,40``."""

    name = "q,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """Text to numbers."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isdigit() and int(part) > 0 for part in parts):
            self.fail(f"'{value}' are not counts; write 10,20,40", param, ctx)
        return tuple(int(part) for part in parts)


@click.command("enough", cls=common.Command, short_help="How many mixtures to run.")
@click.option("--law", default="additive", show_default=True, help="Law, true and fitted.")
@click.option("--from", "source", metavar="LAW.json", help="Take this file's laws as the truths.")
@click.option("--domains", type=click.IntRange(2, 100), default=3, show_default=True)
@click.option("--sizes", type=common.Numbers(), default="50M,100M,200M", show_default=True)
@click.option(
    "--tokens", type=common.Numbers(), default="1B", show_default=True, help="Of each run."
)
@click.option(
    "--checkpoints",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Of each run, where --tokens is one number.",
)
@click.option(
    "--noise",
    type=click.FloatRange(min=0),
    default=0.003,
    show_default=True,
    help="Relative SD of a run's loss.",
)
@click.option("--mixtures", type=Counts(), help="Numbers to try.  [default: some]")
@click.option(
    "--regret",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.01,
    show_default=True,
    help="Share of the gain over the uniform mixture that may be lost, in 90% of the truths.",
)
@click.option("--truths", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--n-params", type=common.Quantity(), help="N of the big run.  [default: 10 x sizes]")
@click.option("--target-tokens", type=common.Quantity(), help="D of it.  [default: 10 x tokens]")
@click.option("--restarts", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@common.json_option
def enough_command(
    law: str,
    source: str | None,
    domains: int,
    tokens: tuple[float, ...],
    checkpoints: int,
    mixtures: tuple[int, ...] | None,
    regret: float,
    truths: int,
    n_params: float | None,
    target_tokens: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Simulate studies of more and more mixtures and say how many are enough.

    Truths are drawn from the law's prior (or taken from a file), studied with noise, fitted, and
    the fit's best mixture is judged by the truth at the size of the big run.
    """
    from jaxmix.mixtures.sequential.sample_size import how_many

    chosen, truth = _truths(law, source, truths)
    if len(tokens) == 1:
        tokens = tuple(tokens[0] * (i + 1) / checkpoints for i in range(checkpoints))
    sizes = options["sizes"]
    target = (n_params or 10 * max(sizes), target_tokens or 10 * max(tokens))
    with common.progress("fitting") as report:
        found = how_many(
            chosen,
            len(truth[0].domains) if source else domains,
            tokens=tokens,
            counts=mixtures,
            truths=truth,
            target=target,
            progress=report,
            **options,
        )
    if as_json:
        common.emit(as_dict(found, regret))
    else:
        show_enough(found, regret)
    common.say(found.notes)


def _truths(law: str, source: str | None, count: int) -> tuple[Any, Any]:
    """The law and its truths: a file's, or how many to draw."""
    if source is None:
        from jaxmix.laws import get_law

        return get_law(law), count
    from jaxmix.fitting.files import load_laws

    laws = load_laws(source)
    return laws[0].law, laws


def as_dict(found: "Enough", regret: float) -> dict[str, Any]:
    """The curve as JSON has it; ``mixtures`` is the answer, null where none is enough."""
    names = ("law", "domains", "n_params", "tokens", "noise", "notes")
    given = {name: getattr(found, name) for name in names}
    return {
        "mixtures": found.smallest(regret),
        "regret": regret,
        "curve": found.curve(regret),
        **given,
    }


def show_enough(found: "Enough", regret: float) -> None:
    """The curve, and the answer in one line."""
    held = as_dict(found, regret)
    made = common.table(
        f"{found.law} law, {found.domains} domains, at N = {found.n_params:.3g}, "
        f"D = {found.tokens:.3g}",
        "mixtures",
        "runs",
        "MRE %, median",
        "MRE %, 90%",
        "regret %, median",
        "regret %, 90%",
        f"within {100 * regret:g}%",
    )
    for row in held["curve"]:
        made.add_row(
            str(row["mixtures"]),
            str(row["runs"]),
            *(f"{row[name]:.2f}" for name in ("mre_median", "mre_90")),
            *(common.number(100 * row[name], 3) for name in ("regret_median", "regret_90")),
            f"{100 * row['share_met']:.0f}%",
        )
    answer = held["mixtures"]
    text = f"{answer} mixtures are enough" if answer else "none of these is enough"
    common.show(
        made, f"{text}: regret of at most {100 * regret:g}% of the gain in 90% of the truths"
    )
