"""A study whose entropies are known: mixtures of Markov chains, and bigram counts as the model.

The model's loss is computed exactly, and so are what laws are asked for: the entropy rate H of a
target, and the divergence KL(p || q(h)) that training on h leaves however long it lasts. Bigram
counts know everything about a chain after infinitely many tokens, so there is no term in N.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jaxmix.mixtures import dirichlet_design, uniform, vertices
from jaxmix.runs import RunTable, read_runs

SYMBOLS = 32
SMOOTHING = 0.05  # added to every count
NAMES = ("first", "second", "third")


@dataclass(frozen=True, eq=False)
class Sources:
    """k Markov chains over the same symbols.

    Attributes:
        pairs: [k, s, s] probability of every pair of neighbors, by chain.
        targets: [s, s] the same of the texts whose losses are measured, by name.
    """

    pairs: np.ndarray
    targets: Mapping[str, np.ndarray]


def make_sources(seed: int = 0) -> Sources:
    """Three chains that share some of their transitions; targets are two of them and a blend."""
    rng = np.random.default_rng(seed)
    shared = rng.dirichlet(np.full(SYMBOLS, 0.3), SYMBOLS)
    chains = []
    for _ in NAMES:
        own = rng.dirichlet(np.full(SYMBOLS, 0.3), SYMBOLS)
        chains.append(_pairs(0.5 * own + 0.5 * shared))
    pairs = np.stack(chains)
    blend = 0.7 * pairs[0] + 0.3 * pairs[1]
    return Sources(pairs, {"first": pairs[0], "second": pairs[1], "blend": blend})


def _pairs(transitions: np.ndarray) -> np.ndarray:
    """Probabilities of pairs under the stationary distribution of transitions [s, s]."""
    state = np.full(len(transitions), 1 / len(transitions))
    for _ in range(1000):
        state = state @ transitions
    return state[:, None] * transitions


def next_symbol(pairs: np.ndarray) -> np.ndarray:
    """Conditional probabilities [s, s] from those of pairs."""
    return pairs / pairs.sum(1, keepdims=True)


def cross_entropy(target: np.ndarray, model: np.ndarray) -> float:
    """Nats per symbol of pairs [s, s] under a model's conditional probabilities [s, s]."""
    return float(-np.sum(target * np.log(model)))


def entropy(target: np.ndarray) -> float:
    """Nats per symbol that no bigram model can be below; of a chain its entropy rate."""
    return cross_entropy(target, next_symbol(target))


def divergence(sources: Sources, target: str, weights: np.ndarray) -> float:
    """KL(p || q(h)) of a model that has seen infinitely many pairs of the mixture h."""
    model = next_symbol(np.tensordot(weights, sources.pairs, 1))
    return cross_entropy(sources.targets[target], model) - entropy(sources.targets[target])


def make_runs(sources: Sources, tokens: np.ndarray, random: int, seed: int = 0) -> RunTable:
    """Trains on the uniform mixture, on near-vertices and on random ones; exact losses."""
    k, rng = len(sources.pairs), np.random.default_rng(seed)
    near = 0.94 * vertices(k) + 0.02
    mixtures = np.concatenate(
        [uniform(k), near, dirichlet_design(k, random, seed=seed, minimum=0.02)]
    )
    rows = []
    for i, weights in enumerate(mixtures):
        seen, before = np.zeros_like(sources.pairs[0]), 0
        for count in tokens:
            seen = seen + _drawn(rng, sources.pairs, weights, int(count - before))
            before = count
            model = next_symbol(seen + SMOOTHING)
            rows.append((f"run{i}", float(count), weights, model))
    columns = {"run": [r[0] for r in rows], "n_params": [1e6] * len(rows)}
    columns |= {"tokens": [r[1] for r in rows]}
    columns |= {f"w_{name}": [r[2][i] for r in rows] for i, name in enumerate(NAMES)}
    for name, target in sources.targets.items():
        columns[f"loss_{name}"] = [cross_entropy(target, r[3]) for r in rows]
    return read_runs(columns, source="<Markov sources>")


def _drawn(
    rng: np.random.Generator, pairs: np.ndarray, weights: np.ndarray, count: int
) -> np.ndarray:
    """How often each pair occurs among `count` draws from a mixture."""
    blend = np.tensordot(weights, pairs, 1)
    return rng.multinomial(count, blend.ravel() / blend.sum()).reshape(blend.shape)
