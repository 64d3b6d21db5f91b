"""Results as plain text."""

from typing import Any


def render(section: str, result: Any) -> str:
    """One section as a titled table."""
    if section == "targets":
        return _targets(result)
    return f"\n{section}\n" + "\n".join(_lines(result, 1))


def _lines(value: Any, depth: int) -> list[str]:
    """Nested dictionaries as indented lines."""
    out = []
    for name, item in value.items():
        if isinstance(item, dict):
            out += [f"{'  ' * depth}{name}", *_lines(item, depth + 1)]
        else:
            out.append(f"{'  ' * depth}{name:<24} {_show(item)}")
    return out


def _show(item: Any) -> str:
    if isinstance(item, float):
        return f"{item:.4g}"
    if isinstance(item, list):
        return ", ".join(map(_show, item))
    return str(item)


def _targets(rows: list[dict[str, Any]]) -> str:
    """For each goal: ratio to the default, expected seconds, their 95% interval, quartiles."""
    out = []
    for goal in rows[0]["goals"]:
        head = ("ratio", "expected s", "95%", "quartiles s", "hits", "ran s", "cores")
        out.append(f"\ntime to within 1% of the {goal} minimum, jaxmix default = 1")
        out.append(_row("method", head))
        out += [_target_line(row, row["goals"][goal]) for row in rows]
    return "\n".join(out)


_WIDTHS = (9, 11, 15, 19, 7, 7, 6)


def _target_line(row: dict[str, Any], entry: dict[str, Any]) -> str:
    expected, (low, high) = entry["expected"], entry["interval"]
    ratio = entry["ratio"]
    bound = ">" if entry["ratio_is_bound"] else ""
    cells = (
        "?" if ratio is None else f"{bound}{ratio:.3g}",
        "not reached" if expected is None else f"{expected:.3g}",
        f"{low:.2g} to {high:.2g}",
        " ".join(f"{q:.3g}" for q in entry["quartiles"]) if row["trials"] > 1 else "",
        f"{entry['hits']}/{row['units']}",
        f"{row['seconds']:.0f}",
        f"{row['cores']:.1f}",
    )
    return _row(row["method"], cells)


def _row(name: str, cells: tuple[str, ...]) -> str:
    padded = (f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))
    return f"  {name:<34} " + " ".join(padded)
