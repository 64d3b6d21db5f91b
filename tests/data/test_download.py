"""Downloads, with a stand-in for pip."""

import hashlib
import sys

import pytest

from jaxmix.data import Archive, DataError, download

DATA = b"a wheel"
ARCHIVE = Archive("some-data", "1.0", hashlib.sha256(DATA).hexdigest(), 0.1, "MIT")


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """``pip(code)``: what runs in place of pip; `folder` is where it has to download to."""

    def use(code: str) -> None:
        script = tmp_path / "pip.py"
        head = "import pathlib, sys\nfolder = pathlib.Path(sys.argv[sys.argv.index('-d') + 1])\n"
        script.write_text(head + code)
        monkeypatch.setattr(download, "PIP", (sys.executable, str(script)))

    return use


WRITES = f"(folder / '{ARCHIVE.filename}').write_bytes({DATA!r})\n"


def test_downloads_once_with_the_pinned_hash_and_nothing_else(cache, pip, tmp_path):
    log = tmp_path / "log"
    pip(
        "pins = pathlib.Path(sys.argv[sys.argv.index('-r') + 1])\n"
        + WRITES
        + f"pathlib.Path({str(log)!r}).write_text(' '.join(sys.argv) + pins.read_text())"
    )
    path = download.fetch(ARCHIVE)
    assert path == cache / "downloads" / "some_data-1.0-py3-none-any.whl"
    assert path.read_bytes() == DATA
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    asked = log.read_text()
    assert f"some-data==1.0 --hash=sha256:{ARCHIVE.sha256}" in asked
    assert "--require-hashes" in asked and "--no-deps" in asked and "index" not in asked
    pip("raise SystemExit('must not be called')")
    assert download.fetch(ARCHIVE) == path


def test_damaged_file_is_downloaded_again(cache, pip):
    path = cache / "downloads" / ARCHIVE.filename
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    pip("sys.exit(1)")
    with pytest.raises(DataError, match=rf"\(no message\), and {path} is damaged; check the"):
        download.fetch(ARCHIVE)
    pip(WRITES)
    assert download.fetch(ARCHIVE).read_bytes() == DATA


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (f"(folder / '{ARCHIVE.filename}').write_bytes(b'other')", "pinned sha256 .*pip config"),
        ("sys.exit('ERROR: THESE PACKAGES DO NOT MATCH THE HASHES')", "pinned sha256"),
        ("sys.exit('ERROR: No matching distribution')", r"\(No matching distribution\); check the"),
        ("sys.exit('python: No module named pip')", "No module named pip.* or put some_data-1.0"),
        ("sys.exit(1)", r"\(no message\)"),
        ("", "left 0 files"),
    ],
)
def test_failure_names_package_and_remedy_in_one_line(cache, pip, code, message):
    pip(code)
    with pytest.raises(DataError, match=message) as error:
        download.fetch(ARCHIVE)
    assert str(error.value).startswith("some-data 1.0: ")
    assert "\n" not in str(error.value)
    assert list((cache / "downloads").iterdir()) == []
