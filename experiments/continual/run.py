"""Continual pre-training: critical mixture ratios, and mixtures that change as a run goes on.

    python -m experiments.continual.run [--work FOLDER] [--smoke]

Every stage is resumed where it was stopped; results go to results/.
"""

import pandas as pd

from experiments import harness
from experiments.continual import continual_plots, continued_laws, measured
from experiments.continual.config import AROUND, LAPTOP, Continual, smoke
from experiments.continual.staged_plan import staged
from experiments.harness import Setting, write_csv
from experiments.stages import trained
from jaxmix.runs import write_text
from jaxmix.studies import find_origin
from jaxmix.training import write_json

REFITS = 100


def run(setting: Setting) -> None:
    asked = smoke() if setting.smoke else LAPTOP
    trained(asked.base, setting.work / "base", keep_final=True)
    start = find_origin(setting.work / "base", corpus=asked.base.corpus.open())
    names = ("short", "wide", "staged") if asked.random else ("short", "staged")
    tables = {n: trained(getattr(asked, n)(start), setting.work / n) for n in names}
    laws, long = critical(asked, setting, start, tables)
    proof = staged(asked, setting, start, tables, laws)
    everything = {**tables, "long": long, "proof": proof}
    keep(everything, setting.out / "runs.csv")


def critical(asked: Continual, setting: Setting, start, tables):
    """Fits, predicts the critical ratio at three times the tokens, and trains around it."""
    short, out = tables["short"], setting.out
    table = continued_laws.with_old([tables[n].frame for n in ("short", "wide") if n in tables])
    scores = continued_laws.compared(table, asked)
    chosen = continued_laws.best_law(scores)  # before any longer run is trained
    fits = {n: continued_laws.fitted(table, n, asked.restarts) for n in asked.laws}
    laws = fits[chosen]
    budgets = [*sorted(set(short.tokens)), 3 * short.tokens.max()]
    refits = None if setting.smoke else continued_laws.refitted(laws, table, REFITS)
    found = continued_laws.predicted_ratios(laws, table, budgets, refits)
    long = bracketed(asked, setting, start, around(found[-1]))
    last = {"three times as long": continued_laws.with_old([at_end(long)])}
    scores += [row for n, f in fits.items() for row in continued_laws.errors(n, f, last)]
    write_csv(out / "scores.csv", scores)
    write_csv(out / "long.csv", measured.at_long(long, laws[0]))
    beside = {n: continued_laws.predicted_ratios(f, table, budgets, None) for n, f in fits.items()}
    ye, ye_errors = continued_laws.ye_ratios(short, budgets, asked.restarts)
    write_csv(out / "ye.csv", [{"at": t, "mre": e} for t, e in ye_errors.items()])
    write_csv(out / "critical.csv", critical_rows(found, beside, ye, short, long))
    about = {"start": start.run, "tokens": start.tokens, "law": chosen}
    write_json(out / "base.json", about | bases(table))
    changes = measured.above_base(short)
    continual_plots.critical(laws[0], table, changes, long, found, beside, out)
    return laws, long


def around(predicted) -> tuple[float, ...]:
    """Ratios below, at and above the predicted one; in the middle where no ratio keeps the loss."""
    at = predicted.ratio if predicted.intervals else 0.5
    return tuple(sorted({round(min(max(at + by, 0.0), 1.0), 3) for by in AROUND}))


def bracketed(asked: Continual, setting: Setting, start, ratios):
    """Longer runs at these ratios, and at a larger one as long as none is above the base's loss."""
    long = trained(asked.long(start, ratios), setting.work / "long")
    while (top := max(ratios)) < 1 and not measured.rises(long, top):
        ratios = (round(min(top + AROUND[-1], 1.0), 3),)
        more = trained(asked.long(start, ratios), setting.work / f"long-{ratios[0]:g}")
        long = continued_laws.joined([long, more])
    return long


def at_end(table):
    return table.frame[table.frame["tokens"] == table.tokens.max()]


def bases(table):
    return {f"base_{t}": continued_laws.base_of(table, t) for t in continued_laws.TARGETS}


def critical_rows(found, beside, ye, short, long):
    """Critical ratios by tokens: the laws', Ye's, and where measured losses meet the base."""
    changes = {**measured.above_base(short)}
    changes[float(long.tokens.max())] = measured.above_base(long)[float(long.tokens.max())]
    for i, one in enumerate(found):
        crossed = measured.crossings(changes[one.tokens])
        mean, error = measured.mean_and_error(crossed)
        yield {
            "tokens": int(one.tokens),
            "predicted": one.ratio,
            "low": one.low,
            "high": one.high,
            **{law: ratios[i].ratio for law, ratios in beside.items()},
            "ye": ye.get(one.tokens, float("nan")),
            "measured": mean,
            "sem": error,
            "seeds": len(crossed),
        }


def keep(tables, path):
    """The rows that everything was made from, without what can be computed again."""
    frames = [t.frame.assign(study=name) for name, t in tables.items()]
    frame = pd.concat(frames, ignore_index=True)
    dropped = [c for c in frame.columns if c.startswith(("bpb_", "sem_", "unique_", "epochs_"))]
    frame = frame.drop(columns=[*dropped, "step", "family", "n_params_total"], errors="ignore")
    write_text(path, frame.to_csv(index=False, float_format="%.6g"))


if __name__ == "__main__":
    harness.main(__file__, __doc__, run)
