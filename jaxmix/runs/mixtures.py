"""The distinct mixtures of a table, by name."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from .errors import RunTableError
from .reading import read_raw
from .table import weights_of
from .validate import check_weights, domains_of, renormalized, with_numbers


def read_mixtures(path: str | os.PathLike[str]) -> dict[str, dict[str, float]]:
    """The distinct mixtures of a file in the order in which they come.

    Args:
        path: a table as for `read_runs`; only its columns `w_<domain>` are read.

    Returns:
        Weights by domain, by the file's name and the row that a mixture is first seen in, counted
        from 1: "next-1".

    Raises:
        RunTableError: no column `w_<domain>`, or a row that is no mixture.
    """
    raw = read_raw(path)
    domains = domains_of(list(raw.frame.columns))
    if not domains:
        raise RunTableError(f"{path}: no columns w_<domain>; give a table of mixtures")
    columns = [f"w_{domain}" for domain in domains]
    raw = with_numbers(replace(raw, frame=raw.frame[columns]), columns)
    check_weights(raw, columns)
    weights = weights_of(renormalized(raw.frame, columns)[0], domains)  # [p, k]
    first = np.sort(np.unique(np.round(weights, 9), axis=0, return_index=True)[1])
    return {
        f"{Path(path).stem}-{row + 1}": dict(zip(domains, weights[row].tolist(), strict=True))
        for row in first.tolist()
    }
