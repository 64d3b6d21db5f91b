"""What the early-fusion study has beside the paper's section 5."""

from experiments.reading import gain
from experiments.summary import Finding


def findings(results):
    """Gains over uniform weights at the larger size."""
    return [
        Finding(
            "Section 5, NMM (Figure 1)",
            "h* for the mean of three domains, over uniform",
            "optimized mixtures consistently beat the others",
            gain(results, "best-mean"),
            "Uniform weights are within .003 nats of the best predicted loss here.",
        ),
        Finding(
            "Section 5, NMM (Figure 1)",
            "the same, over weights proportional to size",
            "optimized mixtures consistently beat the others",
            gain(results, "best-mean", "proportional"),
        ),
    ]
