"""Trains the studies of `config`: one run table for each schedule."""

import pathlib

import pandas as pd

from experiments import stages
from experiments.schedules import config
from jaxmix.runs import read_runs, write_runs


def train(work: pathlib.Path, out: pathlib.Path) -> None:
    """Writes ``constant.csv`` and ``cosine.csv`` into `out`, trained first where they are not."""
    for schedule in config.SCHEDULES:
        frames = []
        for name, study in config.studies(schedule).items():
            frame = stages.slim(stages.trained(study, work / schedule / name).frame)
            frames.append(frame.assign(run=f"{name}-" + frame["run"].astype(str)))
        write_runs(read_runs(pd.concat(frames, ignore_index=True)), out / f"{schedule}.csv")
