"""Every law on every table, in two lines for experiments/README.md."""

import math

from experiments.laws import tables
from experiments.reading import rows
from experiments.summary import Finding

_PAPER = {
    "size": "joint, then additive (Table 2)",
    "mixtures": "additive with few mixtures, joint with many (Figure 5)",
    "longer": "-",
}
_TITLES = {"size": "a larger size", "mixtures": "new mixtures", "longer": "longer runs"}
_COUNTS = {"12": "12 mixtures", "20": "20", "all": "all"}


def findings(results):
    """The laws with the least error, geometric means over tables relative to the additive law."""
    made = rows(results / "laws.csv")
    found = [_errors(made, test) for test in _TITLES]
    found.append(_baselines(made))
    if (results / "repeated.csv").is_file():
        found.append(_repeated(rows(results / "repeated.csv")))
    return found


def _errors(made, test):
    parts = []
    for count, words in _COUNTS.items():
        best = sorted(_means(made, test, count).items(), key=lambda pair: pair[1])[:3]
        parts.append(f"{words}: " + ", ".join(f"{law} {ratio:.2f}" for law, ratio in best))
    what = f"error on {_TITLES[test]} over the additive law's, the best three laws"
    return Finding("Laws", what, _PAPER[test], "; ".join(parts))


def _means(made, test, count):
    """Geometric mean of the ratios of every law that was fitted to as many tables as any."""
    names = [n for n in dict.fromkeys(r["law"] for r in made) if not tables.at_one_point(n)]
    each = {n: list(tables.ratios(made, n, test, count).values()) for n in names}
    most = max(len(values) for values in each.values())
    whole = {n: v for n, v in each.items() if len(v) == most}
    return {n: math.exp(sum(map(math.log, v)) / most) for n, v in whole.items()}


def _baselines(made):
    parts = []
    for test, words in _TITLES.items():
        means = _means(made, test, "all")
        laws = min(v for n, v in means.items() if not n.startswith("baseline"))
        name, least = min(
            ((n, v) for n, v in means.items() if n.startswith("baseline")), key=lambda p: p[1]
        )
        parts.append(f"{words}: {name.removeprefix('baseline ')} {least / laws:.2f}")
    return Finding(
        "Baselines", "the best baseline's error over the best law's, all mixtures", "-",
        "; ".join(parts),
    )  # fmt: skip


def _repeated(found):
    def of(row):
        figures = (float(row[f"{test}, R2"]) for test in ("in sample", "larger"))
        return f"{row['law']} " + " / ".join(f"{r2:.3f}" for r2 in figures)

    return Finding(
        "datablations",
        "R² in sample and on larger sizes",
        "Muennighoff et al.: .772 in sample with published coefficients",
        "; ".join(of(row) for row in found),
    )
