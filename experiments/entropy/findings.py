"""Equation 12 beside ours."""

from experiments.reading import rows
from experiments.summary import Finding


def findings(results):
    """The chains whose entropy is known, then the text study."""
    found = [_chains(results, law) for law in ("additive", "joint")]
    found += [_text(results, law) for law in ("additive", "joint")]
    return [f for f in found if f]


def _chains(results, law):
    made = rows(results / "markov.csv", law=law, reach="long")
    parts = []
    for r in made:
        truth = float(r["entropy"]) + float(r["divergence_at_best"])
        parts.append(
            f"{r['target']}: asymptote {float(r['asymptote']):.4f} for {truth:.4f} nats, excess of "
            f"uniform {float(r['fitted_excess']):.4f} for {float(r['excess_of_uniform']):.4f}"
        )
    return Finding(
        "Equation 12",
        f"Markov chains of known entropy, {law} law: H(p) + KL(p || q(h*)), and the KL of uniform",
        "the asymptote at h* is entropy plus what h* leaves; the rest is KL",
        "; ".join(parts),
    )


def _text(results, law):
    made = rows(results / "asymptotes.csv", law=law)
    bounds = {r["target"]: r for r in rows(results / "compression.csv")}
    above, excess = 0, []
    for r in made:
        above += float(r["asymptote"]) > _least(bounds[r["target"]])
        excess.append(float(r["excess_of_uniform"]))
    width = sorted(float(r["high"]) - float(r["low"]) for r in made)
    ours = (
        f"asymptotes {_span(made, 'asymptote')} bits per byte, compressors "
        f"{min(map(_least, bounds.values())):.2f}-{max(map(_least, bounds.values())):.2f}; the "
        f"asymptote is above the compressor's bound in {above} of {len(made)} targets; 90% of "
        f"refits within {width[len(width) // 2]:.2f} (median width); excess of uniform "
        f"{min(excess):.2f}-{max(excess):.2f}"
    )
    what = f"text study, {law} law: E + 1/sum C h*^gamma as a bound of the entropy"
    why = ""
    if above:
        why = "147,520 parameters and 400,000 tokens do not identify the asymptote."
    return Finding("Equation 12", what, "H(p) <= E + 1/C_i, no numbers", ours, why)


def _least(bound):
    values = [float(bound[n]) for n in ("xz", "bz2", "xz_after_training_text") if bound[n]]
    return min(v for v in values if v == v)


def _span(made, column):
    values = [float(r[column]) for r in made]
    return f"{min(values):.2f}-{max(values):.2f}"
