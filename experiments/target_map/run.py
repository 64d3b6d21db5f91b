"""What is best for one domain, and is it ever best to train on what one wants to be good at?

    python -m experiments.target_map.run [--smoke]

For each domain alone as the target, the optimal mixture (figure 7), its certificate, how far it
lies from what was run, and what was best among the mixtures that were run. Then the map from target
mixtures w to h*(w): how far it moves them over the whole simplex (figures 8 and 9), and a search
for fixed points between the points of that grid. RedPajama needs the published runs.
"""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from experiments import family_tables, harness
from experiments.harness import Setting
from jaxmix.fitting import FittedLaw, fit
from jaxmix.mixtures import (
    Constraints,
    FixedPoints,
    corners,
    dirichlet_design,
    fixed_point_map,
    grid_design,
    uniform,
)
from jaxmix.runs import RunTable

STUDIES = ("multimodal", "vision", "text")
LAWS = ("joint", "additive")
RESTARTS, STARTS = 48, 16
STEPS = {3: 40, 4: 20}  # intervals along an edge of the grid of target mixtures
DRAWS = 3000  # target mixtures where a grid would have too many
# RedPajama's domains and the validation losses of the same source; c4 has none.
SAME = {
    "commoncrawl": "pile_cc",
    "github": "github",
    "arxiv": "arxiv",
    "books": "books3",
    "stackexchange": "stackexchange",
    "wikipedia": "wikipedia_en",
}


def run(setting: Setting) -> None:
    """Corners of all studies, maps of those whose targets are their domains."""
    found, maps = [], {}
    for name in STUDIES[:1] if setting.smoke else STUDIES:
        runs = getattr(family_tables, name)()
        runs = runs.select(np.arange(len(runs)) % 3 == 0) if setting.smoke else runs
        for law in LAWS[1:] if setting.smoke else LAWS:
            laws = fitted(runs, law, runs.domains, setting.smoke)
            found += list(
                corner_rows(name, runs, laws, dict(zip(*[runs.domains] * 2, strict=True)))
            )
            if law == LAWS[0] or setting.smoke:
                maps[name] = mapped(name, runs, laws, setting)
    if not setting.smoke:
        runs = family_tables.redpajama()
        for law in LAWS:
            laws = fitted(runs, law, tuple(SAME.values()), False)
            found += list(corner_rows("redpajama", runs, laws, SAME))
    harness.write_csv(setting.out / "corners.csv", found)
    write_maps(maps, setting.out)
    from experiments.target_map.target_plots import plot_corners

    plot_corners(found, setting.out / "corners.png")


def fitted(
    runs: RunTable, law: str, targets: tuple[str, ...], smoke: bool
) -> tuple[FittedLaw, ...]:
    """The laws of some targets."""
    return fit(runs, law, targets=targets, restarts=8 if smoke else RESTARTS, residual="log")


def corner_rows(
    name: str, runs: RunTable, laws: tuple[FittedLaw, ...], same: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """One row per target and domain, at the largest size and its longest run.

    `weight_as_run` is the optimum where every weight stays between those of the runs.
    """
    n = float(runs.n_params.max())
    d = float(runs.tokens[runs.n_params == n].max())
    found, again = (corners(laws, n, d, starts=STARTS, seed=seed) for seed in (0, 1))
    low, high = (dict(zip(runs.domains, x, strict=True)) for x in box_of(runs))
    boxed = corners(laws, n, d, Constraints(minimum=low, maximum=high), starts=STARTS)
    own = {target: domain for domain, target in same.items()}
    for i, law in enumerate(laws):
        best, domain = found[i], own[law.target]
        for other, weight in best.weights.items():
            yield {
                "study": name,
                "law": law.law.name,
                "target": law.target,
                "domain": other,
                "own": int(other == domain),
                "weight": weight,
                "gap": best.gap,
                "proven": int(best.proven),
                "agreeing": best.agreeing,
                "starts": best.starts,
                "moved_by_other_starts": float(np.abs(found.h[i] - again.h[i]).max()),
                "hull_distance": best.hull_distance,
                "weight_as_run": boxed[i].weights[other],
                "most_as_run": high[other],
                **measured(runs, law.target, domain),
            }


def box_of(runs: RunTable) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest weight of every domain in any run."""
    return runs.weights.min(0), runs.weights.max(0)


def measured(runs: RunTable, target: str, domain: str) -> dict[str, float]:
    """The weight on the own domain in the best of the mixtures that were run, and its largest.

    At the size with the most mixtures (the largest of those) and the tokens that all reached.
    """
    frame = runs.frame
    mixtures = frame.groupby("n_params")["run"].nunique()
    size = mixtures[mixtures == mixtures.max()].index.max()
    last = frame[frame["n_params"] == size]
    reached = last.groupby("run")["tokens"].max().min()
    last = last[last["tokens"] == reached]
    weight = last[f"w_{domain}"]
    best = last[f"loss_{target}"].idxmin()
    return {"run_best": float(weight[best]), "run_most": float(weight.max())}


def mapped(
    name: str, runs: RunTable, laws: tuple[FittedLaw, ...], setting: Setting
) -> tuple[FixedPoints, list[dict[str, Any]]]:
    """The map over the simplex, and the places between the corners where it moves w least."""
    from experiments.target_map.fixed_points import search

    n = float(runs.n_params.max())
    budget = n, float(runs.tokens[runs.n_params == n].max())
    found = fixed_point_map(laws, *budget, targets_of(len(runs.domains), setting.smoke))
    rows = search(laws, budget, found, rounds=4 if setting.smoke else 24)
    return found, [{"study": name, **row} for row in rows]


def targets_of(k: int, smoke: bool) -> np.ndarray:
    """Target mixtures [q, k]: a grid, or random ones, sparse ones among them."""
    if k in STEPS:
        return grid_design(k, 6 if smoke else STEPS[k])
    parts = [
        dirichlet_design(k, DRAWS // 3, seed=i, concentration=c)
        for i, c in enumerate((1, 0.3, 0.1))
    ]
    return np.vstack([np.eye(k), uniform(k), *parts])


def write_maps(
    maps: Mapping[str, tuple[FixedPoints, list[dict[str, Any]]]], out: pathlib.Path
) -> None:
    """Every map as a table, summaries, places that hardly move, and pictures."""
    from experiments.target_map.fixed_points import summary
    from experiments.target_map.target_plots import plot_distances, plot_layers, plot_triangles

    summaries, places = [], []
    for name, (found, rows) in maps.items():
        harness.write_csv(out / f"{name}-map.csv", map_rows(found))
        summaries.append({"study": name, **summary(found)})
        places += rows
        if len(found.optima.domains) == 3:
            plot_triangles(found, rows, out / f"{name}-map.png")
        if len(found.optima.domains) == 4:
            plot_layers(found, out / f"{name}-map.png")
    plot_distances({name: found for name, (found, _) in maps.items()}, out / "distances.png")
    harness.write_csv(out / "maps.csv", summaries)
    harness.write_csv(out / "fixed-points.csv", places)


def map_rows(found: FixedPoints) -> Iterator[dict[str, Any]]:
    """Rounded, one row per target mixture."""
    domains = found.optima.domains
    for w, h, distance in zip(found.target_weights, found.optima.h, found.distance, strict=True):
        yield {
            **{f"target_{x}": round(float(w[i]), 4) for i, x in enumerate(domains)},
            **{f"h_{x}": round(float(h[i]), 4) for i, x in enumerate(domains)},
            "js_distance": round(float(distance), 5),
        }


if __name__ == "__main__":
    harness.main(__file__, __doc__ or "", run)
