"""``jaxmix train --dry-run``: what it refuses, and the table of what it found."""

import subprocess
import sys

import pytest

from jaxmix.cli.dry_run import dry_run_table
from jaxmix.studies import Wave
from jaxmix.studies.dry_run import DryRun
from jaxmix.training.roofline import Cost
from jaxmix.training.targets import Compiled, Target

TRAIN = ("train", "tiny-16", "--corpus", "nothing", "--weights", "a=1", "--tokens", "1M")


@pytest.mark.parametrize(
    ("more", "said"),
    [(("--dry-run", "v5e-3"), "unknown target 'v5e-3'; known: v5e-1"), ((), "give it, or --dry")],
)
def test_bad_input_is_one_line(more, said):
    command = [sys.executable, "-m", "jaxmix", *TRAIN, *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert said in done.stderr and done.stderr.count("\n") == 1


def test_figures_of_a_step():
    cost = Cost(flops=1e12, seconds=0.02, collectives={"all-gather": 2e9, "all-reduce": 4e9})
    made = Compiled(Target("v5e", 8), state=1e9, peak=15.9 * 2**30, cost=cost, attention=1.97e12)
    assert made.seconds == pytest.approx(0.03)  # arithmetic, and attention beside it
    assert not made.fits  # a tenth of 16 GiB is left free
    run = DryRun(Wave("w", "tiny-16", 1e6, ()), made, 48, tokens=4096, flops=2.364e13, steps=1200)
    assert run.mfu == pytest.approx(0.5)  # of eight chips of 197 TFLOP/s
    assert run.hours == pytest.approx(0.01)
    table, _ = dry_run_table([run])
    memory = ("15.9 (too much)", "16", "48")
    assert table.rows == [("tiny-16 x 0", "v5e-8", *memory, "6,000", "30.0", "0.50", "0.01")]
    assert run.to_dict()["modeled_mfu"] == pytest.approx(0.5)
