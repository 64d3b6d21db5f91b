"""What could make a proposal wrong, the gravest first, each with what to do about it."""

import re
from typing import NamedTuple

import numpy as np

from jaxmix.mixtures.optimum import unread_sizes
from jaxmix.notes import GUESS, MINOR, UNSAFE, WRONG, Note, rank_of
from jaxmix.report.contents import Report
from jaxmix.report.markup import percent, size

DECISION, NUMBERS, DETAIL = range(3)
TITLES = (
    "These could change the decision",
    "These make the numbers less sure",
    "These are good to know",
)


class Warned(NamedTuple):
    """A warning: how grave it is, what was found and the remedy, whole sentences."""

    rank: int
    found: str
    remedy: str


# Patterns of notes, with their rank and remedy; notes on fits say both themselves.
_KNOWN: tuple[tuple[str, int, str], ...] = (
    (
        r"^no gain over",
        DECISION,
        "Treat the two mixtures as equally good, or run more mixtures (jaxmix next chooses them).",
    ),
    (
        r"measured less at this N and D",
        DECISION,
        "Prefer the mixture that measured less, or train both at the largest size that was run.",
    ),
    (r"^not converged", DECISION, "Search from more starting points (--starts 50)."),
    (
        r"^outside the weights that were run|convex hull",
        DECISION,
        "Run a few small models on such mixtures first, or stay inside (--within range).",
    ),
    (
        r"^worse than the",
        DECISION,
        "If these targets matter, give them more weight (--target-weights) or a limit on their "
        "loss (--guard).",
    ),
    (
        r"never trained on|hardly used|in all runs",
        DECISION,
        "Add runs in which these weights vary on their own (jaxmix study plan designs them).",
    ),
    (
        r"^the law '.*' does not read",
        DECISION,
        "Use a law that reads sizes, such as additive, on runs of several sizes.",
    ),
    (r"was given no available tokens", DECISION, "Give the stock of each domain (--available)."),
    (
        r"^no intervals|^no refits were asked",
        NUMBERS,
        "Add runs, or let the report make refits (leave out --resamples 0).",
    ),
    (
        r"took no part in the fit are predicted",
        NUMBERS,
        "Compare laws on held-out rows (jaxmix select), and choose one that predicts them.",
    ),
    (r"are few: intervals|rough", NUMBERS, "Add runs on more mixtures."),
    (r"^not proven", NUMBERS, "Search from more starting points (--starts 50) and compare."),
    (
        r"weight 0, left out",
        NUMBERS,
        "Nothing, if the target does not matter; else add rows that have its loss.",
    ),
)
_RANKS = {WRONG: DECISION, UNSAFE: NUMBERS, GUESS: NUMBERS, MINOR: DETAIL}
# Notes that the page says elsewhere, in their place.
_ELSEWHERE = re.compile(
    r"^(assumed: (each weight|the mixture)|the best mixture that was run|the law alone)"
)
_TIMES = re.compile(r"^(N|D) = \S+ is (\S+) times (the largest|below the smallest)")


def warnings(report: Report) -> list[Warned]:
    """What could make the proposal wrong, the gravest first."""
    notes = dict.fromkeys((*report.all_notes, *_held_out(report), *report.laws.notes))
    found = [_warned(note) for note in notes if not _left_out(note)]
    return sorted([*_budget(report), *found], key=lambda warned: warned.rank)


def _left_out(note: str) -> bool:
    return bool(_ELSEWHERE.match(note) or _TIMES.match(note) or note.startswith("D = inf"))


def _warned(note: str) -> Warned:
    known = ((rank, remedy) for pattern, rank, remedy in _KNOWN if re.search(pattern, note))
    rank, remedy = next(known, (_RANKS[rank_of(note)], ""))
    said = str(note)
    if not remedy and isinstance(note, Note) and "): " in note:
        said, _, remedy = f"{note}.".rpartition("): ")
        said += ")"
    return Warned(rank, f"{_capital(said).rstrip('.')}.", _capital(remedy))


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _budget(report: Report) -> list[Warned]:
    """How far the budget lies from the runs."""
    unread, laws = unread_sizes(report.laws), report.laws
    found = []
    for name, unit, value in (
        ("n_params", "parameters", report.n_params),
        ("tokens", "tokens", report.tokens),
    ):
        low = max(getattr(f.data, name)[0] for f in laws)
        high = min(getattr(f.data, name)[1] for f in laws)
        if name in unread or low * 0.99 <= value <= high * 1.01:
            continue
        far = value / high if value > high else low / value
        edge = f"the most that was run ({size(high)})"
        if value < low:
            edge = f"below the least that was run ({size(low)})"
        what = "larger model" if name == "n_params" else "longer run"
        found.append(
            Warned(
                DECISION if far > 10 else NUMBERS,
                f"{size(value)} {unit} are {far:.3g} times {edge}: the losses there are "
                "extrapolated.",
                f"Train one {what} on the proposed mixture and compare with the prediction."
                if value > high
                else "Ask for a budget inside the runs, or add smaller runs.",
            )
        )
    return found


def _held_out(report: Report) -> list[str]:
    fitted = report.fitted_scores
    worse = [
        f"{t} ({held.mre:.2g}% against {fitted[t].mre:.2g}%)"
        for t, held in report.held_out_scores.items()
        if t in fitted and held.mre > 2 * fitted[t].mre
    ]
    few = ", ".join(worse[:3]) + (f" and {len(worse) - 3} more" if len(worse) > 3 else "")
    note = f"rows that took no part in the fit are predicted at least twice as badly: {few}"
    return [note] if worse else []


def beyond_runs(report: Report, h: np.ndarray) -> list[str]:
    """Weights [k] outside what was run, in words."""
    support = report.optimum.counted.laws.support if report.optimum else None
    if support is None:
        return []
    found, weights = [], dict(zip(report.laws.domains, h, strict=True))
    for domain, (low, high) in support.beyond(h).items():
        end = f"most that was run {percent(high)}"
        if weights[domain] < low:
            end = f"least that was run {percent(low)}"
        found.append(f"{domain} {percent(weights[domain])}, {end}")
    return found
