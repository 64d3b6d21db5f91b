"""What came out of following h* over budgets, beside the paper's figures 6 and 10."""

import pathlib

import pandas as pd
from scipy.spatial.distance import jensenshannon

from experiments.summary import Finding

FAR = 20  # doublings of N after which schedules are compared


def findings(results: pathlib.Path) -> list[Finding]:
    """Trends within the data with intervals, and where schedules end."""
    trends = pd.read_csv(results / "multimodal-trends.csv")
    limits = pd.read_csv(results / "multimodal-limits.csv").set_index("schedule")
    apart = _apart(pd.read_csv(results / "multimodal-paths.csv"))
    return [
        Finding(
            "Figure 6",
            "optimal weight of interleaved data as D grows",
            "falls",
            _move(trends, "D grows in the data", "interleaved"),
            "here it is the captions, few and short, that give way as tokens grow",
        ),
        Finding(
            "Figure 6",
            "optimal weight of text as N grows",
            "rises",
            _move(trends, "N grows in the data", "text"),
            "no trend within sizes that differ 14-fold; far beyond them the law has it, see below",
        ),
        Finding(
            "Figure 6",
            "the same as N grows from the largest size to infinity",
            "rises",
            _move(trends, "N grows to infinity", "text"),
        ),
        Finding(
            "Figure 6",
            "the additive law's one optimum against the joint law's over all runs' budgets",
            "the average behavior",
            _average(results),
            "for text it is just below the joint law's range",
        ),
        Finding(
            "Figure 10",
            "Jensen-Shannon distance of h* under D ∝ √N from that under D ∝ N",
            "little difference",
            f"{apart['sqrt']:.3f} after {FAR} doublings of N; in the limit the same",
        ),
        Finding(
            "Figure 10",
            "the same under D ∝ log N",
            "another accumulation point",
            f"{apart['log']:.3f}; in the exact limit the same, "
            f"but {limits['way_left']['log']:.3f} away",
            "growth by the logarithm does not come near the limit that it has",
        ),
        Finding(
            "Figure 10",
            "distance of the limits with N constant, and with D constant, from that of D ∝ N",
            "other accumulation points",
            f"{limits['to_linear_limit']['fixed-n']:.3f} and "
            f"{limits['to_linear_limit']['fixed-d']:.3f}",
        ),
    ]


def _apart(paths: pd.DataFrame) -> dict[str, float]:
    """Jensen-Shannon distance of every schedule's mixture from that of D ∝ N, equally far along."""
    weights = [c for c in paths if c.startswith("h_")]
    at = {kind: rows[weights].iloc[FAR] for kind, rows in paths.groupby("schedule")}
    return {kind: float(jensenshannon(at["linear"], h)) for kind, h in at.items()}


def _move(trends: pd.DataFrame, move: str, domain: str) -> str:
    row = trends[(trends["move"] == move) & (trends["domain"] == domain)].iloc[0]
    return (
        f"{row['from']:.3f} to {row['to']:.3f}: {row['change']:+.3f}, 90% interval "
        f"{row['low']:+.3f} to {row['high']:+.3f}; "
        f"so in {row['agreeing']:.0%} of {row['refits']:.0f} refits"
    )


def _average(results: pathlib.Path) -> str:
    constant = pd.read_csv(results / "multimodal-limits.csv").set_index("schedule").loc["additive"]
    grid = pd.read_csv(results / "multimodal-grid.csv")
    domains = [c for c in grid if c.startswith("h_")]
    few, most = grid["tokens"].min(), grid["tokens"].min() * 7.3
    sizes = sorted(grid["n_params"].unique())[:2]
    seen = grid[grid["n_params"].isin(sizes) & grid["tokens"].between(few, most)]
    parts = [
        f"{d[2:]} {constant[d]:.2f} ({seen[d].min():.2f} to {seen[d].max():.2f})" for d in domains
    ]
    return ", ".join(parts)
