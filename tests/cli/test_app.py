"""The command as a process: help, version, exits, what leaks, and the demo."""

import errno
import os
import pathlib
import signal
import subprocess
import sys
import time

import click
import numpy as np
import pytest

from jaxmix import __version__
from jaxmix.cli import app, common, main, values
from jaxmix.errors import JaxmixError

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "jaxmix"]


def process(*arguments, **options):
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **options)


def test_help_and_version(run):
    assert run("--version").out == f"jaxmix, version {__version__}\n"
    names = ("data", "train", "study", "fit", "score", "predict", "optimize", "compare")
    names += ("simulate", "import", "laws", "demo", "inspect", "sample-size")
    for text in (run().out, run("--help").out):
        assert all(f"  {name} " in text for name in names)
    for name in names:
        result = run(name, "--help")
        assert result.status == 0 and result.err == "" and "--help" in result.out


def test_damaged_compiled_programs_are_replaced(tmp_path):
    code = (
        "import sys, jax; from jaxmix.cli import app; app._replace_damaged_programs(); "
        "jax.jit(lambda x: x @ x)(jax.numpy.ones((3, 3)))"
    )
    settings = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    settings["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    for size in (0, 1000):
        for path in tmp_path.glob("jit__lambda*-cache"):
            os.truncate(path, size)
        command = [sys.executable, "-c", code]
        ended = subprocess.run(
            command, env={**os.environ, **settings}, cwd=ROOT, capture_output=True, text=True
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        (path,) = tmp_path.glob("jit__lambda*-cache")
        assert path.stat().st_size > 1000  # also if it was cut before


def test_a_second_call_compiles_nothing(tmp_path):
    code = (
        "from jaxmix.cli import app; app._keep_compiled_programs(); import jax; found = []; "
        "jax.monitoring.register_event_listener(lambda event, **_: found.append(event)); "
        "jax.jit(lambda x: x[:2] + 1)(jax.numpy.arange(3)); "
        "print(sum('cache_misses' in event for event in found))"
    )
    environment = {k: v for k, v in os.environ.items() if "_CACHE" not in k}
    environment |= {"JAXMIX_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code]
    calls = [
        subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=True).stdout
        for _ in range(2)
    ]
    assert int(calls[0]) > 0 and int(calls[1]) == 0


def test_help_loads_neither_jax_nor_pandas():
    code = (
        "import sys; from jaxmix.cli import main; assert main(['--help']) == 0\n"
        "heavy = {'jax', 'numpy', 'pandas', 'rich'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


def test_unknown_commands_and_missing_ones(run, refused):
    result = run("ft")
    assert result.status == 2 and result.err.startswith("jaxmix: error: no such command 'ft'")
    assert "missing command" in refused("import")


def test_a_process_keeps_json_alone_on_stdout(study):
    done = process("score", study.law, study.runs, "--json", check=True)
    assert done.stdout.startswith("{") and done.stdout.count("\n") == 1 and done.stderr == ""


def test_a_process_refuses_in_one_line(study):
    done = process("score", study.law, "absent.csv")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        "jaxmix score: error: absent.csv: no such file; check the path\n"
    )  # fmt: skip


def test_a_reader_that_leaves_early_is_no_error(study):
    command = " ".join([*COMMAND, "predict", study.law, study.runs, "| true"])
    shell = ["bash", "-c", f"set -o pipefail; {command}"]
    done = subprocess.run(shell, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def with_command(monkeypatch, function):
    command = common.Command("broken", callback=function)
    monkeypatch.setitem(app.cli.commands, "broken", command)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, click.Abort])
def test_an_interrupt_ends_quietly(monkeypatch, capsys, interrupt):
    def stop():
        raise interrupt

    with_command(monkeypatch, stop)
    assert main(["broken"]) == 130
    assert capsys.readouterr().out == ""


BUGS = [KeyError("bug"), ValueError("bug"), OSError("bug"), np.linalg.LinAlgError("bug")]


@pytest.mark.parametrize("error", BUGS, ids=repr)
def test_bugs_keep_their_traceback(monkeypatch, error):
    def bug():
        raise error

    with_command(monkeypatch, bug)
    with pytest.raises(type(error)) as caught:
        main(["broken"])
    assert caught.value is error


def test_a_bug_ends_a_process_with_status_one():
    code = (
        "import sys; from jaxmix.cli import app, common, main\n"
        "app.cli.add_command(common.Command('broken', callback=lambda: int('x')))\n"
        "sys.exit(main(['broken']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("Traceback") and "ValueError: invalid literal" in done.stderr


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (JaxmixError("a.csv: column 'x':\n  what; remedy"), "a.csv: column 'x': what; remedy"),
        (PermissionError(errno.EACCES, "Denied", "a.csv"), "[Errno 13] Denied: 'a.csv'"),
        (OSError(errno.ENOSPC, "No space left"), "[Errno 28] No space left"),
    ],
    ids=repr,
)
def test_bad_input_ends_in_one_line_and_has_a_traceback_on_demand(monkeypatch, capsys, error, line):
    def bad():
        raise error

    with_command(monkeypatch, bad)
    assert main(["broken"]) == 2
    assert capsys.readouterr().err == f"jaxmix broken: error: {line}\n"
    monkeypatch.setenv("JAXMIX_TRACEBACK", "1")
    with pytest.raises(type(error)):
        main(["broken"])


@pytest.mark.slow
def test_ctrl_c_ends_a_fit_without_a_trace_or_a_file(study, tmp_path):
    out = tmp_path / "law.json"
    options = ["fit", study.runs, "--law", "joint", "--restarts", "20000", "--out", str(out)]
    child = subprocess.Popen(
        [*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    time.sleep(8)
    child.send_signal(signal.SIGINT)
    output, errors = child.communicate(timeout=120)
    assert (child.returncode, output, "Traceback" in errors) == (130, "", False)
    assert os.listdir(tmp_path) == []


def test_out_must_be_a_file_that_can_be_written(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        common.check_out(str(tmp_path))
    with pytest.raises(ValueError, match="not a regular file"):
        common.check_out(os.devnull)
    with pytest.raises(ValueError, match="does not exist"):
        common.check_out(str(tmp_path / "absent" / "x"))
    common.check_out(str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "number"), [("7e9", 7e9), ("7B", 7e9), ("150m", 1.5e8), ("1.5T", 1.5e12), ("2K", 2e3)]
)
def test_quantities(text, number):
    assert values.Quantity().convert(text, None, None) == number
    assert values.Quantity().convert("inf", None, None) == float("inf")


@pytest.mark.parametrize("text", ["", "-1", "0", "nan", "1_000", "7BB", "B", "inf7"])
def test_what_is_no_quantity(text):
    with pytest.raises(click.BadParameter):
        values.Quantity().convert(text, None, None)


@pytest.mark.slow
def test_the_demo_goes_the_whole_way(tmp_path):
    """Downloads its corpus where JAXMIX_CACHE does not hold it yet."""
    begun = time.time()
    done = process("demo", "--quick", "--out", tmp_path, check=True)
    lines = done.stderr.splitlines()  # the log of training, of which some lines tell the time
    assert lines and all(line.startswith("tiny-") for line in lines)
    assert time.time() - begun < 600
    gains = [line for line in done.stdout.splitlines() if line.startswith("predicted gain over")]
    assert len(gains) == 6 and all("nats; measured" in line and "±" in line for line in gains)
    assert "of 6 measured gains lie in their intervals" in done.stdout
    for goal in ("scripture", "code"):
        page = tmp_path / "quick" / f"report-{goal}.html"
        assert f"  {page}\n" in done.stdout and "</html>" in page.read_text(encoding="utf-8")


def test_the_command_line_loses_folders_and_nothing_else(monkeypatch, tmp_path):
    words = ["fit", str(tmp_path / "x.csv"), "--prefix", "web=/data/web", "--where", "a / b < 2"]
    monkeypatch.setattr(sys, "argv", ["/bin/jaxmix", *words])
    said = common.command_line()
    assert said == "jaxmix fit x.csv --prefix web=/data/web --where 'a / b < 2'"
    monkeypatch.setattr(sys, "argv", ["/bin/pytest", *words])
    assert common.command_line() is None
