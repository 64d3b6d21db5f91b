"""Stages that the law plans, trained beside the best constant mixture by the same law."""

import numpy as np

from experiments.continual import continual_plots, continued_laws, measured, staged_rules
from experiments.continual.config import NEW, Continual, ratio
from experiments.continual.stage_plans import plan_stages
from experiments.harness import Setting, write_csv
from experiments.stages import trained
from jaxmix.studies import Stage
from jaxmix.training import write_json

GOAL = {"old": 0.5, NEW: 0.5}  # weights of the targets
SHARES = (1 / 3, 1 / 3, 1 / 3)  # of the tokens, by stage


def staged(asked: Continual, setting: Setting, start, tables, laws):
    """Tries rules on staged runs, plans stages by two of them, and trains them."""
    total, out = float(tables["staged"].tokens.max()), setting.out
    rules, recency, rows = staged_rules.compared(laws, tables["staged"], total)
    write_csv(out / "rules.csv", rules)
    n = float(tables["short"].n_params[0])
    base = continued_laws.with_old([tables["short"].frame])
    limit = {"old": continued_laws.base_of(base, "old")}
    given = {"target_weights": GOAL, "limits": limit}
    plans = {
        rule: plan_stages(laws, n, total, SHARES, memory, **given)
        for rule, memory in (("equal loss", None), ("recency", recency))
    }
    fixed = plans["recency"].fixed
    domains = plans["recency"].domains
    mixtures = {
        "best-fixed": clean(dict(zip(domains, fixed.tolist(), strict=True))),
        "uniform": ratio(0.25),
    }
    stages = {name(rule): made(plan) for rule, plan in plans.items()}
    proof = trained(asked.proof(start, mixtures, stages), setting.work / "proof")
    write_json(out / "plan.json", {"limit": limit, "recency": recency, **described(plans)})
    write_csv(out / "gains.csv", gains(plans, proof, predicted_fixed(laws, n, total, domains)))
    continual_plots.stages(laws, rows, recency, plans, out)
    return proof


def name(rule):
    """Of the staged mixture that a rule plans."""
    return f"planned by {rule}".replace(" ", "-")


def made(plan):
    return tuple(Stage(share, clean(weights)) for share, weights in plan.stages)


def clean(weights):
    """Weights rounded to thousandths, with sum 1."""
    rounded = {d: round(h, 3) for d, h in weights.items()}
    most = max(rounded, key=rounded.__getitem__)
    return {**rounded, most: round(rounded[most] + 1 - sum(rounded.values()), 3)}


def described(plans):
    """Plans as JSON has them, by rule; the best constant mixture is the same for all."""
    return {
        rule: {
            "stages": [{"share": share, "weights": weights} for share, weights in plan.stages],
            "predicted": plan.predicted,
            "objective": plan.objective,
            "fixed": dict(zip(plan.domains, plan.fixed.tolist(), strict=True)),
            "fixed_predicted": plan.fixed_predicted,
            "fixed_objective": plan.fixed_objective,
            "gain": plan.gain,
        }
        for rule, plan in plans.items()
    }


def predicted_fixed(laws, n, total, domains):
    """The goal that the laws predict for uniform weights."""
    even = np.full(len(domains), 1 / len(domains))
    return float(
        sum(
            GOAL[law.target] * law.predict(dict(n_params=n, tokens=total, weights=even))
            for law in laws
        )
    )


def gains(plans, proof, uniform):
    """Loss at the end of every mixture, and what the best constant one loses to it, by seed."""
    losses, old = measured.final_goals(proof, GOAL)
    seeds = sorted({seed for _, seed in losses})
    constant = plans["recency"].fixed_objective
    predicted = {"best-fixed": constant, "uniform": uniform}
    predicted |= {name(rule): plan.objective for rule, plan in plans.items()}
    for mixture, loss in predicted.items():
        gain, error = measured.mean_and_error(
            [losses["best-fixed", s] - losses[mixture, s] for s in seeds]
        )
        above, above_error = measured.mean_and_error([old[mixture, s] for s in seeds])
        yield {
            "mixture": mixture,
            "predicted_loss": loss,
            "measured_loss": measured.mean_and_error([losses[mixture, s] for s in seeds])[0],
            "predicted_gain_over_fixed": constant - loss,
            "measured_gain_over_fixed": gain,
            "sem": error,
            "seeds": len(seeds),
            "old_above_base": above,
            "old_sem": above_error,
        }
