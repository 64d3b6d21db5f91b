"""Laws of prior work beside the additive law at one size: tables 13 and 14.

    python -m experiments.prior_laws.run [--smoke]

Of every table some mixtures are fitted and the others predicted, for many random choices of the
fitted ones, all in one batch for each law. JAXMIX_PUBLIC_RUNS adds published runs.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments import harness
from experiments.harness import Setting, write_csv
from experiments.masked_fits import Deal, deal, errors, grouped, predictions, quartiles
from experiments.prior_laws.cases import Case, cases, tiny
from jaxmix.laws import Law, get_law
from jaxmix.runs import RunTable

RESTARTS = 16


def run(setting: Setting) -> None:
    chosen = list(cases())
    if setting.smoke:
        chosen = [tiny(chosen[1])]
    draws = []
    for case in chosen:
        draws += list(compared(case, 4 if setting.smoke else RESTARTS))
        write_csv(setting.out / "comparison.csv", summary(draws))
        print(case.name, case.paper, flush=True)


def compared(case: Case, restarts: int) -> Iterator[dict[str, Any]]:
    """The errors of every law in every draw, by target."""
    runs = case.read()
    tested = runs.where(case.tested).frame["run"] if case.tested else ()
    kept = np.isin(runs.frame["run"], tested)
    deals = deal(runs, case.counts, case.draws, ~kept)
    for name in case.laws:
        law = get_law(name)
        found = predictions(runs, law, case.targets, deals, restarts)
        for one, losses in zip(deals, found, strict=True):
            for target, predicted in zip(case.targets, losses, strict=True):
                rows = kept if case.tested else one.unseen
                yield _entry(case, runs, law, one, target) | _scored(
                    case, runs, target, predicted, {"fitted": one.fitted, "unseen": rows}
                )


def _entry(case: Case, runs: RunTable, law: Law, one: Deal, target: str) -> dict[str, Any]:
    k = len(runs.domains)
    return {
        "table": case.name,
        "paper": case.paper,
        "mixtures": one.count,
        "law": law.name,
        "parameters": law.count(k),
        "target": target,
        "draw": one.draw,
    }


def _scored(
    case: Case, runs: RunTable, target: str, predicted: np.ndarray, rows: dict[str, np.ndarray]
) -> dict[str, float]:
    """Errors by kind of rows; where Ge's law takes part, without those at which it is infinite."""
    finite = np.ones(len(runs), bool)
    if "ge" in case.laws:
        finite = runs.weights[:, runs.domains.index(target)] > 0
    return {kind: errors(runs, target, predicted, mask & finite) for kind, mask in rows.items()}


def summary(draws: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Quartiles over draws, and how often the additive law has the lower error on unseen ones."""
    keys = ("table", "paper", "mixtures", "law", "parameters", "target")
    for key, own in grouped(draws, *keys):
        fitted, unseen = (quartiles([r[kind] for r in own]) for kind in ("fitted", "unseen"))
        yield {
            **key,
            "draws": sum(not np.isnan(r["unseen"]) for r in own),
            **{f"fitted_{name}": value for name, value in fitted.items()},
            **{f"unseen_{name}": value for name, value in unseen.items()},
            "additive_lower": _share_beaten(draws, own),
        }


def _share_beaten(draws: list[dict[str, Any]], own: list[dict[str, Any]]) -> float:
    """Share of draws in which the additive law's error on unseen mixtures is below this law's."""
    same = ("table", "paper", "mixtures", "target", "draw")
    ours = {
        tuple(r[k] for k in same): r["unseen"] for r in draws if r["law"].startswith("additive")
    }
    pairs = [(ours[tuple(r[k] for k in same)], r["unseen"]) for r in own]
    known = [a < b for a, b in pairs if not np.isnan(a) and not np.isnan(b)]
    return float(np.mean(known)) if known else float("nan")


if __name__ == "__main__":
    harness.main(__file__, __doc__, run)
