"""Trains the second multimodal study, wave by wave; every size has its table in v2/.

    python -m experiments.multimodal.waves [--work FOLDER] [--smoke]

32 mixtures at each of four sizes, a third of them with two seeds, 1M positions a run; and 8, 6 of
them new, at four times the largest of these sizes for 2M positions.
"""

from experiments import second_study
from experiments.multimodal.config import STUDY
from experiments.waves import Ladder

LADDER = Ladder(
    STUDY,
    "nmm-tiny-",
    widths=(24, 32, 48, 64, 128),
    held_out=128,
    tokens=1_000_000,
    held_out_tokens=2_000_000,
    held_windows=120,
    goals={
        "mean": STUDY.domains,
        "image_caption": ("image_caption",),
        "interleaved": ("interleaved",),
    },
)

if __name__ == "__main__":
    second_study.main(LADDER, __file__, __doc__)
