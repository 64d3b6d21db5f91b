"""Ye et al.'s nested laws beside the additive and joint laws, on the same rows.

    python experiments/nested/run.py [--smoke]

Laws are fitted on the smaller sizes, on the first half of every run, or without some mixtures, and
predict the rest. Then laws of the mixture alone are compared at one size and number of tokens,
those with implicit domains among them. JAXMIX_PUBLIC_RUNS adds published runs. What is done is kept
in the work folder: remove that after a change of the code.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import json
from collections.abc import Callable, Iterator
from typing import Any

import harness
import numpy as np
from harness import Setting
from nested_cases import Case, at_one_budget, cases, folds, regmix, tables
from nested_plots import plot_larger

from jaxmix.fitting import FitError, Nested, NestedLaw, fit, fit_nested, score
from jaxmix.fitting.nested import predict_nested
from jaxmix.fitting.saving import write_text
from jaxmix.fitting.scores import weights_for

WHOLE = ("additive", "joint")
HOWS = (
    {},
    {"share_steps": "none"},
    {"share_steps": "all"},
    {"share_sizes": "none"},
    {"share_steps": "none", "share_sizes": "none"},
    {"mixture_law": "ye-m1"},
)
NESTED = Nested().name
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
    points = [row for row in rows if "observed" in row]
    harness.write_csv(setting.out / "scores.csv", [row for row in rows if "mre" in row])
    harness.write_csv(setting.out / "mixture_laws.csv", one_budget)
    harness.write_csv(setting.out / "larger.csv", points)
    plot_larger(points, setting.out / "larger.png")


def kept(setting: Setting, name: str, work: Callable[[], list[dict]]) -> list[dict[str, Any]]:
    """Rows that a stopped run has left under a name, or those of the work, which are left there."""
    path = setting.work / "pieces" / f"{name}.json"
    if path.is_file() and not setting.smoke:
        return json.loads(path.read_text())
    rows = work()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(rows))
    shown = [
        round(v, 3)
        for r in rows
        for n, v in r.items()
        if n in ("mre", "median", "unseen_mre", "unseen_median")
    ]
    print(name, shown, flush=True)
    return rows


def compared(name, runs, case: Case, law: str, how: Nested | None, smoke: bool) -> list[dict]:
    """The error of a law on one case, target by target over its parts; and some predictions.

    Nothing where a part has too few mixtures for the law.
    """
    found, errors = [], []
    for fitted, held in case.parts:
        train, test = runs.select(fitted), runs.select(held)
        try:
            if how is not None:
                fits = fit_nested(train, how, whole_way=False)
            else:
                fits = fit(train, law, residual="log", restarts=restarts(smoke))
            found.append(score(fits, test))
        except FitError as error:
            print(f"{name}, {case.name}, {law}: {error}", flush=True)
            return []
        errors.append(_relative_errors(fits, test))
    rows = [_score_row(name, case, law, target, [f[target] for f in found]) for target in found[0]]
    for i, row in enumerate(rows):  # single mixtures can be wrong by orders: medians are kept too
        row["median"] = float(np.median(np.concatenate([part[i] for part in errors])))
    shown = case.name == "larger" and (smoke or law in (*WHOLE, NESTED))
    return [*rows, *(predicted(name, law, fits, runs, case) if shown else ())]


def _score_row(name, case, law, target, scores):
    count = sum(s.rows for s in scores)
    return {
        "table": name,
        "case": case.name,
        "law": law,
        "target": target,
        "fitted_rows": int(np.mean([fitted.sum() for fitted, _ in case.parts])),
        "rows": count,
        "mre": sum(s.mre * s.rows for s in scores) / count,
    }


def predicted(name, law, fits, runs, case) -> Iterator[dict[str, Any]]:
    """Observed and predicted losses of the largest size, the first target."""
    test, target = runs.select(case.parts[0][1]), fits[0].target
    at = test.n_params, test.tokens, weights_for(fits[0], test)
    values = (test.tokens, test.losses([target])[0], fits[0].predict(*at))
    for tokens, seen, found in zip(*values, strict=True):
        known = {"table": name, "law": law, "target": target}
        yield {**known, "tokens": tokens, "observed": seen, "predicted": found}


def laws(smoke: bool) -> Iterator[tuple[str, Nested | None]]:
    """Names of the laws, and how the nested ones are fitted."""
    for law in ("chinchilla",) if smoke else WHOLE:  # a trial takes what is compiled fastest
        yield law, None
    for changes in HOWS[: 1 if smoke else None]:
        how = Nested(residual="log", restarts=restarts(smoke) // 4, **changes)
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
    seen = runs.losses([f.target for f in fits])
    at = runs.n_params, runs.tokens, weights_for(fits[0], runs)
    nested = isinstance(fits[0], NestedLaw)
    found = predict_nested(fits, *at) if nested else np.stack([f.predict(*at) for f in fits])
    return 100 * np.abs(found - seen) / seen


def _line(name, law, parts, found):
    errors = [[np.mean([s.mre for s in part[i].values()]) for part in found] for i in (1, 2)]
    ranks = [np.mean([s.spearman for s in part[2].values()]) for part in found]
    first = found[0][0][0]
    return {
        "table": name,
        "law": law,
        "n_parameters": first.law.count(len(first.domains)),
        "mixtures_fitted": int(np.mean([fitted.sum() for fitted, _ in parts])),
        "targets": len(found[0][0]),
        "fitted_mre": float(np.mean(errors[0])),
        "unseen_mre": float(np.mean(errors[1])),
        "unseen_median": float(np.median(np.concatenate([part[3].ravel() for part in found]))),
        "unseen_spearman": float(np.mean(ranks)),
    }


if __name__ == "__main__":
    harness.main(__file__, __doc__, run)
