"""What came out of continual pre-training and of stages, beside Ye et al.'s claims."""

import json

import pandas as pd
from findings import Finding


def findings(results):
    """Critical ratio, errors of laws, the rule for stages, and gains of planned stages."""
    critical = pd.read_csv(results / "critical.csv")
    return [
        _longest(results, critical),
        _kept(results),
        _fitted(results),
        _rule(results),
        _planned(results),
    ]


def _longest(results, critical):
    last, before = critical.iloc[-1], critical.iloc[-2]
    interval = f" ({last['low']:.2f} to {last['high']:.2f} over refits)"
    return Finding(
        "Ye et al., continual pre-training",
        f"critical ratio of new data at {last['tokens']:,.0f} tokens, three times the fitted runs",
        "predicted from the ratios that were run, and confirmed",
        f"law {last['predicted']:.2f}{interval}; runs {last['measured']:.2f} ± {last['sem']:.2f}, "
        f"{last['seeds']} seeds; at {before['tokens']:,.0f} tokens law {before['predicted']:.2f}, "
        f"Ye's exponential {before['ye']:.2f}, runs {before['measured']:.2f} ± {before['sem']:.2f}",
        _why_longest(last),
    )


def _why_longest(last):
    off = last["predicted"] - last["measured"]
    if abs(off) <= 2 * last["sem"]:
        return ""
    side = "too much" if off > 0 else "too little"
    return f"The law allows {side}: three times the tokens of the fitted runs is extrapolation."


def _kept(results):
    rows = pd.read_csv(results / "long.csv")
    changes = ", ".join(
        f"{r['measured_change']:+.3f} ± {r['sem']:.3f} at ratio {r['ratio']:.2f} (predicted "
        f"{r['predicted_change']:+.3f})"
        for _, r in rows.iterrows()
    )
    return Finding(
        "Ye et al., continual pre-training",
        "old loss less that of the model started from, longer runs below, at and above the ratio",
        "does not rise up to the critical ratio",
        f"{changes}, nats",
    )


def _fitted(results):
    scores = pd.read_csv(results / "scores.csv")
    unseen = scores[(scores["table"] == "unseen_mixtures") & (scores["target"] == "mean")]
    errors = ", ".join(f"{r['law']} {r['mre']:.2f}%" for _, r in unseen.iterrows())
    ye = pd.read_csv(results / "ye.csv")["mre"]
    return Finding(
        "Ye et al., continual pre-training",
        "error of laws of continued tokens and mixture on unseen mixtures (old, new)",
        "one exponential in the ratio for every token count",
        f"{errors}; Ye's exponential, fitted anew for every token count, old loss on its own rows "
        f"{ye.min():.2f}% to {ye.max():.2f}%",
    )


def _rule(results):
    rules = pd.read_csv(results / "rules.csv")
    parts = []
    for target, rows in rules.groupby("target", sort=False):
        mre = rows.set_index("rule")["mre"]
        parts.append(
            f"{target}: recency {rows['recency'].iloc[0]:.1f}, error on schedules kept out "
            f"{mre['recency, other schedules']:.2f}%; mean weights {mre['mean weights']:.2f}%, "
            f"last weights {mre['last weights']:.2f}%, equal loss {mre['equal loss']:.2f}%"
        )
    return Finding(
        "Ye et al., schedule of mixtures",
        "loss after a change of mixture, by a law of constant mixtures and a memory of weights",
        "-",
        "; ".join(parts),
    )


def _planned(results):
    gains = pd.read_csv(results / "gains.csv").set_index("mixture")
    plan = json.loads((results / "plan.json").read_text(encoding="utf-8"))
    fixed, uniform = gains.loc["best-fixed"], gains.loc["uniform"]
    kept = gains.loc["planned"]
    clear = abs(fixed["measured_gain"]) > 2 * fixed["sem"]
    why = "" if clear else "No gain over the best fixed mixture is seen within the noise."
    if clear and fixed["measured_gain"] < 0:
        why = "The planned stages are worse: the memory of the rule does not hold for them."
    return Finding(
        "Ye et al., schedule of mixtures",
        "stages planned by the law, old loss kept, over the best fixed mixture and uniform",
        "a schedule that keeps the old domain and learns the new one",
        f"predicted {plan['gain']:.3f} nats over the best fixed mixture, measured "
        f"{fixed['measured_gain']:.3f} ± {fixed['sem']:.3f}; over uniform predicted "
        f"{uniform['predicted_gain']:.3f}, measured {uniform['measured_gain']:.3f} ± "
        f"{uniform['sem']:.3f}; old loss above the base's {kept['old_above_base']:+.3f} ± "
        f"{kept['old_sem']:.3f}",
        why,
    )
