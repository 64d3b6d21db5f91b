"""Scripts that run a study as an array of jobs: for Slurm, and as an Indexed Job of Kubernetes.

Each job trains a shard of the waves in the study's folder, which all jobs share. A job that is
preempted saves its wave and ends with status 75, or is killed; either way it is started again and
goes on at the last checkpoint.
"""

import json
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from jaxmix.errors import JaxmixError

GRACE = 180  # seconds from the request to save to the end of a job


def slurm_script(
    folder: Path,
    jobs: int,
    devices: tuple[str, int],
    *,
    time: str = "24:00:00",
    partition: str | None = None,
    logs: Mapping[str, str] | None = None,
) -> str:
    """A job script of Slurm, for ``sbatch``.

    Args:
        folder: folder of the study, or its plan's file, as the jobs see it.
        jobs: number of jobs of the array.
        devices: kind ("gpu" or "cpu") and number of the devices of a job.
        time: most time of a job, as Slurm writes it; one that reaches it is queued again.
        partition: partition to run in; None for the cluster's usual one.
        logs: `wandb` and `tensorboard` of ``jaxmix study run``, if any.

    Raises:
        JaxmixError: the devices are TPUs, which Slurm does not know.
    """
    kind, number = devices
    if kind == "tpu":
        raise JaxmixError("--devices tpu: Slurm has none; write a manifest for --kubernetes")
    asked = f"--gpus-per-node={number}" if kind == "gpu" else f"--cpus-per-task={number}"
    asks = [
        f"--job-name={_name(folder)}",
        f"--array=1-{jobs}",
        "--nodes=1 --ntasks=1",
        asked,
        f"--time={time}",
        *([f"--partition={partition}"] if partition else []),
        f"--requeue --open-mode=append --signal=TERM@{GRACE}",
    ]
    # Steps do not take over --cpus-per-task of their job.
    cores = f"export JAX_NUM_CPU_DEVICES={number} SRUN_CPUS_PER_TASK={number}"
    return _SLURM.format(
        asks="\n".join(f"#SBATCH {ask}" for ask in asks),
        cores=f"{cores}\n" if kind == "cpu" else "",
        folder=shlex.quote(str(folder)),
        jobs=jobs,
        logs=_options(logs),
    )


_SLURM = """\
#!/bin/bash
{asks}

# The batch shell outlives SIGTERM, so that it sees how the training ended.
trap : TERM
{cores}srun jaxmix study run {folder} --shard "$SLURM_ARRAY_TASK_ID/{jobs}"{logs}
status=$?
# 75: saved before its time was up. Slurm itself queues preempted jobs again, and cancelled ones
# shall end. The job is named as ARRAY_TASK, because the number of one job is that of all.
job="${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
if [ "$status" -eq 75 ] && [ "$(squeue --noheader --format=%T --jobs="$job")" = RUNNING ]; then
  scontrol requeue "$job"
fi
exit "$status"
"""


def kubernetes_manifest(
    folder: Path,
    jobs: int,
    devices: tuple[str, int],
    *,
    image: str,
    claim: str | None = None,
    selector: Mapping[str, str] | None = None,
    logs: Mapping[str, str] | None = None,
) -> str:
    """A manifest of an Indexed Job (batch/v1) of Kubernetes 1.29 or later, for ``kubectl apply``.

    The volume that holds the study is mounted where its folder's parent is here, so that paths in
    the plan hold there too. Data are prepared in, or read from, the cache on that volume.

    Args:
        folder: folder of the study, or its plan's file.
        jobs: number of pods.
        devices: kind ("gpu", "tpu" or "cpu") and number of the devices of a pod.
        image: container image with jaxmix and JAX for these devices.
        claim: persistent volume claim of the volume; None for the name of the job.
        selector: labels of the nodes to run on.
        logs: as of `slurm_script`; Weights & Biases needs WANDB_API_KEY in the pods as well.
    """
    kind, number = devices
    name, root = _name(folder), folder.parent
    given = Path(os.environ.get("JAXMIX_CACHE") or root / "cache").expanduser().absolute()
    settings = {"JAXMIX_CACHE": given if given.is_relative_to(root) else root / "cache"}
    if kind == "cpu":
        settings |= {"JAX_NUM_CPU_DEVICES": number}
    resource = {"gpu": "nvidia.com/gpu", "tpu": "google.com/tpu", "cpu": "cpu"}[kind]
    labels = json.dumps(dict(selector)) if selector else ""
    return _KUBERNETES.format(
        name=name,
        jobs=jobs,
        grace=GRACE,
        selector=f"\n      nodeSelector: {labels}" if labels else "",
        image=json.dumps(image),
        command=json.dumps(
            f"exec jaxmix study run {shlex.quote(str(folder))} "
            f"--shard $((JOB_COMPLETION_INDEX + 1))/{jobs}{_options(logs)}"
        ),
        environment=json.dumps([{"name": k, "value": str(v)} for k, v in settings.items()]),
        resource=resource,
        number=number,
        root=json.dumps(str(root)),
        claim=json.dumps(claim or name),
    )


_KUBERNETES = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  completionMode: Indexed
  completions: {jobs}
  parallelism: {jobs}
  backoffLimitPerIndex: 3
  podFailurePolicy:
    rules:
    # Preempted, evicted or drained: started again, however often.
    - action: Ignore
      onPodConditions: [{{type: DisruptionTarget, status: "True"}}]
    # 75: saved after SIGTERM, to go on later.
    - action: Ignore
      onExitCodes: {{containerName: train, operator: In, values: [75]}}
    # 2: input that another attempt would refuse too.
    - action: FailIndex
      onExitCodes: {{containerName: train, operator: In, values: [2]}}
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: {grace}{selector}
      containers:
      - name: train
        image: {image}
        command: ["/bin/sh", "-c", {command}]
        env: {environment}
        resources:
          requests: {{{resource}: "{number}"}}
          limits: {{{resource}: "{number}"}}
        volumeMounts:
        - name: study
          mountPath: {root}
      volumes:
      - name: study
        persistentVolumeClaim:
          claimName: {claim}
"""


def _options(logs: Mapping[str, str] | None) -> str:
    """Options of a command line, each with a space before it."""
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in (logs or {}).items())


def _name(folder: Path) -> str:
    """A name for jobs: pods add their number and five letters and stay below 64 characters."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")
    return f"jaxmix-{cleaned[:40]}".strip("-")
