"""How far the rule of the paper's tables 5 and 6 is from the best rate here."""

from experiments.reading import rows
from experiments.summary import Finding


def findings(results):
    """The best multiple of the rule at every width, and what the rule costs."""
    parts = []
    found = rows(results / "sweep.csv")
    for width in dict.fromkeys(one["width"] for one in found):
        losses = {
            float(one["multiple_of_rule"]): float(one["mean_loss"])
            for one in found
            if one["width"] == width
        }
        best = min(losses, key=losses.__getitem__)
        parts.append(f"width {width}: x {best:g} ({losses[1.0] - losses[best]:.3f} nats better)")
    return [
        Finding(
            "Tables 5, 6",
            "learning rate .614 / width, over widths",
            "found by trial at every size",
            "; ".join(parts),
            "Runs of 400 steps favor half of a rate that was tuned for long ones.",
        )
    ]
