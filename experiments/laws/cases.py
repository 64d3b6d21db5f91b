"""The tables of `run.py`, and which laws are fitted to each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from experiments import family_tables, harness
from experiments.masked_fits import FIXED, at_one_point
from jaxmix.fitting import BASELINES as BASELINES
from jaxmix.laws import Law, get_law
from jaxmix.runs import RunTable, read_runs

# Laws of N, D and the mixture; chinchilla does not see the mixture, d-cpt its own domain's weight.
SCALING = ("chinchilla", "effective", "simple", "additive", "joint", "full", "d-cpt")
FLOORED = ("log-linear+floor", "effective+floor", "simple+floor", "additive+floor", "joint+floor")
# Where rows repeat data.
REPEATING = (
    "effective+repetition",
    "effective+repetition-by-domain",
    "effective+repetition+harm",
    "simple+repetition",
    "additive+repetition",
    "additive+repetition-by-domain",
    "additive+repetition+harm",
    "additive+scarcity",
    "joint+repetition",
    "joint+repetition+harm",
)
# Of the study whose rows have several stocks.
STOCKED = (
    *("chinchilla", "effective", "simple", "additive", "joint"),
    *(name for name in REPEATING if not name.startswith("simple")),
)
# Laws of the mixture alone, fitted at one N and D; and Ge's, fitted at one N.
ONE_POINT = ("additive-fixed-nd", "effective-fixed-nd", f"simple{FIXED}")
ONE_POINT += ("ye-m1", "ye-m2", "ye-m3", "ye-m4")
ONE_SIZE = ("ge",)
REPEATS = 1.5  # epochs from which on a table counts as one of repeated data


REPETITION = family_tables.HERE / "repetition" / "results" / "runs.csv"


@dataclass(frozen=True)
class Case:
    """One table whose mixtures are dealt to fits and to tests.

    Attributes:
        name: in the results.
        read: the run table.
        targets: names.
        counts: mixtures to fit; all of them are fitted as well.
        draws: random orders of the mixtures.
        point: expression of the rows of one N that laws of one size are fitted on; their last
            checkpoints are those of laws of one N and D.
        laws: names; those of `law_names` if empty.
        checkpoints: of each run that are kept: the first, the last, and some between.
        tested: expression of rows that are tested and never dealt, among which a law also picks;
            if empty, those of the largest size.
    """

    name: str
    read: Callable[[], RunTable]
    targets: tuple[str, ...]
    counts: tuple[int, ...] = (12, 20, 40)
    draws: int = 3
    point: str = ""
    laws: tuple[str, ...] = ()
    checkpoints: int = 6
    tested: str = ""


def cases() -> Iterator[Case]:
    """All cases that can be read here."""
    text = ("code_python", "dictionary", "multilingual", "world_facts", "scripture")
    yield Case("text", family_tables.text, text, point="preset == 'tiny-64'")
    three = ("text", "image_caption", "interleaved")
    yield Case("multimodal", family_tables.multimodal, three, point="n_params > 1.5e5")
    four = ("emoji", "icons", "brands", "digits", "glyphs")
    yield Case("vision", family_tables.vision, four, point="n_params > 1.5e5")
    if REPETITION.is_file():
        four = ("music", "code_python", "legal", "dictionary")
        yield Case("repetition", _repetition, four, laws=STOCKED, checkpoints=4)
    if family_tables.published_are_here():
        yield from _published()


def _published() -> Iterator[Case]:
    five = ("pile_weighted_mean", "github", "arxiv", "wikipedia_en", "books3")
    yield Case("RedPajama", family_tables.redpajama, five, point="n_params < 2e7")
    five = ("pile_cc", "github", "arxiv", "wikipedia_en", "books3")
    yield Case("fivemix", _fivemix, five, point="n_params > 3e8")
    wide = ("pile_cc", "github", "arxiv", "wikipedia_en")
    yield Case("RegMix", family_tables.regmix, wide, tested="split == 'test'")


def _repetition() -> RunTable:
    """Mixtures of four domains of text, one of them with small stocks; one larger size."""
    runs = read_runs(REPETITION)
    return runs.select(runs.frame["run"].str.startswith(("ladder", "larger")).to_numpy())


def _fivemix() -> RunTable:
    """Published language models on five domains, many mixtures with exact zeros."""
    return read_runs(harness.published("fivemix.csv"))


def datablations() -> RunTable:
    """The 182 rows of the published fit of repeated data: one domain."""
    frame = pd.read_csv(harness.published("datablations.csv"))
    frame = frame[frame["in_paper_fit"] == 1].reset_index(drop=True)
    held = {"n_params": frame["n_params"], "tokens": frame["tokens"], "w_c4": 1.0}
    return read_runs(
        pd.DataFrame({**held, "unique_c4": frame["unique_tokens"], "loss_c4": frame["loss"]})
    )


def thinned(runs: RunTable, checkpoints: int) -> RunTable:
    """With a few checkpoints of each run: more of them say little and cost time."""
    kept = np.zeros(len(runs), bool)
    for rows in runs.frame.groupby("run").indices.values():
        rows = rows[np.argsort(runs.tokens[rows], kind="stable")]
        at = np.linspace(0, len(rows) - 1, min(checkpoints, len(rows))).round().astype(int)
        kept[rows[at]] = True
    return runs.select(kept)


def repeats(runs: RunTable) -> bool:
    """Whether some domain of some run is seen more often than `REPEATS` times."""
    unique = [f"unique_{domain}" for domain in runs.domains]
    if not all(name in runs.frame for name in unique):
        return False
    epochs = runs.weights * runs.tokens[:, None] / runs.frame[unique].to_numpy(float)
    return bool((np.nan_to_num(epochs) > REPEATS).any())


def stocks(runs: RunTable) -> np.ndarray:
    """An index [p] of each row's unique tokens; 0 everywhere if nothing is known of them."""
    unique = [f"unique_{domain}" for domain in runs.domains]
    if not all(name in runs.frame for name in unique):
        return np.zeros(len(runs), int)
    found = runs.frame[unique].to_numpy(float)
    return np.unique(found, axis=0, return_inverse=True)[1].reshape(-1)


def law_names(runs: RunTable) -> tuple[str, ...]:
    """The laws that a table can tell apart."""
    if np.ptp(runs.n_params) == 0:
        return ONE_POINT
    return SCALING + FLOORED + (REPEATING if repeats(runs) else ()) + ONE_POINT + ONE_SIZE


def find_law(name: str) -> Law:
    """A law by its name, also one whose terms in N and D are left out."""
    return at_one_point(name.removesuffix(FIXED)) if name.endswith(FIXED) else get_law(name)


def tiny(case: Case) -> Case:
    """For a trial."""
    return replace(case, targets=case.targets[:1], counts=(8,), draws=1)
