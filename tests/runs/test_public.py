"""Published tables, where their folder is named by JAXMIX_PUBLIC_RUNS."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from jaxmix.runs import RunTableError, read_runs, write_runs

FOLDER = os.environ.get("JAXMIX_PUBLIC_RUNS")
pytestmark = pytest.mark.skipif(
    not FOLDER, reason="JAXMIX_PUBLIC_RUNS does not name the folder of published run tables"
)


def path(name):
    return Path(str(FOLDER)) / name


def test_redpajama():
    start = time.perf_counter()
    table = read_runs(path("redpajama_70M-410M.csv"), where="flags == ''")
    assert time.perf_counter() - start < 1.0  # .1 s where nothing else runs
    assert (len(table), len(table.domains), len(table.targets)) == (1089, 7, 23)
    assert table.notes == ("where \"flags == ''\" kept 1089 of 1131 rows",)
    assert np.isfinite(table.losses()).all() and (table.weights == 0).any()
    assert len(table.where("n_params < 3e8 and '70M' not in run")) < 1089


def test_regmix():
    table = read_runs(path("regmix_1M_train512_test256.csv"))
    assert (len(table), len(table.domains), len(table.targets)) == (768, 17, 13)
    assert table.notes == ("weights of 436 rows renormalized (sums 0.996 to 1.003)",)
    assert len(table.where("split == 'train'")) == 512


def test_chinchilla(tmp_path):
    table = read_runs(path("chinchilla_epoch.csv"), where="epoch_excluded == 0")
    assert (len(table), table.domains, table.targets) == (240, (), ("loss",))
    write_runs(table, tmp_path / "c.jsonl")
    np.testing.assert_array_equal(read_runs(tmp_path / "c.jsonl").losses(), table.losses())


def test_datablations_needs_ids_for_replicates():
    with pytest.raises(RunTableError, match=r"column 'loss', line 10.*give replicates their own"):
        read_runs(path("datablations.csv"))
    with pytest.raises(RunTableError, match="column 'n_params' is missing"):
        read_runs(path("mixinglaws_valid_weights.csv"))
