"""Trains one fleet per width whose members differ in the learning rate alone.

python experiments/learning_rate/run.py [--smoke]
"""

import argparse
import dataclasses
import math
import os
import pathlib
import tempfile

import config
import jax

HERE = pathlib.Path(__file__).resolve().parent


def main(smoke: bool) -> None:
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    from jaxmix.studies import make_plan, merged, run_plan

    widths, tokens = ((32,), 20_000) if smoke else (config.WIDTHS, config.TOKENS)
    corpus = config.CORPUS.open()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for width in widths:
            plan = with_rates(make_plan(config.study(width, tokens), corpus))
            run_plan(plan, pathlib.Path(folder, str(width)), corpus=corpus)
            table = merged(plan, pathlib.Path(folder, str(width)))
            last = table.select(table.tokens == table.tokens.max())
            domains = last.losses(corpus.domains).mean(0)
            for rate, loss in zip(last.frame["learning_rate"], domains, strict=True):
                multiple = rate * width / 0.614
                rows.append((width, f"{rate:.5g}", f"{multiple:.2f}", f"{loss:.4f}"))
                print(*rows[-1], flush=True)
    out = HERE / "results" / ("smoke.csv" if smoke else "sweep.csv")
    out.parent.mkdir(exist_ok=True)
    lines = [("width", "learning_rate", "multiple_of_rule", "mean_loss"), *rows]
    out.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true")
    main(parser.parse_args().smoke)
