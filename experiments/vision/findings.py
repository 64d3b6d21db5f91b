"""What the vision study has beside the paper's section 5."""

from experiments.reading import gain, row
from experiments.summary import Finding


def findings(results):
    """Gains over uniform weights at the larger size, and the probe."""
    probes = {
        name: row(results / "probe.csv", task="digit", features=f"{name} encoder")["accuracy"]
        for name in ("trained", "untrained")
    }
    return [
        Finding(
            "Section 5, LVM",
            "h* for the mean of four domains, over uniform",
            "the optimum beats uniform weights at 1B",
            gain(results, "best-mean"),
            "The law knows repetition and harm; plain laws promise more.",
        ),
        Finding(
            "AIMv2",
            "linear probe on digits, trained and untrained encoder",
            "features serve recognition",
            f"{probes['trained']}% and {probes['untrained']}% right",
            "The encoder has 100,000 parameters; raw pixels do better.",
        ),
    ]
