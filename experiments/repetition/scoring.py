"""Fits of every law, with and without repetition and harm, and their errors on rows not fitted."""

import hashlib
import pathlib
from collections.abc import Iterator
from typing import Any

from experiments.repetition import config
from jaxmix.fitting import FittedLaws, fit, load_laws, mean_mre, score
from jaxmix.runs import RunTable

BASES = ("additive", "joint", "effective")
SUFFIXES = ("", "+repetition", "+repetition+harm")
LAWS = tuple(base + suffix for base in BASES for suffix in SUFFIXES)
RESTARTS = 16
FIRST = 60_000  # tokens before which runs still warm up


def split(runs: RunTable) -> dict[str, RunTable]:
    """Rows to fit, and rows that are kept from a fit, by name."""
    runs = runs.select(runs.tokens > FIRST)
    frame = runs.frame
    first = frame["seed"] == 0  # the others say how sure harm is
    larger = frame["preset"] == config.LARGEST
    ladder = first & ~larger & frame[f"unique_{config.SCARCE}"].isin(config.STOCKS)
    unseen = frame["mixture"].astype(str).isin(config.UNSEEN)
    short = frame["tokens"] < 0.51 * config.TOKENS
    often = frame["tokens"] * frame[f"w_{config.SCARCE}"] > 4 * frame[f"unique_{config.SCARCE}"]
    parts = {
        "ladder": ladder,
        "fitted": ladder & ~unseen,
        "unseen_mixtures": ladder & unseen,
        "larger_size": larger,
        "larger_size_repeated": larger & often,
        "short": ladder & short,
        "twice_the_tokens": ladder & (frame["tokens"] > 0.99 * config.TOKENS),
    }
    return {name: runs.select(rows.to_numpy()) for name, rows in parts.items()}


def fitted(runs: RunTable, law: str, work: pathlib.Path) -> FittedLaws:
    """The law of every domain's loss, read from `work` if it was fitted to these rows before."""
    key = hashlib.sha256(runs.frame.to_csv(index=False).encode()).hexdigest()[:12]
    path = work / f"{law}-{key}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        targets = list(config.DOMAINS)
        fit(runs, law, targets=targets, restarts=RESTARTS, residual="log").save(path)
    return load_laws(path)


def scores(tables: dict[str, RunTable], work: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Mean relative error in percent of every law, for the scarce domain and the mean of all."""
    for law in LAWS:
        fits = fitted(tables["fitted"], law, work)
        short = fitted(tables["short"], law, work)
        row: dict[str, Any] = {"law": law, "parameters": fits.law.count(len(config.DOMAINS))}
        for name in ("fitted", "unseen_mixtures", "larger_size", "larger_size_repeated"):
            row |= _errors(fits, tables[name], name)
        row |= _errors(short, tables["twice_the_tokens"], "twice_the_tokens")
        print(row, flush=True)
        yield row


def _errors(fits: FittedLaws, runs: RunTable, name: str) -> dict[str, float]:
    found = score(fits, runs)
    return {f"{config.SCARCE}_{name}": found[config.SCARCE].mre, f"mean_{name}": mean_mre(found)}


def chosen(rows: list[dict[str, Any]]) -> str:
    """The law that with all its transforms has the least error on unseen mixtures of the ladder."""
    laws = {row["law"]: float(row["mean_unseen_mixtures"]) for row in rows}
    return min(BASES, key=lambda base: laws[base + SUFFIXES[-1]])
