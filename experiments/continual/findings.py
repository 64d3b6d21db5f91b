"""What came out of continual pre-training and of stages, beside Ye et al.'s claims."""

import json

import pandas as pd

from experiments.summary import Finding

CONTINUAL, STAGES = "Ye et al., continual pre-training", "Ye et al., schedule of mixtures"


def findings(results):
    """Critical ratio, errors of laws, the rules for stages, and gains of planned stages."""
    return [_within(results), _beyond(results), _kept(results), _rules(results), _planned(results)]


def _within(results):
    row = pd.read_csv(results / "critical.csv").iloc[-2]
    ye = pd.read_csv(results / "ye.csv")["mre"]
    return Finding(
        CONTINUAL,
        f"critical ratio of new data after {row['tokens']:,.0f} tokens, within the fitted runs",
        "predicted from the ratios that were run",
        f"law {_ratio(row['predicted'])} ({row['low']:.2f} to {row['high']:.2f} over refits), runs "
        f"{row['measured']:.2f} ± {row['sem']:.2f}; Ye's exponential {_ratio(row['ye'])}, with an "
        f"error of {ye.min():.2f}% to {ye.max():.2f}% on its own rows",
        "The exponential is above the base at every ratio, though runs near ratio 0 are below it."
        if pd.isna(row["ye"])
        else "",
    )


def _beyond(results):
    row = pd.read_csv(results / "critical.csv").iloc[-1]
    scores = pd.read_csv(results / "scores.csv")
    unseen = scores[(scores["table"] == "unseen_mixtures") & (scores["target"] == "mean")]
    laws = unseen.set_index("law")["mre"]
    chosen = json.loads((results / "base.json").read_text(encoding="utf-8"))["law"]
    others = ", ".join(f"{law} {_ratio(row[law])}" for law in laws.index if law != chosen)
    off = row["predicted"] - row["measured"]
    side = "little" if off < 0 else "much"
    return Finding(
        CONTINUAL,
        f"the same after {row['tokens']:,.0f} tokens, three times the fitted runs",
        "holds for longer training",
        f"{chosen} {_ratio(row['predicted'])} (chosen by {laws[chosen]:.2f}% on unseen mixtures), "
        f"{others}; runs {row['measured']:.2f} ± {row['sem']:.2f}, {row['seeds']:.0f} seeds",
        f"Every law allows too {side}: checkpoints of short runs do not show how the loss goes on."
        if abs(off) > 2 * row["sem"]
        else "",
    )


def _kept(results):
    rows = pd.read_csv(results / "long.csv")
    changes = ", ".join(
        f"{r['measured_change']:+.3f} ± {r['sem']:.3f} at {r['ratio']:.2f} (predicted "
        f"{r['predicted_change']:+.3f})"
        for _, r in rows.iterrows()
    )
    return Finding(
        CONTINUAL,
        "old loss less that of the model started from, longer runs, by ratio of new data",
        "does not rise up to the critical ratio",
        f"{changes}; nats",
    )


def _rules(results):
    rules = pd.read_csv(results / "rules.csv")
    parts = []
    for target, rows in rules.groupby("target", sort=False):
        mre = rows.set_index("rule")["mre"]
        parts.append(
            f"{target}: equal loss {mre['equal loss']:.1f}%, memory on schedules kept "
            f"out {mre['recency, other schedules']:.1f}%, mean weights {mre['mean weights']:.1f}%, "
            f"last ones {mre['last weights']:.1f}%; no change {mre['constant mixtures']:.1f}%"
        )
    return Finding(
        STAGES,
        "error of rules for the loss after a change of mixture, from a law of constant mixtures",
        "-",
        "; ".join(parts),
        "No rule is as good as the law itself: forgetting and recovery have time scales of their "
        "own.",
    )


def _planned(results):
    gains = pd.read_csv(results / "gains.csv").set_index("mixture")
    parts = [
        f"{name}: predicted {r['predicted_gain_over_fixed']:.3f}, measured "
        f"{r['measured_gain_over_fixed']:.3f} ± {r['sem']:.3f}, old loss "
        f"{r['old_above_base']:+.3f} ± {r['old_sem']:.3f} from the base's"
        for name, r in gains.iterrows()
        if name != "best-fixed"
    ]
    broken = [
        name
        for name, r in gains.iterrows()
        if str(name).startswith("planned") and r["old_above_base"] > 2 * r["old_sem"]
    ]
    return Finding(
        STAGES,
        "gain over the best fixed mixture that keeps the old loss, by plan",
        "a schedule keeps the old domains and learns the new one",
        "; ".join(parts),
        f"{len(broken)} of the 2 planned schedules break the limit on the old loss, which their "
        "rule took for kept."
        if broken
        else "",
    )


def _ratio(value):
    return "none" if pd.isna(value) else f"{value:.2f}"
