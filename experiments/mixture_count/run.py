"""Error on unseen mixtures against the number of mixtures that were trained: figure 5.

    python -m experiments.mixture_count.run [--only NAME,...] [--smoke]

Trains six designs of three to eight domains first, where results/runs.csv is not there. Of every
table random sets of q mixtures are fitted, all sets of all q in one batch for each law, and scored
on the other mixtures and on the larger size where there is one. JAXMIX_PUBLIC_RUNS adds published
runs. --only makes the named designs again and keeps the rest of results/curves.csv.
"""

import csv
import pathlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from experiments import harness
from experiments.harness import Setting, write_csv
from experiments.masked_fits import Deal, deal, errors, grouped, predictions, quartiles
from experiments.mixture_count.designs import Design, designs
from experiments.mixture_count.figure5_panels import draw
from jaxmix.runs import RunTable

DRAWS, RESTARTS = 40, 8
WITHIN = 1.1  # of the error at the largest q: few enough mixtures


def options(parser) -> None:
    parser.add_argument("--only", default="", help="names of designs; default: all")


def run(setting: Setting) -> None:
    if setting.smoke:
        chosen, draws, restarts = [_tiny()], 3, 4
    else:
        chosen, draws, restarts = _chosen(setting), DRAWS, RESTARTS
    curves = _kept(setting.out / "curves.csv", [d.name for d in chosen], bool(setting.given.only))
    for design in chosen:
        began = time.monotonic()
        made = list(curves_of(design, draws, restarts))
        print(f"{design.name}: {time.monotonic() - began:.0f} s", flush=True)
        curves = sorted([*curves, *made], key=lambda c: (c["group"], c["design"]))
        write_csv(setting.out / "curves.csv", curves)
    write_csv(setting.out / "enough.csv", enough(curves))
    for group in dict.fromkeys(c["group"] for c in curves):
        own = [c for c in curves if c["group"] == group]
        draw(own, setting.out / f"figure5-{group}.png")


def _tiny() -> Design:
    found = next(d for d in designs(pathlib.Path("absent")) if d.name.startswith("multimodal"))
    return replace(found, targets=("text",), counts=(4, 8), laws=("additive",))


def _chosen(setting: Setting) -> list[Design]:
    """All designs or the named ones, trained first where that is wanted."""
    table, names = setting.out / "runs.csv", [n for n in setting.given.only.split(",") if n]
    if not table.is_file() and (not names or any(n.startswith("trained") for n in names)):
        from experiments.mixture_count import train

        train.train(setting.work, table)
    found = {d.name: d for d in designs(table)}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise SystemExit(f"no design '{unknown[0]}'; there are: {', '.join(found)}")
    return [found[name] for name in names or found]


def _kept(path: pathlib.Path, names: list[str], some: bool) -> list[dict[str, Any]]:
    """Rows of the designs that are not made again."""
    if not (some and path.is_file()):
        return []
    with path.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["design"] not in names]
    numbers = ("k", "q", "draws", "lower", "median", "upper", "parameters")
    return [{n: float(v) if n in numbers else v for n, v in r.items()} for r in rows]


def curves_of(design: Design, draws: int, restarts: int) -> Iterator[dict[str, Any]]:
    """Quartiles over random sets of mixtures, for each law, q and kind of test."""
    runs = design.read()
    larger = np.zeros(len(runs), bool)
    if design.larger:
        larger = np.isin(runs.frame["run"], runs.where(design.larger).frame["run"])
    deals = deal(runs, design.counts, draws, ~larger)
    for name in design.laws:
        law = design.law(name)
        found = predictions(runs, law, design.targets, deals, restarts)
        rows = list(_scored(runs, design, deals, found, larger))
        for key, own in grouped(rows, "rows_are", "q"):
            yield {
                "design": design.name,
                "group": design.group,
                "k": len(runs.domains),
                "law": name,
                "parameters": law.count(len(runs.domains)),
                **key,
                "draws": sum(not np.isnan(r["mre"]) for r in own),
                **quartiles([r["mre"] for r in own]),
            }


def _scored(
    runs: RunTable,
    design: Design,
    deals: Sequence[Deal],
    found: np.ndarray,
    larger: np.ndarray,
) -> Iterator[dict[str, Any]]:
    """The errors of every fit on unseen mixtures and on the larger size."""
    for one, predicted in zip(deals, found, strict=True):
        tests = {"unseen mixtures": one.unseen} | ({"larger size": larger} if any(larger) else {})
        for kind, rows in tests.items():
            error = _mean(runs, design, predicted, rows)
            yield {"rows_are": kind, "q": one.count, "mre": error}


def _mean(runs: RunTable, design: Design, predicted: np.ndarray, rows: np.ndarray) -> float:
    """Mean over targets of a fit's error."""
    found = [
        errors(runs, target, losses, rows)
        for target, losses in zip(design.targets, predicted, strict=True)
    ]
    return float(np.mean(found))


def enough(curves: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The smallest q from which on the median error stays within 10% of that at the largest q."""
    for key, own in grouped(curves, "design", "group", "k", "law", "rows_are"):
        own = sorted((c for c in own if np.isfinite(c["median"])), key=lambda c: c["q"])
        if not own:
            continue
        last = own[-1]["median"]
        far = [i for i, c in enumerate(own) if c["median"] > WITHIN * last]
        first = far[-1] + 1 if far else 0
        yield {
            **key,
            "least_q": own[first]["q"],
            "largest_q": own[-1]["q"],
            "error_there": last,
            "smallest_q": own[0]["q"],
            "error_at_smallest": own[0]["median"],
        }


if __name__ == "__main__":
    harness.main(__file__, __doc__, run, options=options)
