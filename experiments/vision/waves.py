"""Trains the second vision study, wave by wave; every size has its table in v2/.

    python -m experiments.vision.waves [--work FOLDER] [--smoke]

32 mixtures at each of four sizes, a third of them with two seeds, 1M positions a run; and 8, 6 of
them new, at four times the largest of these sizes for 2M positions.
"""

from experiments import second_study
from experiments.vision.config import STUDY
from experiments.waves import Ladder

LADDER = Ladder(
    STUDY,
    "lvm-tiny-",
    widths=(24, 32, 48, 64, 128),
    held_out=128,
    tokens=1_000_000,
    held_out_tokens=2_000_000,
    held_windows=256,
    goals={"mean": STUDY.domains, "emoji": ("emoji",), "icons": ("icons",)},
)

if __name__ == "__main__":
    second_study.main(LADDER, __file__, __doc__)
