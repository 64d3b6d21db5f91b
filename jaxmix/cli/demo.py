"""``jaxmix demo``: the whole way on real data, from raw files to mixtures put to the test."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import demo_output as story
from jaxmix.cli import options as opt
from jaxmix.cli.demo_output import Found, Goal, Larger
from jaxmix.cli.devices import training_bar, use_all_cores
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.data import Corpus
    from jaxmix.laws import Law
    from jaxmix.mixtures import Recommendation
    from jaxmix.runs import RunTable
    from jaxmix.studies import Study


@dataclass(frozen=True)
class Demo:
    """What the demo of a family trains, how much of it, and what it wants a mixture for."""

    recipe: str
    goals: tuple[Goal, ...]
    prefix: str = ""  # of the family's presets
    draws: bool = False  # a contact sheet of what a model of the first goal saw and wrote
    batch: int = 8  # records a step
    length: int = 128  # positions of a record
    held: int = 32  # held-out records of every target
    max_bytes: int | None = None  # of every domain's data
    ladder: tuple[int, ...] = (24, 32, 48)  # widths whose runs are fitted
    largest: int = 64  # the width that mixtures are wanted for
    tokens: float = 400_000  # of every run
    mixtures: int = 11  # random ones beside the vertices and the baselines
    seeds: tuple[int, ...] = (0, 1, 2)  # of the last proof
    checkpoints: int = 5  # of every run

    def preset(self, width: int) -> str:
        """The preset of a width."""
        return f"{self.prefix}tiny-{width}"


_SCRIPTURE = Goal("scripture", ("scripture",), ("api_docs", "dictionary", "world_facts"))
_CODE = Goal("code", ("code_python", "code_cpp"), ("code_python", "code_cpp"))
_CAPTIONS = Goal("image_caption", ("image_caption",), ("image_caption",))
_PAGES = Goal("interleaved", ("interleaved",), ("interleaved",))
_EMOJI = Goal("emoji", ("emoji",), ("emoji", "icons"))
_ICONS = Goal("icons", ("icons",), ("icons",))
_DEMOS = {
    "text": Demo("text-mini", (_SCRIPTURE, _CODE), max_bytes=8_000_000),
    "nmm": Demo("nmm-mini", (_CAPTIONS, _PAGES), "nmm-", True, held=96, tokens=300_000),
    "lvm": Demo(
        "lvm-mini",
        (_EMOJI, _ICONS),
        "lvm-",
        True,
        batch=32,
        length=32,
        held=192,
        tokens=300_000,
    ),
}
_QUICK = {"ladder": (16, 24, 32), "largest": 48, "tokens": 90_000, "mixtures": 4}
_QUICK |= {"seeds": (0, 1), "checkpoints": 4}


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
    """Train a ladder of tiny models on real data, fit laws, and test the mixtures they recommend.

    Prepares a corpus, trains many mixtures at several sizes, chooses a law by its error on runs
    that it did not see, recommends a mixture for each of two goals at a larger size, and trains
    that size on these mixtures and on what people would take otherwise. Ends with a report page for
    each goal. Stopped and called again, it goes on where it was.
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
    larger = Larger(demo.preset(demo.largest), _parameters(study, demo, corpus))
    story.introduce(study, corpus, demo.goals, larger)
    ladder = _trained(study, corpus, folder / "ladder")
    law = _law(ladder, demo)
    found = {goal: _recommended(ladder, goal, law, larger) for goal in demo.goals}
    story.show_recommended(found, ladder, larger)
    proof = _trained(_proof(study, demo, found), corpus, folder / "proof", demo.draws)
    story.show_proof(found, proof, larger)
    pages = _write_pages(found, ladder, proof, folder)
    if demo.draws:
        run = f"{larger.preset}-{demo.goals[0].best}-s{demo.seeds[0]}"
        story.show_pictures(folder, corpus, run)
    goal, one = next(iter(found.items()))
    story.show_end(pages, folder, goal, one)


def _study(demo: Demo) -> "Study":
    from jaxmix.studies import BASELINES, CorpusSpec, Size, Study, parse_design

    designs = (*BASELINES, "vertices,minimum=0.04", f"dirichlet:{demo.mixtures}")
    return Study(
        CorpusSpec(demo.recipe, "bpe-1024", demo.max_bytes),
        tuple(Size(demo.preset(width), demo.tokens) for width in demo.ladder),
        designs=tuple(parse_design(text) for text in designs),
        mixtures=_guesses(demo),
        held_windows=demo.held,
        **common.pick(demo, "checkpoints", "batch", "length"),
    )


def _guesses(demo: Demo) -> dict[str, dict[str, float]]:
    """A practitioner's guess for every goal."""
    from jaxmix.data import RECIPES

    domains = [one.name for one in RECIPES[demo.recipe].domains if not one.target_only]
    return {goal.baselines["guess"]: goal.guess(domains) for goal in demo.goals}


def _parameters(study: "Study", demo: Demo, corpus: "Corpus") -> int:
    """Parameters of the larger size, without embeddings."""
    from jaxmix.studies import build

    return build(study, demo.preset(demo.largest), corpus).model.count().n_params


def _trained(
    study: "Study", corpus: "Corpus", folder: Path, keep_final: bool = False
) -> "RunTable":
    """Trains what is not trained yet, and returns the rows after the first checkpoint of the runs.

    The first one lies right behind the warm-up, where losses follow another curve.
    """
    from jaxmix.runs import read_runs
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
    write_table(plan, folder, folder / "runs.csv")
    table = read_runs(folder / "runs.csv")
    return table.select(table.tokens > table.tokens.min())


def _law(ladder: "RunTable", demo: Demo) -> "Law":
    """The law for all goals, chosen by its error on runs that are left out of the fit."""
    from jaxmix.fitting import select

    targets = tuple(target for goal in demo.goals for target in goal.targets)
    options: dict[str, Any] = {"residuals": ("loss",), "burn_in": (0.0,), "size_floors": (0.0,)}
    with common.progress("choosing a law") as report:
        found = select(ladder, targets=targets, outer=(), restarts=8, progress=report, **options)
    story.show_laws(found)
    return found.choice.law


def _recommended(ladder: "RunTable", goal: Goal, law: "Law", larger: Larger) -> "Recommendation":
    from jaxmix.mixtures import Constraints, recommend
    from jaxmix.studies import mixture_weights

    stock = None
    if law.reads("unique"):
        first = ladder.frame.iloc[0]
        stock = Constraints(available={d: float(first[f"unique_{d}"]) for d in ladder.domains})
    named = {n: mixture_weights(ladder, run) for n, run in goal.baselines.items()}
    with common.progress(f"recommending for {goal.name}") as report:
        return recommend(
            ladder,
            larger.n_params,
            float(ladder.tokens.max()),
            stock,
            law=law,
            targets=goal.targets,
            baselines=named,
            progress=report,
        )


def _proof(study: "Study", demo: Demo, found: Found) -> "Study":
    """Recommended mixtures beside the baselines at the larger size, by seed."""
    from jaxmix.studies import Size, proof_study

    best = {goal.best: one.weights for goal, one in found.items()}
    size = Size(demo.preset(demo.largest), demo.tokens)
    return proof_study(study, size, {**study.mixtures, **best}, demo.seeds)


def _write_pages(found: Found, ladder: "RunTable", proof: "RunTable", folder: Path) -> list[Path]:
    """A report page for every goal, with the runs of the larger size as rows that no fit saw."""
    import pandas as pd

    from jaxmix.report import write_report
    from jaxmix.runs import read_runs

    rows = read_runs(pd.concat([ladder.frame, proof.frame]), source=ladder.source)
    where = f"n_params <= {ladder.n_params.max():g}"
    pages = []
    for goal, one in found.items():
        pages.append(folder / f"report-{goal.name}.html")
        with common.progress(f"writing {pages[-1].name}") as report:
            write_report(pages[-1], one, rows, where=where, progress=report)
    return pages
