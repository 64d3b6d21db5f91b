"""What tasks add to losses: errors, accuracies both ways, and mixtures that are best at them."""

from statistics import mean

from experiments.reading import rows
from experiments.summary import Finding

WITHIN = {"alone": "the law's own", "range": "within the weights that were run"}


def findings(results):
    """Errors of losses and tasks, of accuracies, and gains of what is proposed for a task."""
    return [_errors(results), _accuracies(results), *_proposals(results)]


def _errors(results):
    made = rows(results / "errors.csv")
    parts = []
    for kind in ("loss", "domain", "word", "continue"):
        own = [r for r in made if _kind(r["target"]) == kind]
        sides = [
            " / ".join(
                f"{mean(float(r[side]) for r in own if r['law'] == law):.2f}"
                for law in ("additive", "joint")
            )
            for side in ("fitted_mre", "larger_mre")
        ]
        name = "losses" if kind == "loss" else f"{kind} tasks"
        parts.append(f"{name} {sides[0]}, larger {sides[1]}%")
    return Finding(
        "Tasks as targets",
        "mean error of losses and of tasks in bits per byte, fitted sizes and the larger one, "
        "additive / joint",
        "-",
        "; ".join(parts),
        "Ten mixtures are few for the joint law's parameters; words of 60 questions are noisy.",
    )


def _kind(target):
    return target.removeprefix("task_").partition("-")[0] if target.startswith("task_") else "loss"


def _accuracies(results):
    made = rows(results / "accuracy.csv", law="additive")
    told = [
        f"{r['task']} ({100 * float(r['measured']):.0f}%) {float(r['direct']):.1f}, "
        f"{float(r['two_steps']):.1f}, {float(r['as_smaller']):.1f}"
        for r in made
        if r["direct"] != "nan"
    ]
    low = [r["task"] for r in made if float(r["above_chance"]) < 0.5]
    return Finding(
        "Tasks as targets",
        "error in points of the larger size's accuracy (measured mean): a law of -log accuracy, "
        "two steps by the loss, and the mean of the next smaller size",
        "-",
        "; ".join(told),
        f"Not above chance in most runs of the larger size: {', '.join(low)}.",
    )


def _proposals(results):
    for r in rows(results / "proposals.csv"):
        yield Finding(
            "Tasks as targets",
            f"mixture for {r['goal']}, {WITHIN[r['within']]}: gain over uniform, bits per byte",
            "-",
            f"predicted {float(r['predicted']):+.3f}, measured {float(r['measured']):+.3f} ± "
            f"{float(r['sem']):.3f} ({r['seeds']} seeds)",
            "No run was near this mixture." if float(r["measured"]) < 0 else "",
        )
