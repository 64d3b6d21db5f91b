"""Trains the second text study, wave by wave; every size has its table in v2/.

    python -m experiments.text.waves [--work FOLDER] [--smoke]

32 mixtures at each of four sizes, a third of them with two seeds, 2M tokens a run; and 8, 6 of
them new, at four times the largest of these sizes for 4M tokens.
"""

from experiments import second_study
from experiments.text.config import STUDY
from experiments.waves import Ladder

LADDER = Ladder(
    STUDY,
    "tiny-",
    widths=(24, 32, 48, 96, 192),
    held_out=192,
    tokens=2_000_000,
    held_out_tokens=4_000_000,
    held_windows=64,
    goals={
        "mean": STUDY.domains,
        "scripture": ("scripture",),  # never trained on, like the next
        "world_facts": ("world_facts",),
    },
)

if __name__ == "__main__":
    second_study.main(LADDER, __file__, __doc__)
