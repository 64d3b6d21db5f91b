"""What the demo shows of its laws, its mixtures and its models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common

if TYPE_CHECKING:
    from jaxmix.data import Corpus
    from jaxmix.fitting import FittedLaws
    from jaxmix.runs import RunTable

Laws = Mapping[str, "FittedLaws"]


@dataclass(frozen=True)
class Best:
    """The mixtures that a law proposes for the larger size.

    Attributes:
        law: the one with the lower error on unseen mixtures of the ladder.
        mixtures: by name.
        goals: by name of the mixture, the targets whose mean it minimizes.
    """

    law: str
    mixtures: Mapping[str, dict[str, float]]
    goals: Mapping[str, tuple[str, ...]]


def show_scores(laws: Laws, seen: "RunTable", unseen: "RunTable", larger: "RunTable") -> None:
    """Errors of the laws on the rows they saw, on unseen mixtures and on the larger size."""
    from jaxmix.fitting.scores import mean_mre, score

    columns = ("law", "fitted rows", "unseen mixtures", "unseen larger size")
    rows = (
        (name, *(f"{mean_mre(score(fits, table)):.2f}" for table in (seen, unseen, larger)))
        for name, fits in laws.items()
    )
    _show(common.table("mean relative error, %", *columns, rows=rows))


def _show(*parts: Any) -> None:
    click.echo()
    common.show(*parts)


def show_proof(fits: "FittedLaws", best: Best, proof: "RunTable", corpus: "Corpus") -> None:
    """Predicted beside measured losses at the larger size, and what that says."""
    from jaxmix.studies import final_losses, gain

    uniform = dict.fromkeys(corpus.domains, 1 / len(corpus.domains))
    n, tokens = float(proof.n_params.max()), float(proof.tokens.max())
    verdicts = []
    for name, goal in best.goals.items():
        losses = final_losses(proof, goal)
        title = f"{name}, proposed by the {best.law} law: mean loss of {', '.join(goal)}"
        made = common.table(title, "mixture", *corpus.domains, "predicted", "measured", "seed SD")
        for which, weights in {"uniform": uniform, name: best.mixtures[name]}.items():
            values = [v for (mixture, _), v in losses.items() if mixture == which]
            shares = [f"{weights[d]:.3f}" for d in corpus.domains]
            x = {"n_params": n, "tokens": tokens, "weights": [weights[d] for d in fits.domains]}
            predicted = float(fits[goal].predict(x).to_numpy().mean())
            mean, sd = _mean_sd(values)
            made.add_row(which, *shares, f"{predicted:.4f}", f"{mean:.4f}", f"{sd:.4f}")
        _show(made)
        verdicts.append(_verdict(name, gain(losses, name, "uniform")))
    _show(" ".join(verdicts))


def _mean_sd(values: Sequence[float]) -> tuple[float, float]:
    import statistics

    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else float("nan")


def _verdict(name: str, found: Any) -> str:
    size = f"{abs(found.mean):.4f} ± {found.sem:.4f} nats ({found.seeds} seeds)"
    if abs(found.mean) <= 2 * found.sem:
        return f"At the larger size {name} and uniform differ by {size}: within the noise."
    verb = "gains" if found.mean > 0 else "loses"
    return f"At the larger size {name} clearly {verb} {size} against uniform."


def plot_all(
    laws: Laws, seen: "RunTable", unseen: "RunTable", proof: "RunTable", folder: Path
) -> None:
    """Observed against predicted losses, and the optimum over sizes."""
    from jaxmix.report import plot_observed_predicted, plot_optimum_over_scale

    tables = {"fitted": seen, "unseen mixtures": unseen, "larger size": proof}
    plot_observed_predicted(laws, tables, folder / "observed-predicted.png")
    low, high = float(seen.n_params.min()), 10 * float(proof.n_params.max())
    sizes = [low * (high / low) ** (i / 12) for i in range(13)]
    domains = dict.fromkeys(laws["joint"][0].domains, 1.0)
    tokens = float(proof.tokens.max())
    plot_optimum_over_scale(laws, sizes, tokens, folder / "optimum-over-scale.png", domains)
    common.show(f"Run tables and plots are in {folder}.")


def show_pictures(folder: Path, corpus: "Corpus", run: str) -> None:
    """What the model of a run makes of held-out pictures."""
    from jaxmix.report import plot_contact_sheet
    from jaxmix.studies import caption_pictures, finished_run

    pictures = caption_pictures(finished_run(folder / "proof", run, corpus), 16)
    plot_contact_sheet(pictures, folder / "contact-sheet.png", f"{run}: held-out pictures")
    some = pictures[:: len(pictures) // 4]
    lines = [f"  {one.target}: {one.caption!r} -> {one.written!r}" for one in some]
    where = f"What {run} saw and wrote is in {folder / 'contact-sheet.png'}; for example:"
    common.show("\n".join([where, *lines]))
