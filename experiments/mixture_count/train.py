"""Trains the designs of `config`: six run tables in one, with a column that says which design."""

import pathlib

import numpy as np
import pandas as pd

from experiments import stages
from experiments.mixture_count import config
from jaxmix.mixtures import dirichlet_design, uniform, vertices
from jaxmix.runs import read_runs, write_runs

LEAST = 0.02  # smallest weight of a group in a random mixture
CORNER = 0.05  # and near a vertex


def train(work: pathlib.Path, out: pathlib.Path) -> None:
    """Writes the run table of all designs, trained first where it is not."""
    corpus = config.CORPUS.open()
    windows = {domain: len(corpus.train(domain, 128)) for domain in config.DOMAINS}
    tables = []
    for design, groups in config.GROUPS.items():
        study = config.study(mixtures(groups, windows))
        frame = stages.slim(stages.trained(study, work / design).frame)
        tables.append(frame.assign(design=design, run=design + "-" + frame["run"].astype(str)))
    write_runs(read_runs(pd.concat(tables, ignore_index=True)), out)


def mixtures(
    groups: dict[str, tuple[str, ...]], windows: dict[str, int]
) -> dict[str, dict[str, float]]:
    """Uniform over the groups, one near each vertex, and random ones, as weights of domains."""
    k = len(groups)
    near = vertices(k) * (1 - k * CORNER) + CORNER
    random = dirichlet_design(k, config.MIXTURES - k - 1, seed=k, minimum=LEAST)
    points = {"uniform": uniform(k)[0]}
    points |= {f"only-{name}": row for name, row in zip(groups, near, strict=True)}
    points |= {f"random{i}": row for i, row in enumerate(random)}
    return {name: _spread(groups, point, windows) for name, point in points.items()}


def _spread(
    groups: dict[str, tuple[str, ...]], point: np.ndarray, windows: dict[str, int]
) -> dict[str, float]:
    """A group's weight on its domains, in proportion to their size."""
    weights = {}
    for weight, members in zip(point.tolist(), groups.values(), strict=True):
        total = sum(windows[domain] for domain in members)
        weights |= {domain: weight * windows[domain] / total for domain in members}
    return weights
