"""``jaxmix demo``: the whole way on real text, from raw files to a mixture put to the test."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import skin
from jaxmix.cli.devices import training_bar, use_all_cores

if TYPE_CHECKING:
    from jaxmix.data import Corpus
    from jaxmix.fitting import FittedLaw
    from jaxmix.runs import RunTable
    from jaxmix.studies import Study

Laws = Mapping[str, "Sequence[FittedLaw]"]
_UNSEEN = ("unseen0", "unseen1")
_LAWS = ("additive", "joint")


@dataclass(frozen=True)
class Demo:
    """How large the demo is.

    Attributes:
        ladder: presets whose runs are fitted.
        largest: the preset that is predicted.
        tokens: of every run.
        mixtures: random ones beside the vertices and the uniform one.
        seeds: of the last proof.
        checkpoints: of every run.
        max_bytes: of every domain's text.
        restarts: of every fit.
    """

    ladder: tuple[str, ...] = ("tiny-24", "tiny-32", "tiny-48")
    largest: str = "tiny-64"
    tokens: float = 200_000
    mixtures: int = 6
    seeds: tuple[int, ...] = (0, 1, 2)
    checkpoints: int = 5
    max_bytes: int | None = 8_000_000
    restarts: int = 32


_QUICK = Demo(
    ladder=("tiny-16", "tiny-24", "tiny-32"),
    largest="tiny-48",
    tokens=90_000,
    mixtures=4,
    seeds=(0, 1),
    checkpoints=4,
    max_bytes=2_000_000,
    restarts=16,
)


@click.command("demo", cls=skin.Command, short_help="The whole way on real text.")
@click.option("--quick", is_flag=True, help="A smaller study, about two minutes.")
@click.option(
    "--out", default="jaxmix-demo", show_default=True, metavar="FOLDER", help="For all results."
)
def demo_command(quick: bool, out: str) -> None:
    """Train a ladder of tiny models on real text, fit laws, and test the mixture they propose.

    Prepares a corpus of five domains, trains many mixtures at several sizes, fits the additive and
    the joint law, scores them on unseen mixtures and an unseen larger size, finds the best mixtures
    for the mean loss and for a text that is never trained on, and trains those at the larger size
    beside the uniform one. Stopped and called again, it goes on where it was.
    """
    use_all_cores()
    demo = _QUICK if quick else Demo()
    folder = Path(out, "quick" if quick else "full")
    folder.mkdir(parents=True, exist_ok=True)
    study = _study(demo)
    with skin.progress("preparing text-mini") as report:
        corpus = study.corpus.open(report)
    _introduce(demo, corpus)
    ladder = _trained(study, corpus, folder / "ladder")
    seen, unseen = _split(ladder)
    laws = {name: _fit(seen, name, demo) for name in _LAWS}
    best = _optima(laws, study, corpus, demo, ladder, unseen)
    proof = _trained(_proof(study, demo, best), corpus, folder / "proof")
    _, larger = _split(proof)
    _show_scores(laws, seen, unseen, larger)
    _show_proof(laws[best.law], best, proof, corpus)
    _plot(laws, seen, unseen, proof, folder)


def _study(demo: Demo) -> "Study":
    from jaxmix.studies import CorpusSpec, Size, Study, parse_design

    return Study(
        CorpusSpec("text-mini", "bpe-1024", demo.max_bytes),
        tuple(Size(preset, demo.tokens) for preset in demo.ladder),
        designs=tuple(
            parse_design(text)
            for text in ("uniform", "vertices,minimum=0.04", f"dirichlet:{demo.mixtures}")
        ),
        mixtures=_unseen_mixtures(),
        checkpoints=demo.checkpoints,
        batch=8,
        held_windows=32,
    )


def _unseen_mixtures() -> dict[str, dict[str, float]]:
    """Mixtures that no fit sees."""
    first = {"api_docs": 0.3, "dictionary": 0.1, "code_python": 0.3, "code_cpp": 0.2}
    second = {"api_docs": 0.1, "dictionary": 0.4, "code_python": 0.1, "code_cpp": 0.1}
    rest = [{**m, "world_facts": 1 - sum(m.values())} for m in (first, second)]
    return dict(zip(_UNSEEN, rest, strict=True))


def _introduce(demo: Demo, corpus: "Corpus") -> None:
    counts = ", ".join(f"{d} {corpus.train_tokens[d] / 1e6:.1f}M" for d in corpus.domains)
    targets = [t for t in corpus.targets if t not in corpus.domains]
    skin.show(
        f"Real text, tokens by domain: {counts}; and {targets[0]}, which is a target only. Models "
        f"{', '.join(demo.ladder)} train on {demo.mixtures + 8} mixtures, {demo.tokens:,.0f} "
        f"tokens each; {demo.largest} is to be predicted."
    )


def _trained(study: "Study", corpus: "Corpus", folder: Path) -> "RunTable":
    """Trains what is not trained yet, and returns the run table."""
    from jaxmix.studies import make_plan, run_plan, write_table

    plan = make_plan(study, corpus)
    folder.mkdir(exist_ok=True)
    plan.save(folder / "plan.json")
    with training_bar(plan) as report:
        run_plan(plan, folder, progress=report, corpus=corpus)
    return write_table(plan, folder, folder / "runs.csv")


def _split(table: "RunTable") -> "tuple[RunTable, RunTable]":
    """Rows to fit and rows of unseen mixtures; neither has the first checkpoint of any run.

    It lies right behind the warm-up, where losses follow another curve.
    """
    late = table.tokens > table.tokens.min()
    unseen = table.frame["mixture"].isin(_UNSEEN).to_numpy()
    return table.select(late & ~unseen), table.select(late & unseen)


def _fit(table: "RunTable", law: str, demo: Demo) -> "tuple[FittedLaw, ...]":
    from jaxmix.fitting import fit

    with skin.progress(f"fitting {law}") as report:
        return fit(table, law, restarts=demo.restarts, residual="log", progress=report)


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


def _optima(
    laws: Laws,
    study: "Study",
    corpus: "Corpus",
    demo: Demo,
    ladder: "RunTable",
    unseen: "RunTable",
) -> Best:
    from jaxmix.fitting.scores import mean_mre, score
    from jaxmix.mixtures import optimize
    from jaxmix.studies import build

    law = min(laws, key=lambda name: mean_mre(score(laws[name], unseen)))
    n = build(study, demo.largest, corpus).model.count().n_params
    targets = tuple(t for t in corpus.targets if t not in corpus.domains)
    goals = {"best-mean": corpus.domains, f"best-{targets[0]}": targets}
    tokens = float(ladder.tokens.max())
    # No law knows what lies beyond the weights that were run.
    most = dict(zip(ladder.domains, ladder.weights.max(0).tolist(), strict=True))
    found = {
        name: optimize(
            laws[law], n, tokens, target_weights=dict.fromkeys(goal, 1.0), maximum=most
        ).mixture
        for name, goal in goals.items()
    }
    return Best(law, found, goals)


def _proof(study: "Study", demo: Demo, best: Best) -> "Study":
    """Unseen, uniform and proposed mixtures at the larger size, by seed."""
    from jaxmix.studies import Size

    k = len(next(iter(best.mixtures.values())))
    uniform = dict.fromkeys(next(iter(best.mixtures.values())), 1 / k)
    return dataclasses.replace(
        study,
        sizes=(Size(demo.largest, demo.tokens),),
        designs=(),
        mixtures={**_unseen_mixtures(), "uniform": uniform, **best.mixtures},
        seeds=demo.seeds,
    )


def _show_scores(laws: Laws, seen: "RunTable", unseen: "RunTable", larger: "RunTable") -> None:
    from jaxmix.fitting.scores import mean_mre, score

    made = skin.table(
        "mean relative error, %", "law", "fitted rows", "unseen mixtures", "unseen larger size"
    )
    for name, fits in laws.items():
        errors = [mean_mre(score(fits, table)) for table in (seen, unseen, larger)]
        made.add_row(name, *(f"{e:.2f}" for e in errors))
    _show(made)


def _show(*parts: Any) -> None:
    click.echo()
    skin.show(*parts)


def _show_proof(
    fits: "Sequence[FittedLaw]", best: Best, proof: "RunTable", corpus: "Corpus"
) -> None:
    """Predicted beside measured losses at the larger size, and what that says."""
    from jaxmix.studies import final_losses, gain

    uniform = dict.fromkeys(corpus.domains, 1 / len(corpus.domains))
    n, tokens = float(proof.n_params.max()), float(proof.tokens.max())
    verdicts = []
    for name, goal in best.goals.items():
        losses = final_losses(proof, goal)
        title = f"{name}, proposed by the {best.law} law: mean loss of {', '.join(goal)}"
        made = skin.table(title, "mixture", *corpus.domains, "predicted", "measured", "seed SD")
        for which, weights in {"uniform": uniform, name: best.mixtures[name]}.items():
            values = [v for (mixture, _), v in losses.items() if mixture == which]
            shares = [f"{weights[d]:.3f}" for d in corpus.domains]
            predicted = _predicted(fits, goal, n, tokens, list(weights.values()))
            mean, sd = _mean_sd(values)
            made.add_row(which, *shares, f"{predicted:.4f}", f"{mean:.4f}", f"{sd:.4f}")
        _show(made)
        verdicts.append(_verdict(name, gain(losses, name, "uniform")))
    _show(" ".join(verdicts))


def _predicted(
    fits: "Sequence[FittedLaw]", goal: Sequence[str], n: float, d: float, h: Sequence[float]
) -> float:
    chosen = [f for f in fits if f.target in goal]
    return sum(float(f.predict(n, d, h)) for f in chosen) / len(chosen)


def _mean_sd(values: Sequence[float]) -> tuple[float, float]:
    import statistics

    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else float("nan")


def _verdict(name: str, found: Any) -> str:
    size = f"{abs(found.mean):.4f} ± {found.sem:.4f} nats ({found.seeds} seeds)"
    if abs(found.mean) <= 2 * found.sem:
        return f"At the larger size {name} and uniform differ by {size}: within the noise."
    verb = "gains" if found.mean > 0 else "loses"
    return f"At the larger size {name} clearly {verb} {size} against uniform."


def _plot(
    laws: Laws, seen: "RunTable", unseen: "RunTable", proof: "RunTable", folder: Path
) -> None:
    from jaxmix.report import plot_observed_predicted, plot_optimum_over_scale

    tables = {"fitted": seen, "unseen mixtures": unseen, "larger size": proof}
    plot_observed_predicted(laws, tables, folder / "observed-predicted.png")
    low, high = float(seen.n_params.min()), 10 * float(proof.n_params.max())
    sizes = [low * (high / low) ** (i / 12) for i in range(13)]
    domains = dict.fromkeys(laws["joint"][0].domains, 1.0)
    tokens = float(proof.tokens.max())
    plot_optimum_over_scale(laws, sizes, tokens, folder / "optimum-over-scale.png", domains)
    skin.show(f"Run tables and plots are in {folder}.")
