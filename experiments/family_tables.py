"""The run tables that experiments on tables read: our three studies, and the published ones."""

import os
import pathlib

import numpy as np

from experiments import harness
from jaxmix.runs import RunTable, read_runs

HERE = pathlib.Path(__file__).resolve().parent


def text() -> RunTable:
    """24 mixtures of seven domains of text at four sizes, 7 at a larger one."""
    return read_runs(HERE / "text" / "results" / "runs.csv")


def multimodal() -> RunTable:
    """17 mixtures of text, captioned pictures and pages at four sizes, 7 at a larger one."""
    return read_runs(HERE / "multimodal" / "results" / "runs.csv")


def vision() -> RunTable:
    """18 mixtures of four domains of pictures at four sizes, 7 at a larger one."""
    return read_runs(HERE / "vision" / "results" / "runs.csv")


def published_are_here() -> bool:
    """Whether the published tables can be read."""
    return bool(os.environ.get(harness.PUBLISHED))


def redpajama() -> RunTable:
    """Published language models on seven domains, without the runs that are flagged."""
    return read_runs(harness.published("redpajama_70M-410M.csv"), where="flags == ''")


def regmix() -> RunTable:
    """Published 1M models on 768 mixtures of 17 domains."""
    return read_runs(harness.published("regmix_1M_train512_test256.csv"))


def mixture_total(runs: RunTable) -> int:
    """How many different mixtures there are."""
    return len(np.unique(np.round(runs.weights, 6), axis=0))
