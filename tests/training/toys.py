"""What the tests of training share: a tiny model, a Markov source, fleets of both, and a script.

As a script it trains one of its fleets in a process of its own, which tests kill or run twice.
"""

import argparse
import dataclasses
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click
import jax
import jax.numpy as jnp
import numpy as np

VOCABULARY = 12
LENGTH = 16
BATCH = 8


@dataclasses.dataclass(frozen=True)
class Nats:
    sums: jax.Array
    counts: jax.Array
    parts: Mapping[str, jax.Array] = dataclasses.field(default_factory=dict)


jax.tree_util.register_dataclass(Nats, ["sums", "counts", "parts"], [])


@dataclasses.dataclass(frozen=True)
class Toy:
    """A bigram model: compiles in a moment. Token 0 pads and does not count."""

    vocabulary: int = VOCABULARY

    def init(self, key: jax.Array) -> Any:
        table = 0.1 * jax.random.normal(key, (self.vocabulary, self.vocabulary))
        return {"table": {"kernel": table}, "norm": {"gain": jnp.ones(self.vocabulary)}}

    def losses(self, params: Any, batch: Mapping[str, jax.Array]) -> Nats:
        tokens = batch["tokens"].astype(jnp.int32)
        logits = jax.nn.log_softmax(params["table"]["kernel"] * params["norm"]["gain"])
        nats = -logits[tokens[:, :-1], tokens[:, 1:]]
        counted = (tokens[:, 1:] > 0).astype(jnp.float32)
        return Nats((nats * counted).sum(1), counted.sum(1))


def transitions(vocabulary: int = VOCABULARY) -> np.ndarray:
    """Of the source: each row is a distribution over the tokens from 1 on."""
    table = np.random.default_rng(0).dirichlet(np.full(vocabulary - 1, 0.3), vocabulary)
    return np.concatenate([np.zeros((vocabulary, 1)), table], axis=1)


def entropy(vocabulary: int = VOCABULARY) -> float:
    """Of the source, in nats per token, once it has forgotten where it began."""
    table = transitions(vocabulary)
    share = np.linalg.matrix_power(table, 200)[0]
    logs = np.log(table, out=np.zeros_like(table), where=table > 0)
    return float(-(share @ (table * logs).sum(1)))


def records(seed: int, *shape: int, vocabulary: int = VOCABULARY, length: int = LENGTH):
    """Token records of the source, [*shape, length + 1]."""
    rng, ends = np.random.default_rng(seed), np.cumsum(transitions(vocabulary), axis=1)
    out = np.zeros((*shape, length + 1), np.uint16)
    out[..., 0] = rng.integers(1, vocabulary, shape)
    for t in range(length):
        drawn = (rng.random(shape)[..., None] > ends[out[..., t]]).sum(-1)
        out[..., t + 1] = np.minimum(drawn, vocabulary - 1)
    return out


def batches(
    members: int, batch: int = BATCH, host: tuple[int, int] = (0, 1), **source: int
) -> Callable[[int], Iterator[Mapping[str, np.ndarray]]]:
    """Batches that depend on the step alone; a process of several gets every n-th record."""

    def start(step: int) -> Iterator[Mapping[str, np.ndarray]]:
        while True:
            yield {"tokens": records(step, members, batch, **source)[:, host[0] :: host[1]]}
            step += 1

    return start


def feed(members: int, **options: Any):
    from jaxmix.training import Feed, HeldOut

    source = {k: v for k, v in options.items() if k in ("vocabulary", "length")}
    held = {
        name: HeldOut({"tokens": records(10**6 + i, 10, **source)}) for i, name in enumerate("ab")
    }
    return Feed(batches(members, **options), held)


def fleet(
    members: int = 3, record_at: tuple[int, ...] = (4, 8, 12), rates: Any = (), **optimizer: Any
):
    from jaxmix.training import Fleet, Member, OptimizerConfig

    rates = rates or [0.02 * (i + 1) for i in range(members)]
    config = OptimizerConfig(**{"steps": record_at[-1], "warmup_steps": 2} | optimizer)
    runs = tuple(Member(f"r{i}", 10 + i, rates[i], {"w_a": i / 4}) for i in range(members))
    return Fleet(runs, record_at, BATCH * LENGTH, config)


def transformer(**changes: Any):
    """A text model small enough to compile in seconds and large enough to be cut."""
    from jaxmix.models.model import text_model
    from jaxmix.models.text import TextConfig

    small = {"vocab_size": 64, "width": 64, "depth": 2, "heads": 2}
    return text_model(TextConfig(**small | changes))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--what", choices=["fleet", "single", "transformer"], default="fleet")
    parser.add_argument("--fsdp", type=int, default=1)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--stop", type=int, default=10**9)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--group", nargs=3)
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", options.devices)
    from jaxmix.cli.training import stoppable
    from jaxmix.training import initialize, train

    if options.group:
        address, count, index = options.group
        assert initialize(address, int(count), int(index))
    try:
        with stoppable(options.minutes) as saving:
            train(*work(options), saving=saving, **layout(options))
    except click.exceptions.Exit as stopped:
        sys.exit(stopped.exit_code)


def work(options: argparse.Namespace) -> tuple[Any, Any, Any, pathlib.Path]:
    if options.what in ("single", "transformer"):
        source = {"vocabulary": 64, "length": 8}
        model = transformer() if options.what == "transformer" else Toy(64)
        data = feed(1, host=(jax.process_index(), jax.process_count()), **source)
        data = slowly(data, options.slow, options.stop)
        return model, fleet(1, (2, 4, 6), accumulate=2), data, options.folder
    data = slowly(feed(3), options.slow, options.stop)
    return Toy(), fleet(3, tuple(range(5, 45, 5))), data, options.folder


def slowly(given: Any, seconds: float, stop: int = 10**9) -> Any:
    """The same data, announced, with a pause before every batch, and an end before step `stop`."""

    def start(step: int) -> Iterator[Any]:
        print("begun", flush=True)
        for number, batch in enumerate(given.batches(step), start=step):
            if number == stop:
                raise RuntimeError("stopped here")
            time.sleep(seconds)
            yield batch

    return dataclasses.replace(given, batches=start)


def layout(options: argparse.Namespace) -> dict[str, Any]:
    from jaxmix.training import single_layout

    return {} if options.what == "fleet" else {"layout": single_layout(options.fsdp)}


if __name__ == "__main__":
    os.environ["JAX_PLATFORMS"] = "cpu"
    main()
