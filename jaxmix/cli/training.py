"""What the commands that train share: options, and how they stop when they are asked to."""

import contextlib
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import options as opt
from jaxmix.cli.values import AMOUNTS, Value, Whole, named_option
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.training import Saving

GO_ON_LATER = 75  # EX_TEMPFAIL: a job scheduler that starts the same command again is right


class Shard(Value):
    """I/N."""

    name = "I/N"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """Text to (i, n)."""
        if isinstance(value, tuple):
            return value
        first, _, second = str(value).partition("/")
        if not (first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
            self.fail(f"'{value}' is not I/N with I from 1 to N; write 1/4", param, ctx)
        return int(first), int(second)


corpus_options = opt.several(
    click.option("--corpus", required=True, metavar="NAME", help="A recipe or a prepared corpus."),
    click.option(
        "--tokenizer",
        metavar="bytes|bpe-N|FILE.json",
        help="Prepares the recipe with it; FILE.json is one of the tokenizers package.  [default: "
        "bpe-4096 for a recipe]",
    ),
    click.option(
        "--max-bytes",
        type=Whole("write 2M, or leave it out"),
        help="Most bytes of every domain's data.",
    ),
    click.option(
        "--picture-size",
        type=click.IntRange(16, 1024),
        help="Shorter side of a recipe's pictures, in pixels.  [default: 48]",
    ),
)

tasks_option = click.option(
    "--tasks",
    metavar="TASKS.jsonl",
    help="Score every checkpoint on these questions: loss_task_<name>, the bits per byte of the "
    "right answers, and metric_<name>, the accuracy.",
)

log_options = opt.several(
    click.option("--tensorboard", metavar="FOLDER", help="Metrics for TensorBoard as well."),
    click.option(
        "--wandb",
        metavar="[ENTITY/]PROJECT",
        help="Metrics to Weights & Biases as well, every run as one of its own; files only with "
        "WANDB_MODE=offline. See jaxmix import wandb.",
    ),
)


def logs_of(tensorboard: str | None, wandb: str | None, folder: str) -> Any:
    """The logs that the options name, with the folder of the results.

    Raises:
        JaxmixError: a package is not installed.
    """
    from jaxmix.training import Logs

    logs = Logs(tensorboard, wandb, os.path.abspath(folder))
    logs.check()
    return logs


def log_notes(logs: Any) -> list[str]:
    """Where the files of Weights & Biases are, if runs were logged there."""
    if not logs.wandb:
        return []
    files = os.path.join(os.environ.get("WANDB_DIR") or logs.folder, "wandb")
    offline = os.environ.get("WANDB_MODE") == "offline"
    upload = f"; to upload them: wandb sync {files}/offline-run-*" if offline else ""
    return [f"logged to {logs.wandb} of Weights & Biases, with files in {files}{upload}"]


_SETTINGS = ("checkpoints", "batch", "length", "held_windows", "schedule", "forbid_repeat")
_SETTINGS += ("match_epochs", "average")

run_options = opt.several(
    opt.count("--checkpoints", 8, "Evaluations of each run."),
    opt.count("--batch", 16, "Records per step."),
    click.option(
        "--length",
        type=click.IntRange(min=2),
        help="Tokens and patches of a record.  [default: 128; with pictures what they take]",
    ),
    opt.setting("--held-windows", click.IntRange(min=2), 64, "Held-out records of every target."),
    opt.setting("--schedule", ("constant", "cosine"), "constant", "Schedule of the learning rate."),
    opt.setting(
        "--average",
        click.FloatRange(0, 1),
        0.0,
        "Measure losses with parameters averaged over this share of the run so far, such as 0.1: "
        "they have less noise at a constant learning rate.",
    ),
    click.option("--forbid-repeat", is_flag=True, help="Refuse to read any window twice."),
    tasks_option,
    named_option(
        "--available",
        "--unique",
        "available",
        kind=AMOUNTS,
        help="Tokens that exist of a domain: books=25B; runs read no more and repeat them.  "
        "[default: all of the corpus]",
    ),
    click.option(
        "--match-epochs",
        type=Whole("write 1T, the tokens of the large run"),
        metavar="TOKENS",
        help="Tokens of a large run. The tokens that exist are cut in proportion to its length, so "
        "that every domain is repeated as often as there.",
    ),
)


checkpoint_minutes = opt.setting(
    "--checkpoint-minutes",
    click.FloatRange(min=0),
    5.0,
    "Most minutes from one checkpoint to the next; the first ones come sooner.",
)


@contextlib.contextmanager
def stoppable(minutes: float) -> "Iterator[Saving]":
    """Yields when to save; SIGTERM and Ctrl-C end a run after its step, once it is saved.

    The command then ends with status 75, or 130 after Ctrl-C. A second signal ends it at once, as
    Ctrl-C does while nothing is being trained.
    """
    from jaxmix.training import Saving, Stopped, is_first

    with _signals() as (received, stopping):
        try:
            yield Saving(60 * minutes, stopping)
        except Stopped as stopped:
            if is_first():
                click.echo(str(stopped), err=True)
            status = 130 if received[:1] == [signal.SIGINT] else GO_ON_LATER
            raise click.exceptions.Exit(status) from None


@contextlib.contextmanager
def _signals() -> Iterator[tuple[list[int], Callable[[], Any]]]:
    """Yields the signals that arrived during training, and `Saving.stopping`."""
    received: list[int] = []
    training: list[bool] = []
    before: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        if training:
            received.append(number)
            for each in before:  # another one ends the process, whatever it is doing
                signal.signal(each, signal.SIG_DFL)
        elif number == signal.SIGINT and callable(before[number]):
            before[number](number, frame)
        else:
            sys.exit(GO_ON_LATER)

    @contextlib.contextmanager
    def stopping() -> Iterator[Callable[[], bool]]:
        training.append(True)
        try:
            yield lambda: bool(received)
        finally:
            training.clear()

    if threading.current_thread() is threading.main_thread():
        ours = (signal.SIGTERM, signal.SIGINT)
        now = {number: signal.getsignal(number) for number in ours}
        before = {number: was for number, was in now.items() if was is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, handle)
        yield received, stopping
    finally:
        for number, was in before.items():
            signal.signal(number, was)


def corpus_spec(options: Mapping[str, Any]) -> Any:
    """The corpus that the options name."""
    from jaxmix.data import RECIPES, absolute_tokenizer
    from jaxmix.studies import CorpusSpec

    corpus, tokenizer, most = (options[name] for name in ("corpus", "tokenizer", "max_bytes"))
    size = options["picture_size"]
    if corpus in RECIPES:
        return CorpusSpec(corpus, absolute_tokenizer(tokenizer or "bpe-4096"), most, size)
    if tokenizer or most or size:
        raise JaxmixError(
            f"--corpus {corpus}: is no recipe, so --tokenizer, --max-bytes and --picture-size do "
            "not apply; prepare it first with jaxmix data prepare"
        )
    return CorpusSpec(corpus)


def run_settings(options: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """What ``run_options`` say, for ``Study``; the length is the preset's if none is given.

    Raises:
        JaxmixError: infinitely many tokens are available.
    """
    from jaxmix.studies import default_length, find_tasks

    found = {name: options[name] for name in _SETTINGS}
    for domain, tokens in options["available"].items():
        if tokens == math.inf:
            raise JaxmixError(
                f"--available {domain}=inf: a corpus is finite; leave {domain} out for all of it"
            )
    found["unique_tokens"] = options["available"]
    found["tasks"] = find_tasks(options["tasks"]) if options["tasks"] else None
    return found | {"length": found["length"] or default_length(preset)}
