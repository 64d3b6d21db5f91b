"""Rules for the loss after a change of mixture, tried on measured staged runs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from experiments.continual.config import STAGED
from experiments.continual.continued_laws import TARGETS, mean_of_old
from experiments.continual.memory import Histories, equal_loss, fit_recency
from jaxmix.fitting import stack


def histories(table, schedules, total, domains):
    """Rows after the first change of some schedules, and the schedule of each."""
    frame = mean_of_old(table.frame)
    most = max(len(parts) for parts in STAGED.values())
    ends, weights, rows = [], [], []
    for row in frame.to_dict("records"):
        parts = STAGED[row["mixture"]]
        done = np.cumsum([p.share for p in parts]) * total
        if row["mixture"] not in schedules or row["tokens"] <= done[0] * (1 + 1e-9):
            continue
        padded = np.append(done, np.full(most - len(parts), total))
        ends.append(np.minimum(padded / row["tokens"], 1.0))
        stages = [[p.weights.get(d, 0.0) for d in domains] for p in parts]
        weights.append(stages + [stages[-1]] * (most - len(parts)))
        rows.append(row)
    losses = np.array([[row[f"loss_{t}"] for row in rows] for t in TARGETS])
    n, d = (np.array([row[name] for row in rows]) for name in ("n_params", "tokens"))
    return Histories(n, d, np.array(ends), np.array(weights), losses), [r["mixture"] for r in rows]


def some(rows, mask):
    """The rows of a mask."""
    kept = {f.name: getattr(rows, f.name) for f in dataclasses.fields(rows)}
    return Histories(**{n: v[:, mask] if n == "losses" else v[mask] for n, v in kept.items()})


def compared(laws, table, total):
    """Mean relative errors of every rule, by target; recencies are fitted on other schedules."""
    rows, names = histories(table, tuple(STAGED), total, laws[0].domains)
    found = {one.target: one for one in fit_recency(laws, rows)}
    held = {t: [] for t in TARGETS}
    for schedule in STAGED:
        out = np.array([name == schedule for name in names])
        for i, one in enumerate(fit_recency(laws, some(rows, ~out))):
            given = predicted(laws[i], some(rows, out), one.value)
            held[one.target] += list(np.abs(given / rows.losses[i][out] - 1))
    answers = []
    for i, law in enumerate(laws):
        one, by_loss = found[law.target], by_equal_loss(law, rows)
        errors = {
            "recency": one.mre,
            "recency, other schedules": 100 * float(np.mean(held[law.target])),
            "mean weights": one.average_mre,
            "last weights": one.last_mre,
            "equal loss": 100 * float(np.mean(np.abs(by_loss / rows.losses[i] - 1))),
            "constant mixtures": law.report.train_mre,
        }
        answers += [
            {"target": law.target, "rule": rule, "mre": mre, "recency": one.value}
            for rule, mre in errors.items()
        ]
    return answers, {t: one.value for t, one in found.items()}, rows


def predicted(law, rows, recency):
    """Losses [p] by the power-law memory."""
    shares = np.diff(rows.ends**recency, axis=1, prepend=0.0)
    effective = (shares[..., None] * rows.weights).sum(1)
    return law.predict(dict(n_params=rows.n_params, tokens=rows.tokens, weights=effective))


def by_equal_loss(law, rows):
    """Losses [p] by going on along the new mixture's curve from where it has the loss."""
    with jax.enable_x64(True):
        laws = stack([law])
        columns = (jnp.asarray(x) for x in (rows.n_params, rows.tokens, rows.ends, rows.weights))
        of_row = jax.jit(lambda n, d, ends, h: equal_loss(laws, n, d, ends, h)[0])
        return np.asarray(jax.lax.map(lambda row: of_row(*row), tuple(columns)))
