"""``jaxmix study script`` and what ``study run --ray`` shows: scripts that are run, or checked."""

import dataclasses
import os
import subprocess
import types

import click
import pytest
import yaml

from jaxmix.cli import many_machines
from jaxmix.cli.many_machines import end_with_failures, job_script, ray_view
from jaxmix.studies import WaveOnRay

GPU, CPU = ("gpu", 1), ("cpu", 8)

# srun runs its command and ends with SRUN_STATUS, after it sends the batch shell SIGTERM as
# preemption does; squeue knows the job's state; scontrol says what it was asked to do.
FAKES = {
    "srun": '"$@"; kill -TERM $PPID; exit "$SRUN_STATUS"',
    "jaxmix": 'echo "jaxmix $*" >> "$LOG"',
    "squeue": 'echo "$JOB_STATE"',
    "scontrol": 'echo "scontrol $*" >> "$LOG"',
}


@pytest.fixture
def slurm(tmp_path):
    """Runs a job of a script with stand-ins for Slurm: its status, and what was called."""
    for name, line in FAKES.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{line}\n")
        (tmp_path / name).chmod(0o755)

    def call(script, job, status, state="RUNNING"):
        log = tmp_path / "log"
        log.write_text("")
        settings = {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": str(job)}
        settings |= {"SRUN_STATUS": str(status), "JOB_STATE": state, "LOG": str(log)}
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(["bash"], input=script, text=True, env=os.environ | settings | path)
        return done.returncode, log.read_text().splitlines()

    return call


def test_a_job_array_trains_every_shard_and_queues_what_was_saved_again(slurm, tmp_path):
    options = {"jobs": 3, "devices": CPU, "time": "4:00:00", "partition": "short"}
    script = job_script("slurm", tmp_path / "my study", 20, options)
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    heads = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    assert {"#SBATCH --array=1-3", "#SBATCH --cpus-per-task=8"} <= set(heads)
    assert "--requeue" in heads[-1] and "--signal=TERM@" in heads[-1]
    runs = [f"jaxmix study run {tmp_path}/my study --shard {i}/3" for i in (1, 2, 3)]
    assert [slurm(script, i, 0) for i in (1, 2, 3)] == [(0, [run]) for run in runs]
    assert slurm(script, 2, 75) == (75, [runs[1], "scontrol requeue 77_2"])
    assert slurm(script, 2, 75, state="COMPLETING") == (75, [runs[1]])  # it was cancelled
    assert slurm(script, 2, 2) == (2, [runs[1]])
    logs = {"wandb": "me/mix", "tensorboard": "/a b"}
    script = job_script("slurm", tmp_path, 3, {"devices": GPU, **logs})
    assert slurm(script, 1, 0)[1][0].endswith("--shard 1/3 --wandb me/mix --tensorboard /a b")
    assert "#SBATCH --gpus-per-node=1" in job_script("slurm", tmp_path, 1, {"devices": GPU})


@pytest.fixture
def manifest(monkeypatch, tmp_path):
    """A manifest with all options, as text."""
    monkeypatch.setenv("JAXMIX_CACHE", "/elsewhere")
    options = {"devices": ("tpu", 4), "image": "host/it:1", "claim": "disk"}
    options |= {"selector": ("cloud.google.com/gke-tpu-topology=2x2",)}
    return job_script("kubernetes", tmp_path / "Pilot_2: a", 5, options)


def test_an_indexed_job_trains_every_shard_and_starts_saved_ones_again(manifest, tmp_path):
    job = yaml.safe_load(manifest)
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert job["metadata"]["name"] == "jaxmix-pilot-2-a"
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 5, 5)
    first, second, third = spec["podFailurePolicy"]["rules"]
    assert first["action"] == second["action"] == "Ignore" and third["action"] == "FailIndex"
    assert first["onPodConditions"][0]["type"] == "DisruptionTarget"
    assert second["onExitCodes"]["values"] == [75] and spec["backoffLimitPerIndex"] == 3
    (container,) = pod["containers"]
    assert second["onExitCodes"]["containerName"] == container["name"]
    assert pod["restartPolicy"] == "Never"  # which both policies ask for
    assert container["resources"]["limits"] == {"google.com/tpu": "4"}
    assert pod["nodeSelector"] == {"cloud.google.com/gke-tpu-topology": "2x2"}
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "disk"}
    assert container["volumeMounts"] == [{"name": "study", "mountPath": str(tmp_path)}]
    assert container["env"] == [{"name": "JAXMIX_CACHE", "value": f"{tmp_path}/cache"}]


def test_the_command_of_a_pod_names_its_shard(manifest, slurm, tmp_path):
    (container,) = yaml.safe_load(manifest)["spec"]["template"]["spec"]["containers"]
    settings = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(tmp_path / "log")}
    settings |= {"JOB_COMPLETION_INDEX": "4"}
    subprocess.run(container["command"], env=settings, check=True)
    said = (tmp_path / "log").read_text()
    assert said == f"jaxmix study run {tmp_path}/Pilot_2: a --shard 5/5\n"


def test_manifests_meet_the_schema_of_kubernetes(manifest, tmp_path):
    checker = pytest.importorskip("kubernetes_validate")
    plain = job_script("kubernetes", tmp_path, 2, {"devices": CPU, "image": "it"})
    for text in (manifest, plain):
        for version in ("1.29", "1.34"):
            checker.validate(yaml.safe_load(text), version, strict=True)


@pytest.mark.parametrize(
    ("system", "options", "message"),
    [
        (None, {}, "write --slurm or --kubernetes"),
        ("slurm", {"image": "it"}, "--image does not go with --slurm"),
        ("slurm", {"selector": ("a=b",)}, "--node-selector does not go with --slurm"),
        ("kubernetes", {"time": "1:00"}, "--time does not go with --kubernetes"),
        ("kubernetes", {}, "needs --image"),
        ("kubernetes", {"image": "it", "selector": ("a",)}, "is not LABEL=VALUE"),
    ],
)
def test_options_that_do_not_fit_are_refused(system, options, message, tmp_path):
    with pytest.raises(click.UsageError, match=message):
        job_script(system, tmp_path, 1, {"devices": GPU, **options})


def test_what_cannot_run_on_many_machines_is_refused_in_one_line(refused, tmp_path):
    study = ("study", "run")
    assert "is a URL" in refused(*study, "gs://bucket/pilot", "--ray")
    assert "is a URL" in refused(
        "study", "plan", "s3://b/x", "--corpus", "c", "--size", "tiny-16=1k"
    )
    assert "write --ray at the end" in refused(*study, "--ray", tmp_path)
    assert "--devices goes with --ray" in refused(*study, tmp_path, "--devices", "gpu:1")
    assert "write gpu:1 or cpu:8" in refused(*study, tmp_path, "--ray", "--devices", "gpu")


def waves(*states):
    named = [types.SimpleNamespace(name=f"tiny-16-{i}") for i in range(len(states))]
    return [WaveOnRay(wave, 100, state) for wave, state in zip(named, states, strict=True)]


def test_failed_waves_are_named_and_decide_the_status(capsys):
    end_with_failures(waves("done", "left to others"))
    bad = dataclasses.replace(waves("failed")[0], node="host/12", reason="no space")
    with pytest.raises(SystemExit, match="2"):
        end_with_failures([*waves("done"), bad])
    assert capsys.readouterr().err == "tiny-16-0 failed on host/12: no space\n"
    with pytest.raises(SystemExit, match="1"):
        end_with_failures([bad, dataclasses.replace(bad, trace="Traceback ...")])
    assert capsys.readouterr().err.startswith("Traceback ...\n")


def test_a_log_gets_a_line_if_a_wave_begins_ends_or_is_lost(capsys):
    before = waves("waiting", "training")
    after = [dataclasses.replace(before[0], lost=1), *before[1:]]
    with ray_view() as tell:
        for shown in (before, before, after):
            tell(shown)
        print("(raylet) the node died\nits last words")
    lines = ["tiny-16-1  training", "tiny-16-0  waiting  lost once", "(raylet) the node died"]
    assert capsys.readouterr().err.splitlines() == lines


def test_a_terminal_gets_a_line_for_every_wave_at_work():
    from rich.console import Console

    console = Console(width=80, force_terminal=False)
    shown = [dataclasses.replace(w, node="host/12", step=9) for w in waves(*["training"] * 40)]
    with console.capture() as found:
        console.print(many_machines._table([*shown, *waves("done", "done")]))
    lines = found.get().splitlines()
    assert lines[0].strip() == "40 training, 2 done"
    assert "9/100" in lines[2] and lines[-1].startswith("and 10 more") and len(lines) == 33
