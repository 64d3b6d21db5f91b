"""``jaxmix demo``: the whole way on real data, from raw files to a mixture put to the test."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.demo_output import Best, Laws, plot_all, show_pictures, show_proof, show_scores
from jaxmix.cli.devices import training_bar, use_all_cores
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.data import Corpus
    from jaxmix.fitting import FittedLaws
    from jaxmix.runs import RunTable
    from jaxmix.studies import Study

_UNSEEN = ("unseen0", "unseen1")
_LAWS = ("additive", "joint")


@dataclass(frozen=True)
class Demo:
    """What the demo of a family trains, and how much of it."""

    recipe: str
    goal: str  # a target for which a mixture is proposed, as well as for the mean
    prefix: str = ""  # of the family's presets
    shown: str | None = None  # whose model's contact sheet is drawn at the end
    batch: int = 8  # records a step
    length: int = 128  # positions of a record
    held: int = 32  # held-out records of every target
    max_bytes: int | None = None  # of every domain's data
    ladder: tuple[int, ...] = (24, 32, 48)  # widths whose runs are fitted
    largest: int = 64  # the width that is predicted
    tokens: float = 200_000  # of every run
    mixtures: int = 6  # random ones beside the vertices and the uniform one
    seeds: tuple[int, ...] = (0, 1, 2)  # of the last proof
    checkpoints: int = 5  # of every run
    restarts: int = 32  # of every fit

    def preset(self, width: int) -> str:
        """The preset of a width."""
        return f"{self.prefix}tiny-{width}"


# Scripture is never trained on.
_DEMOS = {
    "text": Demo("text-mini", "scripture", max_bytes=8_000_000),
    "nmm": Demo("nmm-mini", "image_caption", "nmm-", "best-image_caption", held=96),
    "lvm": Demo("lvm-mini", "emoji", "lvm-", "best-mean", batch=32, length=32, held=192),
}
_QUICK = {"ladder": (16, 24, 32), "largest": 48, "tokens": 90_000, "mixtures": 4}
_QUICK |= {"seeds": (0, 1), "checkpoints": 4, "restarts": 16}


@click.command("demo", cls=common.Command)
@opt.setting(
    "--family",
    tuple(_DEMOS),
    "text",
    "Text, early-fusion multimodal (nmm), or vision models (lvm).",
)
@click.option("--quick", is_flag=True, help="A smaller study, about two minutes.")
@opt.setting("--out", str, "jaxmix-demo", "For all results.", metavar="FOLDER")
def command(family: str, quick: bool, out: str) -> None:
    """Train a ladder of tiny models on real data, fit laws, and test the mixture they propose.

    Prepares a corpus, trains many mixtures at several sizes, fits the additive and the joint law,
    scores them on unseen mixtures and an unseen larger size, finds the best mixtures for the mean
    loss and for one target, and trains those at the larger size beside the uniform one. Models that
    see pictures end with a contact sheet of what they saw and wrote. Stopped and called again, it
    goes on where it was.
    """
    use_all_cores()
    demo = _DEMOS[family]
    if quick:
        most = 2_000_000 if demo.max_bytes else None
        demo = dataclasses.replace(demo, max_bytes=most, **_QUICK)
    folder = Path(out, ("" if family == "text" else f"{family}-") + ("quick" if quick else "full"))
    folder.mkdir(parents=True, exist_ok=True)
    study = _study(demo)
    with common.progress(f"preparing {demo.recipe}") as report:
        corpus = study.corpus.open(report)
    _introduce(demo, study, corpus)
    ladder = _trained(study, corpus, folder / "ladder")
    seen, unseen = _split(ladder)
    laws = {name: _fit(seen, name, demo) for name in _LAWS}
    best = _optima(laws, study, corpus, demo, ladder, unseen)
    proof = _trained(_proof(study, demo, best), corpus, folder / "proof", demo.shown is not None)
    _, larger = _split(proof)
    show_scores(laws, seen, unseen, larger)
    show_proof(laws[best.law], best, proof, corpus)
    plot_all(laws, seen, unseen, proof, folder)
    if demo.shown:
        show_pictures(folder, corpus, f"{demo.preset(demo.largest)}-{demo.shown}-s0")


def _study(demo: Demo) -> "Study":
    from jaxmix.studies import CorpusSpec, Size, Study, parse_design

    designs = ("uniform", "vertices,minimum=0.04", f"dirichlet:{demo.mixtures}")
    return Study(
        CorpusSpec(demo.recipe, "bpe-1024", demo.max_bytes),
        tuple(Size(demo.preset(width), demo.tokens) for width in demo.ladder),
        designs=tuple(parse_design(text) for text in designs),
        mixtures=_unseen_mixtures(demo),
        held_windows=demo.held,
        **common.pick(demo, "checkpoints", "batch", "length"),
    )


def _unseen_mixtures(demo: Demo) -> dict[str, dict[str, float]]:
    """Mixtures that no fit sees."""
    from jaxmix.data import RECIPES
    from jaxmix.studies import Design, named_mixtures

    domains = [one.name for one in RECIPES[demo.recipe].domains if not one.target_only]
    random = Design("dirichlet", len(_UNSEEN), minimum=0.1, seed=1)
    found = named_mixtures((random,), dict.fromkeys(domains, 1))
    return dict(zip(_UNSEEN, found.values(), strict=True))


def _introduce(demo: Demo, study: "Study", corpus: "Corpus") -> None:
    from jaxmix.studies import build, epoch_tokens

    built = build(study, study.sizes[0].preset, corpus)
    tokens = epoch_tokens(study, corpus, built)
    counts = ", ".join(f"{domain} {count / 1e6:.2f}M" for domain, count in tokens.items())
    targets = [t for t in corpus.targets if t not in corpus.domains]
    patches = ", patches of pictures included" if corpus.illustrated else ""
    more = f"; and {targets[0]}, which is a target only" if targets else ""
    common.show(
        f"Real data, tokens by domain{patches}: {counts}{more}. Models "
        f"{', '.join(map(demo.preset, demo.ladder))} train on "
        f"{demo.mixtures + len(corpus.domains) + 3} mixtures, {demo.tokens:,.0f} tokens each; "
        f"{demo.preset(demo.largest)} is to be predicted."
    )


def _trained(
    study: "Study", corpus: "Corpus", folder: Path, keep_final: bool = False
) -> "RunTable":
    """Trains what is not trained yet, and returns the run table."""
    from jaxmix.studies import extended, make_plan, run_plan, write_table

    plan = extended(make_plan(study, corpus), folder)
    folder.mkdir(exist_ok=True)
    plan.save(folder / "plan.json")
    others: list[str] = []
    with training_bar(plan) as report:
        run_plan(
            plan,
            folder,
            progress=report,
            corpus=corpus,
            keep_final=keep_final,
            passed=lambda wave, holder: others.append(holder),
        )
    if others:
        raise JaxmixError(
            f"{folder}: {others[0]} is at work here; wait for it or name another --out"
        )
    return write_table(plan, folder, folder / "runs.csv")


def _split(table: "RunTable") -> "tuple[RunTable, RunTable]":
    """Rows to fit and rows of unseen mixtures; neither has the first checkpoint of any run.

    It lies right behind the warm-up, where losses follow another curve.
    """
    late = table.tokens > table.tokens.min()
    unseen = table.frame["mixture"].isin(_UNSEEN).to_numpy()
    return table.select(late & ~unseen), table.select(late & unseen)


def _fit(table: "RunTable", law: str, demo: Demo) -> "FittedLaws":
    from jaxmix.fitting import fit

    with common.progress(f"fitting {law}") as report:
        return fit(table, law, restarts=demo.restarts, residual="log", progress=report)


def _optima(
    laws: Laws, study: "Study", corpus: "Corpus", demo: Demo, ladder: "RunTable", unseen: "RunTable"
) -> Best:
    from jaxmix.fitting.scores import mean_mre, score
    from jaxmix.mixtures import Constraints
    from jaxmix.studies import build

    law = min(laws, key=lambda name: mean_mre(score(laws[name], unseen)))
    n = build(study, demo.preset(demo.largest), corpus).model.count().n_params
    goals = {"best-mean": corpus.domains, f"best-{demo.goal}": (demo.goal,)}
    tokens = float(ladder.tokens.max())
    # No law knows what lies beyond the weights that were run.
    most = dict(zip(ladder.domains, ladder.weights.max(0).tolist(), strict=True))
    limits = Constraints(maximum=most)
    found = {
        name: laws[law].optimize(n, tokens, limits, target_weights=dict.fromkeys(goal, 1.0)).weights
        for name, goal in goals.items()
    }
    return Best(law, found, goals)


def _proof(study: "Study", demo: Demo, best: Best) -> "Study":
    """Unseen, uniform and proposed mixtures at the larger size, by seed."""
    from jaxmix.studies import Size

    domains = next(iter(best.mixtures.values()))
    uniform = dict.fromkeys(domains, 1 / len(domains))
    return dataclasses.replace(
        study,
        sizes=(Size(demo.preset(demo.largest), demo.tokens),),
        designs=(),
        mixtures={**_unseen_mixtures(demo), "uniform": uniform, **best.mixtures},
        seeds=demo.seeds,
    )
