"""What the repetition study has beside the papers on repeated data."""

from experiments.reading import row, rows
from experiments.summary import Finding


def findings(results):
    """Harm, what matched pools are worth, errors with and without the new terms, and the proof."""
    return [_harm(results), _proxies(results), _errors(results), _proof(results)]


def _harm(results):
    found = [r for r in rows(results / "harm.csv") if r["epochs_at_end"] == "32"]
    told = "; ".join(
        f"{r['preset']} +{float(r['rise']):.2f} ± {float(r['sem']):.2f} from "
        f"{float(r['epochs_at_least']):.0f} to 32 epochs"
        for r in found
    )
    return Finding(
        "Muennighoff 2023",
        "held-out loss of a scarce domain as its epochs grow, three seeds",
        "repeated tokens lose their worth; models that overfit are left out of the fits",
        told,
        "Small stocks (5,120 tokens) are learned by heart, and sooner by larger models.",
    )


def _proxies(results):
    told = []
    for kind in ("matched pools", "whole stock"):
        own = rows(results / "proxies.csv", proxies=kind)
        weights = " and ".join(r["proposed_weight"] for r in own)
        losses = " and ".join(f"{float(r['large_run_loss']):.2f}" for r in own)
        told.append(f"{kind}: weight {weights}, where the large run has {losses} nats")
    best = row(results / "proxies.csv", proxies="matched pools", preset="tiny-64")
    return Finding(
        "`--match-epochs`",
        "the scarce domain's best weight by proxies of a quarter of the tokens (two sizes)",
        "",
        f"{'; '.join(told)}; its best: {best['large_run_best_weight']}, "
        f"{float(best['large_run_least_loss']):.2f}",
    )


def _errors(results):
    told = []
    for ending in ("", "+repetition", "+repetition+harm"):
        one = row(results / "scores.csv", law=f"effective{ending}")
        often = float(one["music_larger_size_repeated"])
        told.append(f"{one['law']} {float(one['music_larger_size']):.1f}% ({often:.1f}%)")
    return Finding(
        "Muennighoff 2023",
        "error of the scarce domain at the larger size (and beyond four epochs)",
        "effective data predict repeated data better than plain tokens",
        "; ".join(told),
    )


def _proof(results):
    told = []
    for kind in ("plain", "harm"):
        one = row(results / "gains.csv", mixture=f"music-{kind}", baseline="uniform")
        told.append(
            f"{one['law']}: weight {float(one['weight']):.2f}, promised "
            f"{float(one[f'{kind}_gain']):+.2f}, measured {float(one['measured_gain']):+.3f} ± "
            f"{float(one['sem']):.3f}"
        )
    return Finding(
        "Section 5",
        "the scarce domain's best mixture at the larger size, over uniform weights, four seeds",
        "the optimum beats uniform weights",
        "; ".join(told),
        "A law that does not count epochs repeats a stock until it harms.",
    )
