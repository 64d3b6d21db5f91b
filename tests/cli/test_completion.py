"""Shell completion: names are those of the rooms, files by what they are for, nothing heavy."""

import subprocess
import sys

import pytest
from click.shell_completion import BashComplete

from jaxmix.cli import completing
from jaxmix.cli.app import cli
from jaxmix.laws import LAWS, TRANSFORMS
from jaxmix.models import PRESETS


def test_written_names_are_those_there_are():
    assert set(completing.LAWS) == set(LAWS) and len(completing.LAWS) == len(LAWS)
    assert set(completing.TRANSFORMS) == set(TRANSFORMS)
    assert set(completing.PRESETS) == set(PRESETS)


FIXED = ("effective-fixed-n", "effective-fixed-d", "effective-fixed-nd")


def completed(*words: str) -> list[str]:
    """What the last word may become; the type stands for files and folders."""
    *before, incomplete = words
    found = BashComplete(cli, {}, "jaxmix", "_JAXMIX_COMPLETE").get_completions(before, incomplete)
    return [one.value if one.type == "plain" else one.type for one in found]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("opt",), ["optimize"]),
        (("fit", ""), ["file"]),
        (("fit", "RUNS", "--law", "eff"), ["effective", *FIXED]),
        (("fit", "RUNS", "--law", "joint+h"), ["joint+harm"]),
        (("compare", "RUNS", "--laws", "joint,ge"), ["joint,ge"]),
        (("train", "lvm-g"), ["lvm-gpu-256", "lvm-gpu-384", "lvm-gpu-512"]),
        (("study", "plan", "x", "--size", "llama-7"), ["llama-7b="]),
        (("study", "run", ""), ["dir"]),
        (("optimize", "LAW", "--max", "c"), ["c="]),
        (("optimize", "LAW", "--min", "a=0.1,b"), ["a=0.1,b="]),
        (("optimize", "LAW", "--target-weights", ""), ["a=", "b="]),
        (("optimize", "LAW", "--reference", "u"), ["uniform"]),
        (("fit", "RUNS", "--targets", "a"), ["all", "a"]),
        (("critical-ratio", "LAW", "--target", ""), ["a", "b"]),
        (("optimize", "absent.json", "--max", ""), []),
        (("optimize", "LAW", "--out", ""), ["file"]),
    ],
)  # fmt: skip
def test_what_is_completed(three, words, found):
    places = {"RUNS": three.runs, "LAW": three.law}
    assert completed(*(places.get(word, word) for word in words)) == found


def test_completion_imports_nothing_heavy(three):
    code = (
        "import os, sys, atexit; atexit.register(lambda: print(sorted("
        "{'jax', 'numpy', 'pandas', 'rich'} & set(sys.modules))))\n"
        f"os.environ |= dict(_JAXMIX_COMPLETE='bash_complete', COMP_CWORD='4', "
        f"COMP_WORDS='jaxmix optimize {three.law} --max a')\n"
        "from jaxmix.cli import main; main([])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["plain,a=", "[]"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_every_shell(run, shell):
    found = run("completion", shell)
    assert found.status == 0 and "_JAXMIX_COMPLETE" in found.out and found.err == ""
