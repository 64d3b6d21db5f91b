"""The optimizer against a few lines of NumPy, and accumulation against the whole batch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.training import OptimizerConfig
from jaxmix.training.optimizer import adam, averaged, move
from jaxmix.training.program import initial_state, train_step
from tests.training import toys


def schedule(config: OptimizerConfig, step: int) -> float:
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return 1.0
    done = (step - config.warmup_steps) / (config.steps - config.warmup_steps)
    return 0.5 * (1 + np.cos(np.pi * done))


def reference(config, params, gradients, rate):
    """AdamW as in Loshchilov and Hutter, algorithm 2, on a flat dict."""
    params = {k: v.astype(np.float64) for k, v in params.items()}
    m = {k: np.zeros_like(v) for k, v in params.items()}
    v = {k: np.zeros_like(v) for k, v in params.items()}
    for t, gradient in enumerate(gradients):
        norm = np.sqrt(sum((g**2).sum() for g in gradient.values()))
        unit = schedule(config, t)
        for k in params:
            g = gradient[k] * min(1.0, config.clip / norm)
            m[k] = config.b1 * m[k] + (1 - config.b1) * g
            v[k] = config.b2 * v[k] + (1 - config.b2) * g**2
            first, second = m[k] / (1 - config.b1 ** (t + 1)), v[k] / (1 - config.b2 ** (t + 1))
            decay = config.weight_decay if k == "kernel" else 0.0
            params[k] -= unit * (rate * first / (np.sqrt(second) + 1e-8) + decay * params[k])
    return params


def ours(config, params, gradients, rate):
    state = adam(config).init(params)
    for t, gradient in enumerate(gradients):
        scaled, state = adam(config).update(gradient, state)
        params = move(config, params, scaled, jnp.float32(rate), jnp.int32(t))
    return params


def start() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"kernel": (3, 4), "gain": (4,), "bias": (4,)}
    return {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}


def gradients(steps: int) -> list[dict[str, np.ndarray]]:
    """Some above and some below the largest norm."""
    rng = np.random.default_rng(1)
    scales = np.geomspace(0.05, 2.0, steps)
    draw = {k: rng.normal(size=(steps, *v.shape)) for k, v in start().items()}
    return [
        {k: (scales[t] * v[t]).astype(np.float32) for k, v in draw.items()} for t in range(steps)
    ]


@pytest.mark.parametrize("name", ["constant", "cosine"])
@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_steps_are_those_of_decoupled_adamw(name, warmup):
    config = OptimizerConfig(10, warmup, name, weight_decay=0.03)
    expected = reference(config, start(), gradients(10), 0.1)
    found = ours(config, start(), gradients(10), 0.1)
    for k in expected:
        np.testing.assert_allclose(found[k], expected[k], rtol=2e-5, atol=2e-6)


def test_warm_up_is_linear_whatever_comes_after():
    config = OptimizerConfig(10, 8, "cosine")
    units = [float(config.unit(jnp.int32(t))) for t in range(10)]
    np.testing.assert_allclose(units[:9], [*(np.arange(8) + 1) / 8, 1.0], rtol=1e-6)
    assert units[9] == pytest.approx(0.5)


def test_decay_does_not_depend_on_the_learning_rate():
    config = OptimizerConfig(4, 2, weight_decay=0.1)
    still = [{k: np.zeros_like(v) for k, v in start().items()}] * 4
    for rate in (0.0, 1e-3, 10.0):
        found = ours(config, start(), still, rate)
        np.testing.assert_allclose(found["kernel"], start()["kernel"] * 0.95 * 0.9**3, rtol=1e-6)
        for name in ("gain", "bias"):
            np.testing.assert_array_equal(found[name], start()[name])


def test_every_parameter_of_a_transformer_decays_unless_it_is_a_gain_or_bias():
    config = OptimizerConfig(1, 0, weight_decay=0.5)
    for style in ("llama", "gpt2"):
        shapes = jax.eval_shape(toys.transformer(style=style, qk_norm=True).init, jax.random.key(0))
        params = jax.tree.map(lambda x: np.ones(x.shape, np.float32), shapes)
        still = jax.tree.map(np.zeros_like, params)
        moved = jax.jit(move, static_argnums=0)(config, params, still, 1.0, jnp.int32(0))
        for path, value in jax.tree_util.tree_leaves_with_path(moved):
            vector = path[-1].key in ("gain", "bias")
            assert np.all(np.asarray(value) == (1.0 if vector else 0.5)), path


def mean_age(share: float, steps: int) -> float:
    """Mean age of the parameters in an average, as a share of the run."""
    config, found = OptimizerConfig(steps, 0, average=share), {"kernel": jnp.zeros(())}
    for t in range(steps):
        found = averaged(config, found, {"kernel": jnp.float32(t + 1)}, jnp.int32(t))
    return 1 - float(found["kernel"]) / steps


def test_an_average_over_all_steps_is_their_mean():
    rng, config = np.random.default_rng(2), OptimizerConfig(9, 0, average=1.0)
    walk, found = rng.normal(size=(9, 4)).astype(np.float32), np.zeros(4, np.float32)
    for t, params in enumerate(walk):
        found = averaged(config, found, params, jnp.int32(t))
        np.testing.assert_allclose(found, walk[: t + 1].mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [100, 300])
def test_an_average_grows_with_the_run(steps):
    assert mean_age(0.1, steps) == pytest.approx(0.1 / 1.1, rel=0.1)


def test_a_run_that_averages_trains_the_same_parameters():
    batch = {"tokens": np.arange(2 * 9).reshape(2, 9) % 7}
    model, states = toys.Toy(), []
    for share in (0.0, 0.5):
        config = OptimizerConfig(6, 0, average=share)
        state = initial_state(model.init(jax.random.key(0)), config)
        seen = []
        for t in range(6):
            step = train_step(model, config)
            state, _ = step(state, batch, jnp.float32(0.1), jnp.int32(t))
            seen.append(np.asarray(state.params["table"]["kernel"]))
        states.append((state, seen))
    (plain, _), (kept, seen) = states
    np.testing.assert_array_equal(plain.params["table"]["kernel"], seen[-1])
    assert plain.average is None and plain.kept is plain.params
    expected = seen[0]
    for t in range(1, 6):
        expected = expected + (seen[t] - expected) / max(1, 0.5 * (t + 1))
    np.testing.assert_allclose(kept.kept["table"]["kernel"], expected, rtol=1e-5)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_an_average_over_more_than_the_run_is_refused(share):
    with pytest.raises(ValueError, match="from 0 to 1"):
        OptimizerConfig(10, 0, average=share)


@pytest.mark.parametrize("warmup", [-1, 11])
def test_a_warm_up_longer_than_the_run_is_refused(warmup):
    with pytest.raises(ValueError, match="warm-up"):
        OptimizerConfig(10, warmup)


def padded_records() -> np.ndarray:
    """Records of unequal counts: the pads at their ends do not count."""
    tokens = toys.records(0, 8)
    for i, row in enumerate(tokens):
        row[3 + i :] = 0
    return tokens


@pytest.mark.parametrize("parts", [2, 4, 8])
@pytest.mark.parametrize("tokens", [toys.records(1, 8), padded_records()], ids=["full", "unequal"])
def test_a_batch_in_parts_makes_the_same_step(parts, tokens):
    def stepped(parts: int):
        config = OptimizerConfig(5, 0, accumulate=parts)
        state = initial_state(toys.Toy().init(jax.random.key(0)), config)
        step = jax.jit(train_step(toys.Toy(), config))
        return step(state, {"tokens": tokens}, jnp.float32(0.1), jnp.int32(0))

    (whole, seen), (cut, seen_cut) = stepped(1), stepped(parts)
    assert float(seen_cut.loss) == pytest.approx(float(seen.loss), rel=1e-6)
    assert float(seen_cut.gradient_norm) == pytest.approx(float(seen.gradient_norm), rel=1e-5)
    # Adam's first step is the gradient's sign: compare what it is made of.
    for a, b in zip(jax.tree.leaves(whole.moments), jax.tree.leaves(cut.moments), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-8)


def test_a_batch_that_does_not_divide_into_parts_is_refused():
    config = OptimizerConfig(5, 0, accumulate=3)
    state = initial_state(toys.Toy().init(jax.random.key(0)), config)
    with pytest.raises(ValueError, match="8 records does not divide into 3"):
        train_step(toys.Toy(), config)(
            state, {"tokens": toys.records(1, 8)}, jnp.float32(0.1), jnp.int32(0)
        )


def test_configs_compare_by_value():
    config = OptimizerConfig(5, 0)
    assert dataclasses.replace(config, b1=0.9) == config
