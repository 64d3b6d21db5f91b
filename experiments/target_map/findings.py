"""What came out of single targets and of the map w to h*(w), beside figures 7 to 9."""

import pathlib

import pandas as pd

from experiments.summary import Finding

# Of the studies whose results are not the paper's.
WHY = {
    "vision": "at the largest weights every domain repeats, and no mixture with most of one was "
    "best when measured; the law's lowest points lie beyond the runs",
    "text": "for multilingual the joint law's lowest point is a step at a weight of 0, far beyond "
    "the runs; the mixture with most of each domain was best when measured",
    "redpajama": "the losses are those of the Pile's sources, and most weights that were run are "
    "below .25: the law extrapolates",
}


def findings(results: pathlib.Path) -> list[Finding]:
    """Own weights of single targets by study, fixed points, and distances."""
    corners = pd.read_csv(results / "corners.csv")
    maps = pd.read_csv(results / "maps.csv").set_index("study")
    places = pd.read_csv(results / "fixed-points.csv")
    own = corners[(corners["own"] == 1) & (corners["law"] == "joint")]
    found = [
        Finding(
            "Figure 7",
            f"{study}: optimal weight of a domain that is the only target",
            "near 1",
            _own(rows),
            WHY.get(str(study), ""),
        )
        for study, rows in own.groupby("study", sort=False)
    ]
    for study, row in maps.iterrows():
        found.append(
            Finding(
                "Figure 8",
                f"{study}: Jensen-Shannon distance of w and h*(w), w below .95 in every domain",
                "h*(w) differs from w",
                f"median {row['median_distance']:.3f}, least {row['least_inside']:.3f}, at corners "
                f"at most {row['at_corners']:.3f}; {row['targets']:.0f} targets",
            )
        )
        own_places = places[places["study"] == study]
        fixed = own_places[own_places["fixed"] == 1]
        found.append(
            Finding(
                "Figure 9",
                f"{study}: fixed points w = h*(w) between the corners",
                "none",
                f"{len(fixed)}{_where(fixed)}",
                _why(fixed),
            )
        )
    return found


def _own(rows: pd.DataFrame) -> str:
    high = int((rows["weight"] > 0.9).sum())
    edge = int((rows["weight_as_run"] > rows["most_as_run"] - 0.01).sum())
    run_best = int((rows["run_best"] == rows["run_most"]).sum())
    return (
        f"above .9 for {high} of {len(rows)}, median {rows['weight'].median():.2f}, least "
        f"{rows['weight'].min():.2f} ({rows.loc[rows['weight'].idxmin(), 'target']}); between the "
        f"weights that were run, at the largest for {edge}; of the mixtures that were run, one "
        f"with most of the domain was best for {run_best}"
    )


def _where(fixed: pd.DataFrame) -> str:
    columns = [c for c in fixed if c.startswith("w_")]
    places = [
        ", ".join(str(row[c]) for c in columns if pd.notna(row[c])) for _, row in fixed.iterrows()
    ]
    return "".join(f"; at {place}" for place in places)


def _why(fixed: pd.DataFrame) -> str:
    if fixed.empty:
        return ""
    return "a search between grid points finds what a grid cannot show"
