"""Figures 1 and 4 and tables 3, 15 and 16, beside ours."""

import statistics

from experiments.reading import row, rows
from experiments.summary import Finding

BEST = ("best-average", "best-scripture", "best-world_facts")


def findings(results):
    """What models reach with proposed mixtures, in losses and on questions."""
    return [
        *_figure1(results),
        *_figure4(results),
        *_table3(results),
        _table15(results),
        *_table16(results),
    ]


def _figure1(results):
    made = rows(results / "scale.csv")
    said = rows(results / "figure-1.csv", law="joint")
    errors = {r["rows"]: float(r["mre"]) for r in said}
    yield Finding(
        "Figure 1, left",
        "the joint law's error on the mean loss of fitted sizes, and of the largest with mixtures "
        "that are new to it",
        "small runs predict large ones with unseen weights",
        f"{errors['fitted']:.2f}% and {errors['larger']:.2f}%",
    )
    for law in ("additive", "joint"):
        gains = list(_over_uniform(made, f"best-{law}"))
        beaten, total = _beaten(made, f"best-{law}")
        yield Finding(
            "Figure 1, right",
            f"optimum of the {law} law over uniform weights at five sizes, two paired seeds each; "
            "random mixtures and vertices that it beats",
            "better than uniform and than random mixtures at every size",
            f"{_mean(gains, 1)} nats, better in {sum(g > 0 for g in gains)} of {len(gains)} pairs; "
            f"beats {beaten} of {total}",
            "Both optima lie within six points of uniform weights, which are as good here.",
        )


def _over_uniform(made, mixture):
    """Uniform minus proposed, of every size and seed."""
    new = {
        (r["n_params"], r["mixture"], r["seed"]): float(r["loss"])
        for r in made
        if r["study"] == "new"
    }
    for (size, name, seed), loss in new.items():
        if name == mixture:
            yield new[size, "uniform", seed] - loss


def _beaten(made, mixture):
    """How many mixtures that nobody proposed have a higher loss than the proposed one's mean."""
    ours = {}
    for r in made:
        if r["mixture"] == mixture:
            ours.setdefault(r["n_params"], []).append(float(r["loss"]))
    others = [r for r in made if r["mixture"].startswith(("random", "only-"))]
    worse = [float(r["loss"]) > statistics.mean(ours[r["n_params"]]) for r in others]
    return sum(worse), len(worse)


def _figure4(results):
    whys = {
        "average": "The optimum is near uniform weights, in the paper too; the gain is small.",
        "scripture": "",
        "world_facts": "",
    }
    for goal, why in whys.items():
        own = rows(results / "losses.csv", goal=goal)
        found = {r["mixture"]: r for r in own}
        best = found[f"best-{goal}"]
        rank = 1 + sum(float(r["loss"]) < float(best["loss"]) for r in own)
        where = "the trained domains" if goal == "average" else f"{goal}, never trained on"
        yield Finding(
            "Figure 4",
            f"final models, cosine schedule: gain of h* for {where}, over uniform",
            "lowest loss on its target of all models",
            f"{float(best['gain']):+.3f} ± {float(best['gain_sem']):.3f} nats (predicted "
            f"{float(best['predicted_gain']):+.3f}), number {rank} of {len(own)} mixtures",
            why,
        )


def _table3(results):
    core, mmlu = (
        "CORE: base 52, uniform 53, h*_avg 56, h*_OH 58",
        "MMLU: base 25, uniform 30, h*_avg 32, h*_OH 37",
    )
    near = "Near chance: models of 330,000 parameters hardly know what a text goes on with."
    below = (
        "Below chance where text of the trained domains is likelier to a model than the target's."
    )
    groups = {
        "continue, trained": (core, near),
        "domain, trained": (core, ""),
        "domain, scripture": (mmlu, below),
        "domain, world_facts": (mmlu, below),
    }
    for group, (theirs, why) in groups.items():
        kind, _, place = group.partition(", ")
        wrong = "of the same text" if kind == "continue" else "of other domains"
        found = {r["mixture"]: r for r in rows(results / "table-3.csv", group=group)}
        percent = (
            f"{float(found[m]['mean']):.1f} ± {float(found[m]['sem']):.1f}"
            for m in ("proportional", "uniform", *BEST)
        )
        yield Finding(
            "Table 3",
            f"right continuation among four, wrong ones {wrong}, percent, {place}; proportional, "
            "uniform, h* for average, scripture, world_facts",
            theirs,
            ", ".join(percent),
            why,
        )


def _table15(results):
    """What a text's own optimum gains over the uniform mixture on each of its tasks."""
    made = {(r["mixture"], r["task"]): r for r in rows(results / "table-15.csv")}
    parts = []
    for goal in ("scripture", "world_facts"):
        pairs = {
            kind: [made[m, f"{kind}-{goal}"] for m in (f"best-{goal}", "uniform")]
            for kind in ("continue", "domain", "word")
        }
        points = [float(a["percent"]) - float(b["percent"]) for a, b in pairs.values()]
        nats = float(pairs["word"][1]["nats"]) - float(pairs["word"][0]["nats"])
        shown = ", ".join(f"{x:+.1f}" for x in points)
        parts.append(f"{goal} {shown}, and {nats:+.2f} nats for the last word")
    return Finding(
        "Table 15",
        "h* for a text over uniform on its tasks, points: continuation, domain, last word",
        "h*_OH over uniform: 0 to +21 points on seven tasks",
        "; ".join(parts),
        "Questions from held-out text stand for the benchmarks, which are beyond these models.",
    )


def _table16(results):
    paper = {
        "average": "17.0 to 8.0% but for C4 at 25.1",
        "scripture": "for OpenHermes: 36.9% Common Crawl, 27.8% C4, 0 Wikipedia",
        "world_facts": "for OpenHermes: 36.9% Common Crawl, 27.8% C4, 0 Wikipedia",
    }
    for goal, theirs in paper.items():
        found = row(results / "optima.csv", mixture=f"best-{goal}", law="additive")
        columns = list(found)
        domains = columns[columns.index("hull_distance") + 1 :]  # a column of weights for each
        weights = ", ".join(f"{d} {float(found[d]):.1f}" for d in domains)
        yield Finding("Table 16", f"h* of the additive law for {goal}, percent", theirs, weights)


def _mean(values, digits):
    sem = statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):+.{digits + 2}f} ± {sem:.{digits + 2}f}"
