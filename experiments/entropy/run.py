"""What a law says of a text's entropy: the asymptote at the best mixture, equation 12.

    python -m experiments.entropy.run [--smoke]

(1) Mixtures of Markov chains, whose entropies and divergences are known. (2) The text study: the
asymptote of each target with an interval, beside what general compressors need for its held-out
text (where the corpus `text` is prepared; their results are kept).
"""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from experiments import family_tables, harness
from experiments.entropy.markov_sources import NAMES, divergence, entropy, make_runs, make_sources
from experiments.harness import Setting, write_csv
from experiments.masked_fits import at_one_size
from jaxmix.fitting import FittedLaw, bootstrap, fit
from jaxmix.mixtures import optimize
from jaxmix.runs import RunTable

INFINITE = float("inf")
RESTARTS, RESAMPLES = 32, 60
REACHES = {"short": (1e4, 1e5), "long": (1e4, 1e7)}  # tokens of the chains' runs


def run(setting: Setting) -> None:
    restarts, reaches, laws = RESTARTS, list(REACHES), ("additive", "joint")
    runs, targets, resamples = family_tables.text(), None, RESAMPLES
    if setting.smoke:
        restarts, reaches, laws = 4, ["short"], ("additive",)
        runs, targets, resamples = runs.where("tokens > 3.9e5"), ("music",), 0
    rows = [row for reach in reaches for law in laws for row in known(reach, law, restarts)]
    write_csv(setting.out / "markov.csv", rows)
    if not setting.smoke:
        _compress(setting.out / "compression.csv")
    found = [row for law in laws for row in asymptotes(runs, law, targets, restarts, resamples)]
    write_csv(setting.out / "asymptotes.csv", found)


def known(reach: str, law: str, restarts: int) -> Iterator[dict[str, Any]]:
    """Fitted entropies and divergences of Markov chains beside the true ones, nats per symbol."""
    sources = make_sources()
    runs = make_runs(sources, np.geomspace(*REACHES[reach], 7).round(), 24)
    center = np.full(len(NAMES), 1 / len(NAMES))
    for f in fit(runs, at_one_size(law), residual="log", restarts=restarts):
        best = _best(f)
        floor = float(f.predict(dict(n_params=INFINITE, tokens=INFINITE, weights=best)))
        left = divergence(sources, f.target, best)
        yield {
            "reach": reach,
            "most_tokens": REACHES[reach][1],
            "law": law,
            "target": f.target,
            "mre": f.report.train_mre,
            "lowest_loss": float(np.min(runs.losses([f.target]))),
            "entropy": entropy(sources.targets[f.target]),
            "asymptote": floor,
            "divergence_at_best": left,
            "excess_of_uniform": divergence(sources, f.target, center) - left,
            "fitted_excess": float(
                f.predict(dict(n_params=INFINITE, tokens=INFINITE, weights=center))
            )
            - floor,
            **{f"best_{n}": w for n, w in zip(NAMES, best.tolist(), strict=True)},
        }


def _best(f: FittedLaw) -> np.ndarray:
    """The mixture [k] with the lowest asymptote."""
    mixture = optimize([f], INFINITE, INFINITE).weights
    return np.array([mixture[d] for d in f.domains])


def asymptotes(
    runs: RunTable, law: str, targets: Sequence[str] | None, restarts: int, resamples: int
) -> Iterator[dict[str, Any]]:
    """The parts of eq. (12) of every target of a study, in bits per byte."""
    fitted = runs.where("preset != 'tiny-96'")
    fits = fit(fitted, law, targets=targets, residual="log", restarts=restarts)
    refits = bootstrap(fits, fitted, resamples=resamples, basins=2) if resamples else None
    for f in fits:
        best = _best(f)
        bits = bits_per_byte(runs, f.target)
        center = np.full(len(best), 1 / len(best))
        floor = float(f.predict(dict(n_params=INFINITE, tokens=INFINITE, weights=best)))
        ends = (np.nan, np.nan)
        if refits is not None:
            found = refits.only(f.target).losses(
                dict(n_params=INFINITE, tokens=INFINITE, weights=best)
            )[0]
            ends = tuple(np.nanpercentile(found, (5, 95)).tolist())
        mixture = {d: w for d, w in zip(f.domains, best.tolist(), strict=True) if w > 0.005}
        yield {
            "law": law,
            "target": f.target,
            "E": bits * float(f.params["E"]),
            "asymptote": bits * floor,
            "low": bits * ends[0],
            "high": bits * ends[1],
            "excess_of_uniform": bits
            * (float(f.predict(dict(n_params=INFINITE, tokens=INFINITE, weights=center))) - floor),
            "lowest_loss": bits * float(np.nanmin(runs.losses([f.target]))),
            "best_mixture": " ".join(f"{d}={w:.2f}" for d, w in mixture.items()),
        }


def bits_per_byte(runs: RunTable, target: str) -> float:
    """What a nat per token is in bits per byte of this target's held-out text."""
    ratio = runs.frame[f"bpb_{target}"] / runs.frame[f"loss_{target}"]
    return float(ratio.median())


def _compress(path: pathlib.Path) -> None:
    """Writes the compressors' results, once, where the corpus is there."""
    if path.is_file():
        return
    from experiments.entropy.compressors import bounds
    from jaxmix.data import DataError, open_corpus

    try:
        corpus = open_corpus("text-bpe-1024")
    except DataError as error:
        print(f"compressors left out: {error}")
        return
    write_csv(path, bounds(corpus))


if __name__ == "__main__":
    harness.main(__file__, __doc__, run)
