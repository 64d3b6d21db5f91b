"""Figure 5 beside ours."""

from experiments.reading import rows
from experiments.summary import Finding


def findings(results):
    """How many mixtures are enough, and which law is better with few."""
    made = rows(results / "enough.csv")
    found = [_enough(made, group) for group in dict.fromkeys(r["group"] for r in made)]
    return [*found, _few(made)]


def _enough(made, group):
    parts = []
    for key in dict.fromkeys((r["design"], r["rows_are"]) for r in made if r["group"] == group):
        own = {r["law"]: r for r in made if (r["design"], r["rows_are"]) == key}
        least = " / ".join(own[law]["least_q"] for law in ("additive", "joint"))
        name = key[0] if key[1].startswith("unseen") else f"{key[0]}, {key[1]}"
        parts.append(f"{name}: {least} of {own['joint']['largest_q']}")
    what = {
        "trained": "text of one size, three to eight domains",
        "tables": "studies and published runs",
    }[group]
    return Finding(
        "Figure 5",
        f"{what}: mixtures from which on the median error stays within 10% of that of the most, "
        "additive / joint",
        "about 10 for three and four domains, about 20 for six and eight",
        "; ".join(parts),
        _late(made, group),
    )


def _late(made, group):
    """Said only where an error still falls at the end of its curve."""
    falling = {r["design"] for r in made if r["group"] == group and r["least_q"] == r["largest_q"]}
    if not falling:
        return ""
    return f"The error still falls at the most mixtures tried in {len(falling)} of the tables."


def _few(made):
    """Which law has the lower median error at the fewest mixtures that both can be fitted on."""
    keys = dict.fromkeys((r["design"], r["rows_are"]) for r in made)
    better, total, ratios = 0, 0, []
    for key in keys:
        own = {r["law"]: r for r in made if (r["design"], r["rows_are"]) == key}
        first, second = own["additive"], own["joint"]
        if first["smallest_q"] != second["smallest_q"]:
            continue
        errors = [float(r["error_at_smallest"]) for r in (first, second)]
        better, total = better + (errors[0] < errors[1]), total + 1
        ratios.append(errors[1] / errors[0])
    ratios.sort()
    return Finding(
        "Figure 5",
        "the fewest mixtures (4): is the additive law the better one?",
        "slightly lower error for the additive law",
        f"in {better} of {total} comparisons; joint over additive error {ratios[0]:.2g} to "
        f"{ratios[-1]:.2g}, median {ratios[len(ratios) // 2]:.2g}",
    )
