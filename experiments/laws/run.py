"""Every law on every table: held-out sizes, mixtures and longer runs, parameters and regret.

    python -m experiments.laws.run [--only TABLE,...] [--smoke]

Of every table 12, 20 and 40 mixtures, drawn at random, and all of them are fitted by every law and
every baseline. All fits of one law to one table are one batch, whose predictions are kept in the
work folder, as is every deal's score: a stopped call goes on, and a new law costs its own fits
only. JAXMIX_PUBLIC_RUNS adds published runs. --only makes the named tables again and keeps the
other rows of the results.
"""

import csv
import hashlib
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from experiments import harness
from experiments.harness import Setting, write_csv
from experiments.laws import repeated_data
from experiments.laws.cases import (
    BASELINES,
    Case,
    cases,
    find_law,
    law_names,
    stocks,
    thinned,
    tiny,
)
from experiments.laws.deals import Task, at_point, tasks
from experiments.masked_fits import errors, grouped, predictions
from jaxmix.fitting import baseline_parameters, predict_baselines
from jaxmix.fitting.selection import Cell, mixture_ids
from jaxmix.runs import RunTable

RESTARTS = 16


def options(parser) -> None:
    parser.add_argument("--only", default="", help="names of tables; default: all")


def run(setting: Setting) -> None:
    chosen = [tiny(case) for case in cases()][1:2] if setting.smoke else list(cases())
    names = [n for n in setting.given.only.split(",") if n]
    made = _kept(setting.work / "scores.csv", names)
    for case in chosen:
        if not names or case.name in names:
            made += list(scored(case, setting))
            write_csv(setting.work / "scores.csv", made)
    if not setting.smoke and (not names or "datablations" in names):
        write_csv(setting.out / "repeated.csv", repeated_data.compared(RESTARTS))
    write_csv(setting.out / "laws.csv", summary(made))


def _kept(path: pathlib.Path, names: list[str]) -> list[dict[str, Any]]:
    """Rows of the tables that are not made again."""
    if not (names and path.is_file()):
        return []
    with path.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["table"] not in names]
    return [{n: float(v) if n in ("draw", "value") else v for n, v in r.items()} for r in rows]


def scored(case: Case, setting: Setting) -> Iterator[dict[str, Any]]:
    """The scores of every law and baseline on every deal of one table."""
    runs = thinned(case.read(), case.checkpoints)
    dealt = list(tasks(runs, case))
    laws = (case.laws or law_names(runs))[: 2 if setting.smoke else None]
    for name in laws:
        began, law = time.monotonic(), find_law(name)
        own = [at_point(task, runs, case, law) for task in dealt]
        found = _predicted(runs, case, name, own, setting)
        print(f"{case.name}, {name}: {time.monotonic() - began:.0f} s", flush=True)
        entry = {"table": case.name, "law": name, "parameters": law.count(len(runs.domains))}
        yield from _entries(runs, case, entry, own, found)
    yield from _baselines(runs, case, dealt)


def _baselines(runs: RunTable, case: Case, dealt: Sequence[Task]) -> Iterator[dict[str, Any]]:
    known = np.isfinite(runs.losses(case.targets))  # [m, p]
    each = [predict_baselines(runs, runs, case.targets, task.fitted & known) for task in dealt]
    for name in BASELINES:
        count = baseline_parameters(name, len(runs.domains))
        entry = {"table": case.name, "law": f"baseline {name}", "parameters": count}
        yield from _entries(runs, case, entry, dealt, np.stack([found[name] for found in each]))


def _predicted(
    runs: RunTable, case: Case, name: str, own: Sequence[Task], setting: Setting
) -> np.ndarray:
    """Predictions [tasks, m, p] of one law, from the work folder if they were made before.

    NaN for targets that are no domains, if the law needs its own domain's weight.
    """
    restarts = 4 if setting.smoke else RESTARTS
    law = find_law(name)
    fitted = [not law.reads_own or target in runs.domains for target in case.targets]
    targets = [target for target, can in zip(case.targets, fitted, strict=True) if can]
    told = f"{name} {law.formula} {[p.name for p in law.parameters]} {case.targets} {restarts}"
    parts = [runs.losses(case.targets), runs.weights, runs.n_params, runs.tokens]
    rows = b"".join(np.ascontiguousarray(x).tobytes() for x in (*parts, *(t.fitted for t in own)))
    key = hashlib.sha256(told.encode() + rows).hexdigest()[:16]
    path = setting.work / "predictions" / f"{case.name}-{name}-{key}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        found = np.full((len(own), len(case.targets), len(runs)), np.nan)
        if targets:
            found[:, fitted] = predictions(runs, law, targets, own, restarts)
        np.save(path, found)
    return np.load(path)


def _entries(
    runs: RunTable, case: Case, entry: dict[str, Any], tried: Sequence[Task], found: np.ndarray
) -> Iterator[dict[str, Any]]:
    """One row for each deal and kind of test: the median error over targets, or the regret.

    Where only some of the targets are domains, the median over those is a test of its own: some
    laws can be fitted to no others.
    """
    own = [target in runs.domains for target in case.targets]
    for task, predicted in zip(tried, found, strict=True):
        key = {**entry, "mixtures": task.label, "draw": task.draw}
        for test, rows in task.tests.items():
            each = np.array(
                [
                    errors(runs, target, losses, rows)
                    for target, losses in zip(case.targets, predicted, strict=True)
                ]
            )
            yield {**key, "test": test, "value": float(np.median(each))}  # NaN if one of them is
            if 0 < sum(own) < len(own):
                yield {**key, "test": f"{test}, domains", "value": float(np.median(each[own]))}
        if task.choices is not None:
            yield {**key, "test": "regret", "value": regret(runs, case, predicted, task.choices)}


def regret(runs: RunTable, case: Case, predicted: np.ndarray, rows: np.ndarray) -> float:
    """Mean over targets, and the mean of all of them, of what a law's pick costs in nats.

    Args:
        runs: the table.
        case: which targets.
        predicted: losses [m, p].
        rows: bool [p] rows among whose mixtures the law picks.
    """
    seen, made = runs.losses(case.targets)[:, rows], predicted[:, rows]
    if np.isnan(made).all(1).any():  # a target that could not be fitted: no equal comparison
        return float("nan")
    if len(seen) > 1:
        seen, made = (np.concatenate([x, x.mean(0, keepdims=True)]) for x in (seen, made))
    mixture, weights, stock = mixture_ids(runs)[rows], runs.weights[rows], stocks(runs)[rows]
    costs = []
    for observed, guess in zip(seen, made, strict=True):
        for one in np.unique(stock):
            here = np.isfinite(observed) & (stock == one)
            ids, first = np.unique(mixture[here], return_index=True)
            means = np.array(
                [[x[here][mixture[here] == i].mean() for i in ids] for x in (observed, guess)]
            )
            cell = Cell(0, "", means[0], means[1:], weights[here][first])
            costs.append(float(cell.regret(cell.predicted)[0]))
    return float(np.mean(costs))


def summary(made: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Median, lowest and highest over draws."""
    for key, own in grouped(made, "table", "law", "parameters", "test", "mixtures"):
        values = np.array([r["value"] for r in own if not np.isnan(r["value"])])
        low, middle, high = (
            (values.min(), np.median(values), values.max()) if len(values) else [np.nan] * 3
        )
        spread = {"lowest": float(low), "median": float(middle), "highest": float(high)}
        yield {**key, "draws": len(values), **spread}


if __name__ == "__main__":
    harness.main(__file__, __doc__, run, options=options)
