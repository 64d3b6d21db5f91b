"""How findings read result files."""

import csv
import pathlib


def rows(path: pathlib.Path, **equal: str) -> list[dict[str, str]]:
    """The rows of a CSV file whose columns have these values."""
    with path.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    return [row for row in found if all(row[name] == value for name, value in equal.items())]


def row(path: pathlib.Path, **equal: str) -> dict[str, str]:
    """The one such row.

    Raises:
        ValueError: there is none, or there are several.
    """
    (found,) = rows(path, **equal)
    return found


def gain(results: pathlib.Path, mixture: str, baseline: str = "uniform") -> str:
    """A predicted and a measured gain of ``gains.csv`` in words."""
    found = row(results / "gains.csv", mixture=mixture, baseline=baseline)
    predicted, measured, sem = (
        float(found[name]) for name in ("predicted_gain", "measured_gain", "sem")
    )
    return (
        f"predicted {predicted:+.3f} nats, measured {measured:+.3f} ± {sem:.3f} "
        f"({found['seeds']} seeds)"
    )
