"""Laws fitted on small models and scored on larger ones: tables 1, 2, 4 and 8 to 11, figure 3.

    python -m experiments.extrapolation.run [--smoke]
    python -m experiments.extrapolation.run --runs FILE --train EXPR --test EXPR \
        [--columns n_params=N,tokens=D,w_web=web,loss_web=val/web | --columns MAP.json] \
        [--targets A,B] [--name NAME] [--out FOLDER] [--restarts R]

The second form takes any run table instead of ours, such as the authors' own. --columns gives, for
names of the run table, the columns of the file. --train and --test choose rows by the new names.
JAXMIX_PUBLIC_RUNS names the folder of the published runs; without it only ours are fitted.
"""

import pathlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from experiments import family_tables, harness
from experiments.extrapolation.config import CASES, LAWS, PUBLISHED, Case
from experiments.extrapolation.figure3_panels import Panel, draw
from experiments.harness import Setting, write_csv
from jaxmix.fitting import FittedLaw, fit, score
from jaxmix.runs import RunTable, RunTableError, import_columns, read_mapping, read_runs

RESTARTS = 64
SHOWN = ("additive", "joint")


def options(parser) -> None:
    parser.add_argument("--runs", help="a run table instead of ours")
    parser.add_argument("--train", help="expression for its rows to fit, as 'n_params < 2e9'")
    parser.add_argument("--test", help="expression for its rows to predict")
    parser.add_argument("--targets", help="A,B; default: all")
    parser.add_argument("--name", help="what to call it; default: the file's name")
    parser.add_argument("--columns", default="", help="name=column,... or a .json file")
    parser.add_argument("--out", type=pathlib.Path, help="folder of its results")
    parser.add_argument("--restarts", type=int, default=RESTARTS, help="local solves per target")


def run(setting: Setting) -> None:
    if setting.given.runs:
        _given_table(setting)
    cases, laws, restarts = _ours(), LAWS, setting.given.restarts
    if setting.smoke:
        small = replace(CASES[1], targets=("text",), tests={"next": "preset == 'nmm-tiny-96'"})
        cases, laws, restarts = (small,), ("additive",), 4
    evaluate(cases, laws, restarts, setting.out)


def _ours() -> tuple[Case, ...]:
    return (*CASES, PUBLISHED) if family_tables.published_are_here() else CASES


def _given_table(setting: Setting) -> None:
    """Works on the table that the command line names, and ends the program."""
    given, began = setting.given, time.monotonic()
    try:
        case = _case_of(given)
        out = given.out or setting.work / case.name
        out.mkdir(parents=True, exist_ok=True)
        laws = ("additive",) if setting.smoke else LAWS
        evaluate((case,), laws, 4 if setting.smoke else given.restarts, out)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    harness.write_record(out / "run.json", "extrapolation", setting.mode, time.monotonic() - began)
    print(f"results: {out}")
    raise SystemExit(0)  # the record of our own results stays as it is


def _case_of(given) -> Case:
    if not (given.train and given.test):
        raise RunTableError("--runs needs --train and --test, as --train 'n_params < 2e9'")
    columns = read_mapping(given.columns) if given.columns else {}

    def read() -> RunTable:
        return import_columns(given.runs, columns) if columns else read_runs(given.runs)

    name = given.name or pathlib.Path(given.runs).stem
    targets = tuple(given.targets.split(",")) if given.targets else None
    return Case(name, "", read, given.train, {"larger": given.test}, targets)


def evaluate(cases: tuple[Case, ...], laws: tuple[str, ...], restarts: int, out) -> None:
    """Fits every law to every case; writes the tables and the picture."""
    rows, setup, panels = [], [], []
    for case in cases:
        parts = _parts(case)
        setup += [_described(case, name, table) for name, table in parts.items()]
        for law in laws:
            fits = fit(
                parts["fitted"], law, targets=case.targets, residual="log", restarts=restarts
            )
            made = list(_scores(case, fits, parts))
            rows += made
            print(case.name, law, _short(made), flush=True)
            if law in SHOWN and len(case.tests) == 1:
                panels.append(Panel(case.name, law, fits, parts))
        write_csv(out / "targets.csv", rows)
    write_csv(out / "setup.csv", setup)
    write_csv(out / "averages.csv", _averages(rows))
    draw(panels, out / "observed-predicted.png")


def _parts(case: Case) -> dict[str, RunTable]:
    """Rows by the role that they play; the fitted ones first."""
    runs = case.read()
    return {"fitted": runs.where(case.train)} | {
        name: runs.where(rows) for name, rows in case.tests.items()
    }


def _described(case: Case, part: str, runs: RunTable) -> dict[str, Any]:
    """A line of table 1."""
    return {
        "table": case.name,
        "rows_are": part,
        "n_params": " ".join(f"{n:.0f}" for n in sorted(set(runs.n_params))),
        "fewest_tokens": runs.tokens.min(),
        "most_tokens": runs.tokens.max(),
        "mixtures": family_tables.mixture_total(runs),
        "runs": runs.frame["run"].nunique(),
        "rows": len(runs),
    }


def _scores(
    case: Case, fits: tuple[FittedLaw, ...], parts: Mapping[str, RunTable]
) -> Iterator[dict[str, Any]]:
    for part, table in parts.items():
        found = score(fits, table)
        for f in fits:
            one = found[f.target]
            yield {
                "table": case.name,
                "paper": case.paper,
                "law": f.law.name,
                "parameters": f.law.count(len(f.domains)),
                "target": f.target,
                "rows_are": part,
                "mre": one.mre,
                "r2": one.r2,
                "spearman": one.spearman,
                "rows": one.rows,
                "restarts": f.report.restarts,
                "agreeing": f.report.agreeing,
            }


def _averages(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Table 4: mean over targets."""
    for key in dict.fromkeys((r["table"], r["law"], r["rows_are"]) for r in rows):
        own = [r["mre"] for r in rows if (r["table"], r["law"], r["rows_are"]) == key]
        yield dict(zip(("table", "law", "rows_are"), key, strict=True)) | {
            "mean_mre": sum(own) / len(own),
            "worst_mre": max(own),
            "targets": len(own),
        }


def _short(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {r["rows_are"]: round(r["mean_mre"], 3) for r in _averages(rows)}


if __name__ == "__main__":
    harness.main(__file__, __doc__, run, options=options)
