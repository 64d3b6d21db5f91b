"""What the shell completes: files, and the names of laws, presets, domains and targets.

Nothing heavy is imported, so that a key press is answered at once.
"""

import csv
import json
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

# Written down, since the rooms that have them import JAX; a test compares.
LAWS = (
    *("additive", "joint", "simple", "full", "effective", "chinchilla", "d-cpt", "own-weight"),
    *("additive-fixed-n", "additive-fixed-d", "additive-fixed-nd"),
    *("effective-fixed-n", "effective-fixed-d", "effective-fixed-nd"),
    *("ye-m1", "ye-m2", "ye-m3", "ye-m4", "ge", "log-linear"),
)
TRANSFORMS = ("+repetition", "+repetition-by-domain", "+harm", "+scarcity", "+before", "+floor")
_SIZES = {
    "llama": "412m 834m 1.1b 1.4b 3b 7b",
    "gpt2": "90m 200m 350m 700m 1.3b 3b",
    "tiny": "16 24 32 48 64 96 128 192 256",
    "nmm": "275m 468m 932m 1.6b 2.3b 3.4b 8.1b",
    "nmm-tiny": "16 24 32 48 64 96 128",
    "nmm-gpu": "256 384 512",
    "lvm": "89m 157m 306m 531m 1.1b",
    "lvm-tiny": "16 24 32 48 64 96 128",
    "lvm-gpu": "256 384 512",
}
PRESETS = tuple(f"{kind}-{size}" for kind, sizes in _SIZES.items() for size in sizes.split())

_MOST = 20e6  # bytes of a law file that is read for its names
_FILES = re.compile(r"FILE|RUNS|LAW|POINTS|CHOICE|RATIOS|METRICS|MIXTURES|LOSSES|\.\w+$")
_FOLDERS = re.compile(r"FOLDER|PLAN")


class Text(click.types.StringParamType):
    """Text that is the name of a file or folder, or one name of a list."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Files, folders or names, by what the parameter is called."""
        if param.name == "law" and isinstance(param, click.Option):
            return law_names(incomplete)
        if param.name == "preset":
            return named(PRESETS, incomplete)
        if param.name == "target":
            return named(names_at_hand(ctx, "targets"), incomplete)
        shown = param.metavar or (param.name or "").upper()
        if _FOLDERS.search(shown):
            return [CompletionItem(incomplete, type="file" if "FILE" in shown else "dir")]
        is_file = _FILES.search(shown) or isinstance(param, click.Argument)
        return [CompletionItem(incomplete, type="file")] if is_file else []


def law_names(incomplete: str) -> list[CompletionItem]:
    """Laws, and what may be added to a name that is there."""
    base = incomplete.rpartition(",")[2].partition("+")[0]
    ends = TRANSFORMS if base in LAWS and "+" in incomplete else ()
    begun = incomplete.rpartition("+")[0] if ends else ""
    more = [begun.rpartition(",")[2] + end for end in ends]
    return listed((*LAWS, *more), incomplete)


def listed(names: Iterable[str], incomplete: str, end: str = "") -> list[CompletionItem]:
    """Names that go on with the last one of a list with commas."""
    before, comma, last = incomplete.rpartition(",")
    return [CompletionItem(f"{before}{comma}{n}{end}") for n in names if n.startswith(last)]


def named(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Names that go on with what was typed."""
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def names_at_hand(ctx: click.Context, kind: str) -> Sequence[str]:
    """Domains or targets of the run table or the law that the command line names already."""
    # What was parsed, and what stands before an option whose value is being typed.
    for path in (*ctx.params.values(), *ctx.args):
        if isinstance(path, str) and os.path.isfile(path) and os.path.getsize(path) < _MOST:
            found = _in_file(path, kind)
            if found:
                return found
    return ()


def _in_file(path: str, kind: str) -> Sequence[str]:
    prefix = {"domains": "w_", "targets": "loss_"}[kind]
    if not path.endswith((".csv", ".tsv", ".json")):
        return ()
    try:
        with open(path, encoding="utf-8", newline="") as file:
            if path.endswith((".csv", ".tsv")):
                header = next(csv.reader(file, delimiter="\t" if path.endswith("tsv") else ","))
                return [name.removeprefix(prefix) for name in header if name.startswith(prefix)]
            held: Any = json.load(file)
    except (OSError, ValueError, StopIteration, RecursionError):
        return ()  # a completion says nothing about files
    found = held.get(kind) if isinstance(held, dict) else None
    return [*map(str, found)] if isinstance(found, dict | list) else ()
