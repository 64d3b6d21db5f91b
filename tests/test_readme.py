"""README's commands and code run, and print what README says that they print."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def block(language: str, holding: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", README, re.S)
    (one,) = [text for text in found if holding in text]
    return one


def test_the_commands_run_and_the_answer_is_as_printed(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "bin" / "jaxmix"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m jaxmix "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {
        **os.environ, "PYTHONPATH": path, "COLUMNS": "80",
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    commands = f"set -e\n{block('sh', 'jaxmix recommend')}"
    done = subprocess.run(
        ["sh", "-c", commands], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").is_file()
    printed = " ".join(block("text", "Train on").split())
    (line,) = [" ".join(x.split()) for x in done.stdout.splitlines() if x.startswith("Train on")]
    assert NUMBER.sub("#", line) == NUMBER.sub("#", printed)
    got, said = ([float(x) for x in NUMBER.findall(text)] for text in (line, printed))
    assert got == pytest.approx(said, abs=0.03)


@pytest.mark.slow
def test_the_python_runs() -> None:
    exec(compile(block("python", "import jaxmix"), "README.md", "exec"), {})
