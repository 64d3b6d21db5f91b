"""Simulated studies whose truths no law of jaxmix can follow.

A truth gives the losses of m targets at any size, tokens and mixture of k domains: a floor, a term
of the size and one of the tokens, and a part that depends on the mixture, of one of four kinds.

- ``skills``: domains teach shared skills, every target needs its own blend of them, and each skill
  saturates at its own amount of data, sooner in larger models.
- ``repetition``: domains have finite stocks. Tokens that are seen again are worth less and less,
  and past some epochs they harm the targets that need them.
- ``interactions``: pairs of domains help or hurt each other.
- ``tasks``: as skills, but targets are no domains, need few skills each, and one domain teaches
  hardly anything.

The part of the mixture is scaled so that the best mixture gains .01 to .1 nats over the uniform one
at the big budget. A study is the table that a user would have: mixtures of one of three designs, at
four sizes and three token counts, with noise of which half is shared along a trajectory, and a big
budget at ten times the largest size and tokens.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd

Kind = Literal["skills", "repetition", "interactions", "tasks"]
Design = Literal["spread", "narrow", "few"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DESIGNS: tuple[Design, ...] = get_args(Design)

SIZES, TOKENS = (1e7, 3e7, 9e7, 2.7e8), (2e9, 6e9, 2e10)
BIG_SIZE, BIG_TOKENS = 10 * SIZES[-1], 10 * TOKENS[-1]
NOISES = (0.002, 0.003, 0.004, 0.005)  # relative
_SMALL = np.array(SIZES[0]), np.array(TOKENS[0])
_MIDDLE = 1e8  # the size at which scales are given


@dataclass(frozen=True, eq=False, kw_only=True)
class Truth:
    """Losses of m targets over k domains and s skills; ``loss`` evaluates them.

    Attributes:
        kind: which of the four.
        floor: [m] nats.
        size: [m, 2] coefficient at the middle size, and exponent.
        length: [m, 2] coefficient at 1e10 tokens, and exponent.
        teaches: [s, k] how much a token of each domain teaches each skill.
        needs: [m, s] nats that a skill is worth to a target.
        scale: [s] tokens after which a skill starts to saturate, at the middle size.
        power: [s] exponent of that.
        drift: [s] how fast the scale falls with the size.
        stock: [k] tokens of each domain that exist; infinite if none runs out.
        harm: [m, k] nats per e-fold of epochs past the second.
        pairs: [m, k, k] nats of the product of two weights.
        amplitude: factor of all that depends on the mixture.
    """

    kind: Kind
    floor: np.ndarray
    size: np.ndarray
    length: np.ndarray
    teaches: np.ndarray
    needs: np.ndarray
    scale: np.ndarray
    power: np.ndarray
    drift: np.ndarray
    stock: np.ndarray
    harm: np.ndarray
    pairs: np.ndarray
    amplitude: float = 1.0

    def loss(self, n, d, h) -> np.ndarray:
        """Nats [..., m] at sizes n [...], tokens d [...] and mixtures h [..., k]."""
        n, d, h = (np.asarray(x, float) for x in (n, d, h))
        plain = self.floor + self.size[:, 0] * (n[..., None] / _MIDDLE) ** -self.size[:, 1]
        plain = plain + self.length[:, 0] * (d[..., None] / 1e10) ** -self.length[:, 1]
        return plain + self.amplitude * self.mixture_part(n, d, h)

    def mixture_part(self, n, d, h) -> np.ndarray:
        """What depends on the mixture, before the amplitude; nats [..., m]."""
        fresh, epochs = self._seen(h * d[..., None])
        scale = self.scale * (n[..., None] / _MIDDLE) ** -self.drift
        lacking = (1 + fresh @ self.teaches.T / scale) ** -self.power
        harm = np.log(np.maximum(epochs, 2.0) / 2.0) @ self.harm.T
        pairs = np.einsum("...i,mij,...j->...m", h, self.pairs, h)
        pairs = pairs * (d[..., None] / 1e10) ** -0.3
        return lacking @ self.needs.T + harm + pairs

    def _seen(self, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens in units of fresh ones, and epochs, of tokens seen [..., k]."""
        epochs = seen / self.stock
        repeats = np.maximum(epochs - 1, 0.0)
        decayed = (
            np.where(np.isfinite(self.stock), self.stock, 0.0) * 5 * (1 - np.exp(-repeats / 5))
        )
        return np.minimum(seen, self.stock) + decayed, epochs

    def big(self, h) -> np.ndarray:
        """Mean loss [...] over the targets at the big budget, of mixtures h [..., k]."""
        return self.loss(BIG_SIZE, BIG_TOKENS, h).mean(-1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Study:
    """A truth, the run table that a user has of it, and the best mixture of the big budget."""

    kind: Kind
    design: Design
    k: int
    seed: int
    noise: float
    truth: Truth
    base: np.ndarray
    frame: pd.DataFrame
    best: np.ndarray
    n_params: float = BIG_SIZE
    tokens: float = BIG_TOKENS

    @property
    def name(self) -> str:
        """Names the study, and what is stored of it."""
        return f"{self.kind}-{self.design}-k{self.k}-s{self.seed}"

    @property
    def domains(self) -> list[str]:
        """Bare names."""
        return [f"d{i}" for i in range(self.k)]

    @property
    def uniform(self) -> np.ndarray:
        """[k]."""
        return np.full(self.k, 1 / self.k)

    @property
    def attainable(self) -> float:
        """What the best mixture gains over the uniform one, nats."""
        return float(self.regret(self.uniform))

    def regret(self, h) -> np.ndarray:
        """By how much mixtures h [..., k] are worse than the best one, nats [...]."""
        return self.truth.big(h) - self.truth.big(self.best)

    def gain(self, h, over) -> float:
        """What a mixture h [k] gains over another one, nats."""
        return float(self.truth.big(over) - self.truth.big(h))

    @property
    def best_measured(self) -> np.ndarray:
        """Mixture [k] of the lowest mean loss at the largest size and tokens of the table."""
        last = self.frame[
            (self.frame["n_params"] == SIZES[-1]) & (self.frame["tokens"] == TOKENS[-1])
        ]
        found = last.filter(regex="^loss_").mean(axis=1).idxmin()
        return last.filter(regex="^w_").loc[found].to_numpy(float)


def make_study(kind: Kind, design: Design, k: int, seed: int) -> Study:
    """One study; the same arguments give the same one."""
    numbers = (KINDS.index(kind), DESIGNS.index(design), k, seed)
    rng = np.random.default_rng(numbers)
    truth, best = draw_scaled(kind, k, rng)
    base = draw_base(truth, best, rng)
    noise = float(rng.choice(NOISES))
    mixtures = draw_mixtures(design, base, rng)
    return Study(
        kind=kind,
        design=design,
        k=k,
        seed=seed,
        noise=noise,
        truth=truth,
        base=base,
        frame=simulate(truth, mixtures, noise, rng),
        best=best,
    )


def draw_truth(kind: Kind, k: int, rng: np.random.Generator) -> Truth:
    """A random truth of one kind over k domains, as many targets, amplitude 1."""
    skills = {"skills": k + 3, "tasks": k + 1}.get(kind, k)
    shared = kind in ("skills", "tasks")
    m, s = k, skills
    teaches = np.eye(s, k) + (_sparse(rng, (s, k), 0.5) if shared else 0.05 * rng.random((s, k)))
    teaches += 0.07  # a little of everything
    needs = rng.dirichlet(np.full(s, 0.5), m) if kind == "tasks" else _own(rng, m, s)
    if shared:
        teaches[np.arange(k, s), rng.integers(k - 1, size=s - k)] = 0.5  # none is left untaught
    if kind == "tasks":
        teaches[:, -1] *= 0.05
        needs[:, k - 1] = 0.0
    pairs, harm, stock = np.zeros((m, k, k)), np.zeros((m, k)), np.full(k, np.inf)
    if kind == "interactions":
        pairs = 0.12 * np.triu(rng.standard_normal((m, k, k)), 1)
    if kind == "repetition":
        stock = np.exp(rng.uniform(np.log(3e10), np.log(5e11), k))
        harm = 0.12 * needs * rng.random(k)
    return Truth(
        kind=kind,
        floor=rng.uniform(1.2, 2.2, m),
        size=np.stack([rng.uniform(0.3, 0.8, m), rng.uniform(0.25, 0.4, m)], 1),
        length=np.stack([rng.uniform(0.1, 0.4, m), rng.uniform(0.25, 0.4, m)], 1),
        teaches=teaches,
        needs=needs,
        scale=np.exp(rng.uniform(np.log(5e8), np.log(5e9), s)),
        power=rng.uniform(0.3, 0.5, s),
        drift=rng.uniform(0.0, 0.1, s),
        stock=stock,
        harm=harm,
        pairs=pairs,
    )


def _sparse(rng: np.random.Generator, shape: tuple[int, int], share: float) -> np.ndarray:
    return (rng.random(shape) < share) * rng.uniform(0.1, 0.8, shape)


def _own(rng: np.random.Generator, m: int, s: int) -> np.ndarray:
    """Needs [m, s] of targets that are domains: mostly their own skill, of different weight."""
    other = rng.dirichlet(np.full(s, 0.5), m)
    return rng.lognormal(-0.5, 0.9, (m, 1)) * (0.6 * np.eye(m, s) + 0.4 * other)


def draw_scaled(kind: Kind, k: int, rng: np.random.Generator) -> tuple[Truth, np.ndarray]:
    """A truth of the amplitude that makes the attainable gain realistic, and its best mixture.

    Truths under which the uniform mixture is about the best would need too large an amplitude for
    losses of a few nats; others are drawn instead.
    """
    while True:
        gain = float(np.clip(rng.lognormal(np.log(0.035), 0.4), 0.01, 0.1))
        truth = draw_truth(kind, k, rng)
        best = lowest(truth.big, k)
        amplitude = gain / float(truth.big(np.full(k, 1 / k)) - truth.big(best))
        made = replace(truth, amplitude=amplitude)
        part = amplitude * truth.mixture_part(*_SMALL, np.full(k, 1 / k))
        if amplitude < 4 and part.max() < 3:
            return made, best


def lowest(value: Callable[[np.ndarray], np.ndarray], k: int) -> np.ndarray:
    """The mixture [k] of the lowest value: many random ones, then a search from the best five.

    The search moves weight from one domain to another, by steps that halve once none helps; such
    moves generate all directions that a simplex allows, on its faces too.
    """
    rng = np.random.default_rng(0)
    points = np.concatenate([np.eye(k), *(rng.dirichlet(np.full(k, a), 500) for a in (0.3, 1.0))])
    starts = points[np.argsort(value(points))[:5]]
    found = [_descend(value, h) for h in starts]
    return found[int(np.argmin([value(h) for h in found]))]


def _descend(value: Callable[[np.ndarray], np.ndarray], h: np.ndarray) -> np.ndarray:
    moves = (np.eye(len(h))[:, None] - np.eye(len(h))[None]).reshape(-1, len(h))
    step, at = 0.1, value(h)
    while step > 1e-6:
        # A step that would leave the simplex stops at its border.
        room = np.where(moves < 0, h, np.inf).min(1, keepdims=True)
        near = h + np.minimum(step, room) * moves
        values = value(near)
        i = int(np.argmin(values))
        if values[i] < at - 1e-12:
            h, at = near[i], values[i]
        else:
            step /= 2
    return h


def draw_base(truth: Truth, best: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mixture [k] that is not uniform, about as good as the uniform one, and not the best."""
    k = len(best)
    drawn = 0.97 * rng.dirichlet(np.full(k, 3.0), 30) + 0.03 / k
    regret = truth.big(drawn) - truth.big(best)
    plain = truth.big(np.full(k, 1 / k)) - truth.big(best)
    return drawn[int(np.argmin(np.abs(regret - 1.4 * plain)))]


def draw_mixtures(design: Design, base: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The mixtures [q, k] that were run: all over the simplex, or near a base, or few."""
    if design == "spread":
        return rng.dirichlet(np.ones(len(base)), 20)
    if design == "narrow":
        return np.concatenate([base[None], rng.dirichlet(30 * base, 19)])
    return np.concatenate([base[None], rng.dirichlet(8 * base, 9)])


def simulate(
    truth: Truth, mixtures: np.ndarray, noise: float, rng: np.random.Generator
) -> pd.DataFrame:
    """A run table of every mixture at every size, three checkpoints each.

    Half of the variance of the relative noise belongs to the run and half to the checkpoint.
    """
    q, grid = len(mixtures), list(_grid(len(mixtures)))
    n, d = (np.array([row[i] for row in grid], float) for i in (1, 2))
    h = mixtures[[row[3] for row in grid]]
    losses = truth.loss(n, d, h)
    m, runs = losses.shape[1], np.array([row[0] for row in grid])
    of_run = rng.standard_normal((q * len(SIZES), m))[runs]
    losses = losses * np.exp(noise * (of_run + rng.standard_normal(losses.shape)) / np.sqrt(2))
    names = [f"t{i}" if truth.kind == "tasks" else f"d{i}" for i in range(m)]
    frame = pd.DataFrame({"run": [f"r{i}" for i in runs], "n_params": n, "tokens": d})
    frame[[f"w_d{i}" for i in range(mixtures.shape[1])]] = h
    frame[[f"loss_{name}" for name in names]] = losses
    return frame


def _grid(mixtures: int) -> Iterator[tuple[int, float, float, int]]:
    """Run, size, tokens and mixture of every row."""
    for i in range(mixtures):
        for j, n in enumerate(SIZES):
            for d in TOKENS:
                yield i * len(SIZES) + j, n, d, i
