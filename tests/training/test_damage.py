"""Damaged files in a run's folder: it goes on from what is good, or names the file in one line."""

import gc
import os
import pathlib
import resource
import shutil

import pytest

from jaxmix.errors import JaxmixError
from jaxmix.training import Saving, fleet_layout, load_final, read_rows, train
from tests.training import toys

AT = (3, 6, 9)

# An event loop of orbax is closed before the last of its files has failed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected():
    """What such a loop leaves behind is found here and not in another module's test."""
    yield
    gc.collect()


class Stop(Exception):
    pass


def go_on(folder: pathlib.Path, stop: int | None = None, **options):
    """Trains one run; ends with `Stop` once it was saved at a step."""

    def tell(moment):
        if stop is not None and moment.step > stop:
            raise Stop

    work = toys.Toy(), toys.fleet(1, AT), toys.feed(1)
    options = {"layout": fleet_layout(1), "saving": Saving(0.0)} | options
    return train(*work, folder, progress=tell, **options)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return go_on(tmp_path_factory.mktemp("unbroken")).rows


@pytest.fixture(scope="module")
def cut(tmp_path_factory) -> pathlib.Path:
    """A run with checkpoints at steps 6 and 7."""
    folder = tmp_path_factory.mktemp("cut") / "run"
    with pytest.raises(Stop):
        go_on(folder, stop=7)
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["6", "7"]
    return folder


@pytest.fixture
def folder(cut, tmp_path) -> pathlib.Path:
    return shutil.copytree(cut, tmp_path / "run")


DAMAGE = {
    "empty": lambda data: b"",
    "short": lambda data: data[: len(data) // 2],
    "long": lambda data: data + b"\0" * 1000,
    "garbage": lambda data: os.urandom(len(data)),
    "flipped": lambda data: (
        bytes([*data[: len(data) // 2], data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    ),
}


def damage(path: pathlib.Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(DAMAGE[how](path.read_bytes()))


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of a checkpoint, but for those whose content nobody reads."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in found if path.name != "commit_success.txt"]


def newest_damaged(folder: pathlib.Path, path: pathlib.Path, how: str, unbroken, capfd) -> None:
    """Asserts that a run with one damaged file goes on well, and says what was wrong."""
    damage(folder / path, how)
    capfd.readouterr()
    assert go_on(folder).rows == unbroken, (how, path)
    *told, where = capfd.readouterr().err.splitlines()
    unread = path.name == "_CHECKPOINT_METADATA" or (path.name, how) == ("files.json", "missing")
    assert where == f"note: {folder.name} goes on at step {7 if unread else 6} of 9", (how, path)
    if not unread:
        (line,) = told
        # A bit of the seal may make any file look damaged.
        named = "" if path.name == "files.json" else f"{path.relative_to('checkpoints/7')} "
        assert f"{folder}/checkpoints/7: is damaged ({named}" in line


@pytest.mark.parametrize("how", ["short", pytest.param("any", marks=pytest.mark.slow)])
def test_the_newest_checkpoint_is_damaged(cut, tmp_path, unbroken, capfd, how):
    found = [path.relative_to(cut) for path in files(cut / "checkpoints" / "7")]
    ways = [*DAMAGE, "missing"]
    if how == "any":
        pairs = [(path, how) for path in found for how in ways]
    else:  # every third file in some way: the others are read alike
        pairs = [(path, ways[i % len(ways)]) for i, path in enumerate(found)][::3]
    for i, (path, way) in enumerate(pairs):
        folder = shutil.copytree(cut, tmp_path / str(i))
        newest_damaged(folder, path, way, unbroken, capfd)


def test_what_is_no_checkpoint_hides_none(folder, unbroken, capfd):
    for name in ("99999", "abc", "8.orbax-checkpoint-tmp", "9.orbax-checkpoint-tmp-17"):
        (folder / "checkpoints" / name).mkdir()
    (folder / "checkpoints" / "12").write_text("")
    assert go_on(folder).rows == unbroken
    err = capfd.readouterr().err
    assert f"{folder}/checkpoints/99999: is damaged (is empty) and is left out\n" in err
    assert err.endswith(f"note: {folder.name} goes on at step 7 of 9\n")


def test_without_a_good_checkpoint_it_starts_anew(folder, unbroken, capfd):
    for step in ("6", "7"):
        shutil.rmtree(folder / "checkpoints" / step / "default")
    assert go_on(folder).rows == unbroken
    *damaged, anew = capfd.readouterr().err.splitlines()
    assert len(damaged) == 2
    assert anew.startswith(f"note: {folder.name} starts anew: there is no")


@pytest.mark.parametrize(
    "content", [b"", b'{"members": [', b"[1, 2]", b"\xff\x00\x81", b'{"diverged": 3}']
)
@pytest.mark.parametrize("name", ["fleet.json", "done.json"])
def test_a_damaged_state_file_is_named(folder, unbroken, name, content):
    if name == "done.json":
        go_on(folder)
    (folder / name).write_bytes(content)
    with pytest.raises(JaxmixError, match=f"{folder / name}: .*delete"):
        go_on(folder)
    (folder / name).unlink()
    assert go_on(folder, stop=0 if name == "done.json" else None).rows == unbroken


@pytest.mark.parametrize("line", [b'{"run": "r0", "tok', b"\x00\xff\x81", b"7", b'{"loss": 1}'])
def test_damaged_rows_are_named(folder, line):
    rows = folder / "rows.jsonl"
    rows.write_bytes(line + b"\n" + rows.read_bytes())
    with pytest.raises(JaxmixError, match=f"{rows}: line 1 is damaged"):
        go_on(folder)


def test_a_finished_run_whose_rows_are_missing_is_not_finished(folder, unbroken, capfd):
    go_on(folder)
    rows = folder / "rows.jsonl"
    for content in (b"", rows.read_bytes()[:-9], rows.read_bytes().splitlines(True)[1]):
        rows.write_bytes(content)
        capfd.readouterr()
        assert go_on(folder).rows == read_rows(rows) == unbroken
        assert "rows of its runs are missing, so they are trained again" in capfd.readouterr().err
    rows.unlink()
    assert go_on(folder).rows == unbroken


def test_damaged_final_parameters_are_named(folder, tmp_path):
    go_on(folder, keep_final=True)
    assert load_final(folder, toys.Toy())
    (folder / "final" / "99999").mkdir()  # which hides nothing
    assert load_final(folder, toys.Toy())
    ways = [*DAMAGE, "missing"]
    for i, path in enumerate(files(folder / "final" / "9" / "default")):
        copy = shutil.copytree(folder, tmp_path / str(i))
        damage(copy / path.relative_to(folder), ways[i % len(ways)])
        with pytest.raises(JaxmixError, match=f"{copy}/final/9: is damaged .*{path.name}.*again"):
            load_final(copy, toys.Toy())
    with pytest.raises(JaxmixError, match="9: does not fit this run"):
        load_final(folder, toys.Toy(20))
    (folder / "fleet.json").write_text("")
    with pytest.raises(JaxmixError, match=r"fleet.json: is empty"):
        load_final(folder, toys.Toy())


@pytest.mark.parametrize("limit", [300, 1500])
def test_a_full_disk(tmp_path, unbroken, capfd, limit):
    """No file may grow beyond a limit: first rows cannot be written, then checkpoints."""
    folder, (_, most) = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(Stop):
        go_on(folder, stop=2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    try:
        with pytest.raises(JaxmixError, match=rf"{folder}.* \(File too large\); .*goes on"):
            go_on(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert capfd.readouterr().err == "note: run goes on at step 2 of 9\n"
    assert go_on(folder).rows == unbroken
    assert "goes on at step 2" in capfd.readouterr().err
