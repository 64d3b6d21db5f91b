"""The light install of README, in a fresh environment: it fits and optimizes, and cannot train."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
ABSENT = ("flax", "grain", "optax", "orbax", "tokenizers", "array_record", "resvg_py")


@pytest.mark.slow
def test_the_light_install_fits_and_optimizes(tmp_path: pathlib.Path) -> None:
    """Downloads the packages of requirements-fit.txt unless pip's cache holds them."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    programs = tmp_path / "env" / "bin"

    def call(*command: object) -> str:
        words = [str(word) for word in command]
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    call(sys.executable, "-m", "venv", tmp_path / "env")
    install = (programs / "pip", "install", "--quiet")
    needs = ROOT / "requirements-fit.txt"
    call(*install, "-c", ROOT / "constraints.txt", "-r", needs)
    call(*install, "--no-deps", ROOT)

    find = f"from importlib.util import find_spec; print([n for n in {ABSENT!r} if find_spec(n)])"
    assert call(programs / "python", "-c", find) == "[]\n"
    where = call(programs / "python", "-c", "import jaxmix; print(jaxmix.__file__)")
    assert pathlib.Path(where).is_relative_to(tmp_path / "env")

    jaxmix = programs / "jaxmix"
    call(jaxmix, "simulate", "--law", "additive", "--domains", "2", "--noise", "0.002",
         "--out", "runs.csv", "--truth", "truth.json")  # fmt: skip
    call(jaxmix, "fit", "runs.csv", "--law", "additive", "--restarts", "8", "--out", "law.json")
    best = json.loads(
        call(jaxmix, "optimize", "law.json", "--n-params", "7B", "--tokens", "1T", "--json")
    )
    assert sum(best["weights"].values()) == pytest.approx(1)
