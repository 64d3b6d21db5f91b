"""Models trained with optimal mixtures beside others: figures 1 and 4, tables 3, 15 and 16.

    python experiments/optimal/run.py [--work FOLDER] [--smoke] [--only text,downstream,scale]

Laws are fitted on the run tables of experiments/text and experiments/multimodal. Every stage is
resumed where it was stopped; results go to results/.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import config
import harness
import optimal_downstream
import optimal_scale
import optimal_text
from harness import Setting

STAGES = {
    "text": lambda chosen, setting: optimal_text.run(chosen.final, setting),
    "downstream": lambda chosen, setting: optimal_downstream.run(chosen.final, setting),
    "scale": lambda chosen, setting: optimal_scale.run(chosen.scale, setting),
}


def run(setting: Setting) -> None:
    """All stages, or those that were asked for."""
    chosen = config.smoke() if setting.smoke else config.LAPTOP
    for name in setting.parts:
        STAGES[name](chosen, setting)


if __name__ == "__main__":
    harness.main(__file__, __doc__, run, parts=tuple(STAGES))
