"""The image families train as text does: in fleets, over devices, in parts, again after a kill."""

import math
import os
import pathlib
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from jaxmix.training import fleet_layout, read_rows, single_layout, train
from jaxmix.training.program import Program
from tests.training import pictures_toys as toys

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def quick_programs():
    toys.compile_quickly(True)
    yield
    toys.compile_quickly(False)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXMIX_CACHE", str(tmp_path_factory.mktemp("cache")))
        return toys.corpus_of_pictures()


@pytest.fixture(scope="module", params=toys.FAMILIES)
def family(request) -> toys.Family:
    return toys.FAMILIES[request.param]


@pytest.fixture(scope="module")
def together(family, corpus, tmp_path_factory) -> list[dict]:
    """Rows of a fleet of two, a device each."""
    model, folder = family.model(family.config()), tmp_path_factory.mktemp("fleet")
    feed = toys.feed(family, corpus)
    return train(model, toys.fleet(family), feed, folder, layout=fleet_layout(2)).rows


def measured(rows: list[dict], run: str) -> np.ndarray:
    """All that was measured of one run, [rows, columns]."""
    starts = ("train_loss", "loss_", "sem_", "caption_", "image_")
    names = [name for name in rows[0] if name.startswith(starts)]
    return np.array([[row[name] for name in names] for row in rows if row["run"] == run])


def alone(family, corpus, folder, member, layout, accumulate=1, **overrides) -> np.ndarray:
    model, only = family.model(family.config(**overrides)), (member,)
    fleet, feed = toys.fleet(family, only, accumulate=accumulate), toys.feed(family, corpus, only)
    return measured(train(model, fleet, feed, folder, layout=layout).rows, f"r{member}")


def test_a_member_is_a_run_alone_over_devices_in_parts_and_with_remat(
    family, corpus, together, tmp_path
):
    found = alone(family, corpus, tmp_path, 1, single_layout(8), 2, remat="full")
    np.testing.assert_allclose(found, measured(together, "r1"), rtol=2e-4)
    first = measured(together, "r0")
    assert np.abs(first / found - 1)[:, 1:].max() > 0.01  # so near they are not by themselves


@pytest.mark.slow
@pytest.mark.parametrize(
    ("member", "layout", "options"),
    [
        (0, {"devices": 1}, {}),
        (0, {"fsdp": 8}, {}),
        (1, {"devices": 1}, {"accumulate": 2}),
        (0, {"devices": 1}, {"remat": "full"}),
        (0, {"fsdp": 2}, {"remat": "dots", "scan": True}),
    ],
    ids=["plain", "fsdp-8", "2-parts", "full", "dots-scan"],
)
def test_a_member_is_a_run_alone(family, corpus, together, tmp_path, member, layout, options):
    found = alone(family, corpus, tmp_path, member, single_layout(**layout), **options)
    np.testing.assert_allclose(found, measured(together, f"r{member}"), rtol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "members"), [(1, "vmap"), (8, "map")])
def test_all_layouts_of_a_fleet_agree(family, corpus, together, tmp_path, devices, members):
    model, layout = family.model(family.config()), fleet_layout(devices, members)
    rows = train(model, toys.fleet(family), toys.feed(family, corpus), tmp_path, layout=layout).rows
    for run in ("r0", "r1"):
        np.testing.assert_allclose(measured(rows, run), measured(together, run), rtol=2e-4)


def test_rows_carry_what_the_family_measures(family, together):
    assert [(row["run"], row["step"]) for row in together] == [
        ("r0", 2), ("r1", 2), ("r0", 4), ("r1", 4)
    ]  # fmt: skip
    for row in together:
        assert row["tokens"] == row["step"] * toys.BATCH * family.length
        for name in family.mixtures[0]:
            assert 0 < row[f"sem_{name}"] < row[f"loss_{name}"] < 6.5
            if family.length == toys.FAMILIES["vision"].length:
                whole = row[f"caption_{name}"] + toys.ALPHA * row[f"image_{name}"]
                assert row[f"loss_{name}"] == pytest.approx(whole, rel=1e-6)
            else:
                assert f"caption_{name}" not in row


class Seen:
    """Records that note all that was taken of them."""

    def __init__(self, records):
        self.records, self.taken = records, []

    def __len__(self):
        return len(self.records)

    def take(self, indices, draws=None):
        found = self.records.take(indices, draws)
        self.taken.append({"index": indices, **found})
        return found

    @property
    def all(self):
        return {name: np.concatenate([one[name] for one in self.taken]) for name in self.taken[0]}


def test_members_of_one_seed_read_every_domain_alike(family, corpus):
    seen = []
    for member in (0, 1):
        records = {name: Seen(found) for name, found in family.records(corpus).items()}
        (source,) = toys.sources(family, records, [member])
        for step in range(14):
            source[step]
        seen.append(records)
    lengths = []
    for name in family.mixtures[0]:
        one, two = (records[name].all for records in seen)
        both = min(len(one["index"]), len(two["index"]))
        lengths.append((len(one["index"]), len(two["index"])))
        assert both > 30
        for array in one:  # crops, mirroring and prefixes too
            np.testing.assert_array_equal(one[array][:both], two[array][:both], err_msg=array)
    assert any(one != two for one, two in lengths)


def test_a_picture_looks_otherwise_when_it_comes_again(family, corpus):
    records = {name: Seen(found) for name, found in family.records(corpus).items()}
    (source,) = toys.sources(family, records, [0])
    for step in range(40):
        source[step]
    found = records["captions"].all
    again = [np.flatnonzero(found["index"] == i) for i in range(len(records["captions"]))]
    twice = [at[:2] for at in again if len(at) > 1]
    assert len(twice) > 20
    differ = [(found["patches"][a] != found["patches"][b]).any() for a, b in twice]
    assert all(differ)


def test_members_of_one_seed_start_alike(family):
    state = Program(family.model(family.config()), toys.fleet(family), fleet_layout(2)).init()
    for leaf in jax.tree.leaves(state.params):
        np.testing.assert_array_equal(leaf[0], leaf[1])


def test_large_parameters_are_cut_over_devices(family):
    model = family.model(family.config())
    program = Program(model, toys.fleet(family, [0]), single_layout(8))
    arrays, lying = jax.tree.leaves(program.like[0]), jax.tree.leaves(program.shardings)
    sizes = [math.prod(array.shape) for array in arrays]
    parts = [math.prod(s.shard_shape(a.shape)) for a, s in zip(arrays, lying, strict=True)]
    assert all(part == size // 8 for part, size in zip(parts, sizes, strict=True) if size >= 4096)
    assert sum(parts) < 0.5 * sum(sizes)


def killed(folder: pathlib.Path, corpus, name: str, rows: int = 10**6) -> bool:
    """Starts the script and kills it at so many rows; False where it came to its end."""
    command = [sys.executable, "-m", "tests.training.pictures_toys", folder, corpus.path, name]
    kept = {"JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled")}
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **kept})
    try:
        while process.poll() is None:
            if len(read_rows(folder / "rows.jsonl")) >= rows:
                process.kill()
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    assert process.returncode in (0, -9)
    return process.returncode == -9


@pytest.mark.slow
def test_killed_and_started_again(family, corpus, tmp_path):
    (name,) = (name for name, found in toys.FAMILIES.items() if found == family)
    folder = tmp_path / "killed"
    assert killed(folder, corpus, name, rows=7)
    assert not (folder / "done.json").exists()
    before = read_rows(folder / "rows.jsonl")
    assert not killed(folder, corpus, name)
    # The unbroken run is a process like the others: another number of devices rounds otherwise.
    assert not killed(tmp_path / "whole", corpus, name)
    rows = read_rows(tmp_path / "whole" / "rows.jsonl")
    assert len(rows) == 2 * len(toys.SCRIPT_AT)
    assert read_rows(folder / "rows.jsonl") == rows and rows[: len(before)] == before
