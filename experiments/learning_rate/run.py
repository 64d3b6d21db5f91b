"""Trains one fleet per width whose members differ in the learning rate alone.

python -m experiments.learning_rate.run [--smoke]
"""

import dataclasses
import math

from experiments import harness, tiny
from experiments.harness import Setting
from experiments.learning_rate import config
from jaxmix.studies import make_plan, merged, run_plan

RULE = 0.614  # learning rate times width


def run(setting: Setting) -> None:
    widths, tokens, spec = config.WIDTHS, config.TOKENS, config.CORPUS
    if setting.smoke:
        widths, tokens, spec = (16,), 20_000, tiny.text(config.DOMAINS)
    rows = []
    for width in widths:
        rows += sweep(dataclasses.replace(config.study(width, tokens), corpus=spec), width, setting)
    harness.write_csv(setting.out / "sweep.csv", rows)


def sweep(study, width, setting):
    """The final losses of one width at every learning rate."""
    corpus, folder = study.corpus.open(), setting.work / str(width)
    plan = with_rates(make_plan(study, corpus))
    run_plan(plan, folder, corpus=corpus)
    table = merged(plan, folder)
    last = table.select(table.tokens == table.tokens.max())
    losses = last.losses(corpus.domains).mean(0)
    for rate, loss in zip(last.frame["learning_rate"], losses, strict=True):
        yield {
            "width": width,
            "learning_rate": f"{rate:.5g}",
            "multiple_of_rule": f"{rate * width / RULE:.2f}",
            "mean_loss": f"{loss:.4f}",
        }


def with_rates(plan):
    """The plan's one run, once per learning rate."""
    (wave,) = plan.waves
    (run,) = wave.runs
    runs = tuple(
        dataclasses.replace(run, run=f"{run.run}-x{m:g}", learning_rate=m * run.learning_rate)
        for m in config.MULTIPLES
    )
    assert all(math.isfinite(r.learning_rate) for r in runs)
    return dataclasses.replace(plan, waves=(dataclasses.replace(wave, runs=runs),))


if __name__ == "__main__":
    harness.main(__file__, __doc__, run)
