"""The tables of README.md, written from the results: ``python -m experiments.laws.tables``."""

import math
import pathlib
from collections.abc import Iterator, Sequence

from experiments.reading import rows

HERE = pathlib.Path(__file__).resolve().parent

BEGIN, END = "<!-- from results/, by tables.py -->", "<!-- end -->"
ERRORS = ("size", "mixtures", "longer")
COUNTS = ("12", "20", "40", "all")
TITLES = {"size": "larger size", "mixtures": "new mixtures", "longer": "longer runs"}
# Against which law's error a law's is measured: one that is fitted on the same rows.
REFERENCE = {False: "additive", True: "additive-fixed-nd"}
FIXED = ", one N and D"
# How the names of laws of the mixture alone begin.
ONE_POINT = ("additive-fixed-nd", "effective-fixed-nd", "ye-m")

SOME = "†"  # behind an error on the targets that are domains

Row = dict[str, str]


def tables(results: pathlib.Path) -> str:
    """The summary, one table for each run table, and that of repeated data."""
    made = rows(results / "laws.csv")
    names = dict.fromkeys(r["table"] for r in made)
    parts = [summary(made)]
    parts += [one_table(name, [r for r in made if r["table"] == name]) for name in names]
    if (results / "repeated.csv").is_file():
        parts.append(repeated(rows(results / "repeated.csv")))
    return "\n\n".join(parts)


def at_one_point(law: str) -> bool:
    """Whether a law sees the mixture alone."""
    return law.startswith(ONE_POINT) or law.endswith(FIXED)


def value(found: Sequence[Row], law: str, test: str, count: str, column: str = "median") -> float:
    """One figure; NaN where there is none."""
    key = {"law": law, "test": test, "mixtures": count}
    own = [r for r in found if all(r[n] == v for n, v in key.items())]
    return float(own[0][column]) if own else math.nan


# --- each table -----------------------------------------------------------------------------------


def one_table(name: str, found: Sequence[Row]) -> str:
    """Laws as rows, tests as columns, the counts of mixtures within a cell."""
    counts = [c for c in COUNTS if any(r["mixtures"] == c for r in found)]
    tests = [t for t in (*ERRORS, "regret") if any(r["test"] == t for r in found)]
    heads = [TITLES.get(t, t) + ("" if t == "regret" else ", %") for t in tests]
    lines = [f"### {name}: {' / '.join(counts)} mixtures", "", _head("law", "par.", *heads)]
    for law, parameters in dict.fromkeys((r["law"], r["parameters"]) for r in found):
        cells = [" / ".join(_cell(found, law, test, count) for count in counts) for test in tests]
        lines.append(f"| {law} | {parameters} | " + " | ".join(cells) + " |")
    lines.append("| *spread over deals* | | " + " | ".join(_spreads(found, tests, counts)) + " |")
    return "\n".join(lines)


def _cell(found: Sequence[Row], law: str, test: str, count: str) -> str:
    mine = value(found, law, test, count)
    if math.isnan(mine) and not math.isnan(some := value(found, law, f"{test}, domains", count)):
        return f"{_percent(some)}{SOME}"
    laws = [r["law"] for r in found if at_one_point(r["law"]) == at_one_point(law)]
    best = min((v for n in laws if not math.isnan(v := value(found, n, test, count))), default=0)
    text = _nats(mine) if test == "regret" else _percent(mine)
    return f"**{text}**" if mine == best else text


def _spreads(found: Sequence[Row], tests: Sequence[str], counts: Sequence[str]) -> Iterator[str]:
    """Half the range over deals, the median over laws."""
    for test in tests:
        cells = []
        for count in counts:
            own = [r for r in found if (r["test"], r["mixtures"]) == (test, count)]
            halves = sorted(
                (float(r["highest"]) - float(r["lowest"])) / 2 for r in own if int(r["draws"]) > 1
            )
            middle = halves[len(halves) // 2] if halves else math.nan
            cells.append(_nats(middle) if test == "regret" else _percent(middle))
        yield " / ".join(cells)


# --- the summary ----------------------------------------------------------------------------------


def summary(made: Sequence[Row]) -> str:
    """Errors over those of the additive law, geometric means over tables; mean regrets.

    Of the tables that have several sizes.
    """
    few, lines = ("12", "20", "all"), []
    several = {r["table"] for r in made if r["law"] == REFERENCE[False]}
    made = [r for r in made if r["table"] in several]
    heads = (*(f"{TITLES[t]}, x additive" for t in ERRORS), "regret, nats")
    lines.append(_head("law", "parameters", "tables", *heads))
    for law in dict.fromkeys(r["law"] for r in made):
        cells = [" / ".join(_ratio(made, law, test, c) for c in few) for test in ERRORS]
        cells.append(" / ".join(_nats(_mean_regret(made, law, c)) for c in few))
        own = [int(r["parameters"]) for r in made if r["law"] == law]
        size = f"{min(own)}-{max(own)}" if min(own) < max(own) else str(min(own))
        tables = len({r["table"] for r in made if r["law"] == law})
        lines.append(f"| {law} | {size} | {tables} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratios(made: Sequence[Row], law: str, test: str, count: str) -> dict[str, float]:
    """A law's error over that of the reference, by table; infinite where a law diverges."""
    found = {}
    for name in dict.fromkeys(r["table"] for r in made):
        own = [r for r in made if r["table"] == name]
        laws = (law, REFERENCE[at_one_point(law)])
        mine, other = (value(own, n, test, count) for n in laws)
        if math.isnan(mine):
            mine, other = (value(own, n, f"{test}, domains", count) for n in laws)
        if not math.isnan(mine) and not math.isnan(other):
            found[name] = mine / other
    return found


def _ratio(made: Sequence[Row], law: str, test: str, count: str) -> str:
    own = list(ratios(made, law, test, count).values())
    if not own:
        return "-"
    middle = math.exp(sum(math.log(v) for v in own) / len(own))
    return f"{middle:.2f}" if middle < 10 else f"{middle:.0f}" if middle < 1e3 else "∞"


def _mean_regret(made: Sequence[Row], law: str, count: str) -> float:
    own = [r for r in made if (r["law"], r["test"], r["mixtures"]) == (law, "regret", count)]
    known = [v for r in own if not math.isnan(v := float(r["median"]))]
    return sum(known) / len(known) if known else math.nan


# --- repeated data --------------------------------------------------------------------------------


def repeated(found: Sequence[Row]) -> str:
    """R2 and error of each law, in sample and on rows that were not fitted."""
    tests = [n.removesuffix(", R2") for n in found[0] if n.endswith(", R2")]
    lines = ["### datablations: one domain, repeated", ""]
    lines.append(_head("law", "par.", *(f"{t}: R², %" for t in tests)))
    for row in found:
        cells = [f"{float(row[f'{t}, R2']):.3f}, {_percent(float(row[f'{t}, %']))}" for t in tests]
        lines.append(f"| {row['law']} | {row['parameters']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _head(*names: str) -> str:
    return "| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|"


def _percent(number: float) -> str:
    if math.isnan(number):
        return "-"
    if not number < 1e3:
        return "∞"
    return f"{number:.2f}".removeprefix("0") if number < 10 else f"{number:.0f}"


def _nats(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:.3f}".removeprefix("0")


def write(readme: pathlib.Path, results: pathlib.Path) -> None:
    """Puts the tables between the marks of README.md."""
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    text = f"{before}{BEGIN}\n\n{tables(results)}\n\n{END}{after}"
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(HERE / "README.md", HERE / "results")
