"""What the text study has beside the paper's section 5."""

from experiments.reading import gain
from experiments.summary import Finding


def findings(results):
    """Gains over uniform weights at the larger size."""
    return [
        Finding(
            "Section 5, LLM (Figure 4)",
            "h* for the mean of seven domains, over uniform",
            "h*_avg is best on the training domains",
            gain(results, "best-mean"),
            "Seven equally hard domains: h* is near uniform, and the gain is within the noise.",
        ),
        Finding(
            "Section 5, LLM (Figure 4)",
            "h* for a text that is not trained on, over uniform",
            "h*_OH is best on OpenHermes",
            gain(results, "best-scripture"),
        ),
    ]
