"""Models trained with optimal mixtures beside others: figures 1 and 4, tables 3, 15 and 16.

    python -m experiments.optimal.run [--work FOLDER] [--smoke] [--only text,downstream,scale]

Laws are fitted on the run tables of experiments/text and experiments/multimodal. Every stage is
resumed where it was stopped; results go to results/.
"""

from experiments import harness
from experiments.harness import Setting
from experiments.optimal import config, optimal_downstream, optimal_scale, optimal_text

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
