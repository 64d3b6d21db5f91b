"""Ye et al.'s nested laws beside the additive and joint laws, on the same rows.

    python -m experiments.nested.run [--smoke]

Laws are fitted on the smaller sizes, on the first half of every run, or without some mixtures, and
predict the rest. Then laws of the mixture alone are compared at one size and number of tokens,
those with implicit domains among them. JAXMIX_PUBLIC_RUNS adds published runs. What is done is kept
in the work folder: remove that after a change of the code.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from experiments import harness
from experiments.harness import Setting
from experiments.nested.by_budget import Nested, predicted
from experiments.nested.nested_cases import Case, at_one_budget, cases, folds, regmix, tables
from experiments.nested.nested_plots import plot_larger
from jaxmix.fitting import FitError, fit, score, score_arrays
from jaxmix.runs import RunTableError, write_text

WHOLE = ("additive", "joint")
HOWS = (
    Nested(),
    Nested(share_steps="none"),
    Nested(share_steps="all"),
    Nested(share_sizes="none"),
    Nested(share_steps="none", share_sizes="none"),
    Nested(law="ye-m1"),
)
ERRORS = ("mre", "median", "unseen_mre", "unseen_median")
MIXTURE = ("ye-m1", "ye-implicit-2", "ye-implicit-3", "ye-m4")


def run(setting: Setting) -> None:
    """Both comparisons and the picture; what an earlier run has finished is not done again."""
    rows, one_budget = [], []
    for name, runs in tables(setting.smoke):
        for case in list(cases(runs))[: 1 if setting.smoke else None]:
            for law, how in laws(setting.smoke):
                done = lambda r=runs, c=case, n=name, w=law, h=how: compared(  # noqa: E731
                    n, r, c, w, h, setting.smoke
                )
                rows += kept(setting, f"{name}, {case.name}, {law}", done)
        at_end = at_one_budget(name, runs)
        one_budget += kept_mixture_laws(setting, name, at_end, list(folds(at_end, 5)))
    if not setting.smoke and rows[0]["table"] == "RedPajama":
        one_budget += kept_mixture_laws(setting, "RegMix", *regmix())
    dots = [row for row in rows if "observed" in row]
    harness.write_csv(setting.out / "scores.csv", [row for row in rows if "mre" in row])
    harness.write_csv(setting.out / "mixture_laws.csv", one_budget)
    harness.write_csv(setting.out / "larger.csv", dots)
    plot_larger(dots, setting.out / "larger.png")


def kept(setting: Setting, name: str, work: Callable[[], list[dict]]) -> list[dict[str, Any]]:
    """Rows that a stopped run has left under a name, or those of the work, which are left there."""
    path = setting.work / "pieces" / f"{name}.json"
    if path.is_file() and not setting.smoke:
        return json.loads(path.read_text())
    rows = work()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(rows))
    shown = [round(v, 3) for r in rows for n, v in r.items() if n in ERRORS]
    print(name, shown, flush=True)
    return rows


def compared(name, runs, case: Case, law: str, how: Nested | None, smoke: bool) -> list[dict]:
    """The error of a law on one case, target by target over its parts; and some predictions.

    Nothing where a part has too few mixtures for the law.
    """
    parts = []
    for fitted, held in case.parts:
        train, test = runs.select(fitted), runs.select(held)
        try:
            if how is not None:
                found = predicted(train, test, how, restarts(smoke) // 4)
            else:
                fits = fit(train, law, residual="log", restarts=restarts(smoke))
                found = fits.predict(test).to_numpy().T
        except (FitError, RunTableError) as error:
            print(f"{name}, {case.name}, {law}: {error}", flush=True)
            return []
        parts.append((found, test.losses(train.targets)))
    rows = [
        _score_row(name, case, law, target, [(f[i], seen[i]) for f, seen in parts])
        for i, target in enumerate(train.targets)
    ]
    shown = case.name == "larger" and (smoke or law in (*WHOLE, Nested().name))
    return [*rows, *(points(name, law, test, train.targets[0], found[0]) if shown else ())]


def _score_row(name, case, law, target, parts):
    """Scores of predicted and observed losses over the parts of a case."""
    scores = [score_arrays(found, seen) for found, seen in parts]
    errors = np.concatenate([100 * np.abs(found - seen) / seen for found, seen in parts])
    count = sum(s.rows for s in scores)
    return {
        "table": name,
        "case": case.name,
        "law": law,
        "target": target,
        "fitted_rows": int(np.mean([fitted.sum() for fitted, _ in case.parts])),
        "rows": count,
        "mre": sum(s.mre * s.rows for s in scores) / count,
        "median": float(np.median(errors)),  # single mixtures can be wrong by orders
    }


def points(name, law, test, target, found) -> Iterator[dict[str, Any]]:
    """Observed and predicted losses of the largest size, one target."""
    for tokens, seen, value in zip(test.tokens, test.losses([target])[0], found, strict=True):
        known = {"table": name, "law": law, "target": target}
        yield {**known, "tokens": tokens, "observed": seen, "predicted": value}


def laws(smoke: bool) -> Iterator[tuple[str, Nested | None]]:
    """Names of the laws, and how the nested ones are fitted."""
    for law in ("chinchilla",) if smoke else WHOLE:  # a trial takes what is compiled fastest
        yield law, None
    for how in HOWS[: 1 if smoke else None]:
        yield how.name, how


def restarts(smoke: bool) -> int:
    """Local solves of ordinary laws; a mixture law of the nested ones takes a quarter."""
    return 16 if smoke else 24


def kept_mixture_laws(setting, name, runs, parts) -> list[dict[str, Any]]:
    """Laws of the mixture alone at one N and D: mean error on mixtures that were not fitted."""
    rows = []
    for law in MIXTURE[-1:] if setting.smoke else MIXTURE:
        done = lambda w=law: mixture_law(name, w, runs, parts, setting.smoke)  # noqa: E731
        rows += kept(setting, f"{name}, mixtures, {law}", done)
    return rows


def mixture_law(name, law, runs, parts, smoke) -> list[dict[str, Any]]:
    """One of them; nothing where it has more parameters than there are mixtures."""
    found = []
    for fitted, held in parts[: 1 if smoke else None]:
        train, test = runs.select(fitted), runs.select(held)
        try:
            fits = fit(train, law, residual="log", restarts=restarts(smoke))
        except FitError as error:
            print(f"{name}, {law}: {error}", flush=True)
            return []
        found.append((fits, score(fits, train), score(fits, test), _relative_errors(fits, test)))
    return [_line(name, law, parts, found)]


def _relative_errors(fits, runs) -> np.ndarray:
    """In percent, [m, p]."""
    seen = runs.losses(fits.targets)
    return 100 * np.abs(fits.predict(runs).to_numpy().T - seen) / seen


def _line(name, law, parts, found):
    errors = [[np.mean([s.mre for s in part[i].values()]) for part in found] for i in (1, 2)]
    ranks = [np.mean([s.spearman for s in part[2].values()]) for part in found]
    first = found[0][0]
    return {
        "table": name,
        "law": law,
        "n_parameters": first.law.count(len(first.domains)),
        "mixtures_fitted": int(np.mean([fitted.sum() for fitted, _ in parts])),
        "targets": len(first),
        "fitted_mre": float(np.mean(errors[0])),
        "unseen_mre": float(np.mean(errors[1])),
        "unseen_median": float(np.median(np.concatenate([part[3].ravel() for part in found]))),
        "unseen_spearman": float(np.mean(ranks)),
    }


if __name__ == "__main__":
    harness.main(__file__, __doc__, run)
