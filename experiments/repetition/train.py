"""Trains the study's runs, resumed where they were stopped: one table of all stocks and sizes."""

import pathlib

import pandas as pd

from experiments import stages
from experiments.repetition import config
from jaxmix.runs import RunTable, read_runs
from jaxmix.studies import Study


def studies() -> dict[str, Study]:
    """The studies to fit and to score, by name."""
    made = {f"ladder-{stock}": config.ladder(stock) for stock in config.STOCKS}
    made["seeds"] = config.seeds()
    made["matched"] = config.matched()
    made["larger"] = config.larger()
    return made


def train(work: pathlib.Path) -> RunTable:
    """The runs of all studies, with a column that says the stock of the scarce domain."""
    return pooled({name: stages.trained(study, work / name) for name, study in studies().items()})


def pooled(tables: dict[str, RunTable]) -> RunTable:
    """Tables of several studies as one, their runs named after the study too."""
    frames = [
        slim(table.frame).assign(run=f"{name}-" + table.frame["run"].astype(str))
        for name, table in tables.items()
    ]
    return read_runs(pd.concat(frames, ignore_index=True))


def slim(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows without what can be computed again and without targets of other domains."""
    losses = [f"{prefix}_{domain}" for prefix in ("loss", "sem") for domain in config.DOMAINS]
    inputs = [f"{prefix}_{domain}" for prefix in ("w", "unique") for domain in config.DOMAINS]
    names = ["run", "preset", "mixture", "seed", "schedule", "tokenizer", "n_params", "tokens"]
    rounded = frame[["train_loss", *losses]].round(5)
    return frame[[*names, *inputs]].join(rounded)
