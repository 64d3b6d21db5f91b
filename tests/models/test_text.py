"""Text models: where the loss starts, that nothing leaks, and that options change speed alone."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxmix.models import TextConfig, TextLM, text_model
from jaxmix.models.attention import causal_attention
from jaxmix.models.layers import rope

SMALL = TextConfig(vocab_size=61, width=32, depth=2, heads=2, scan=False)
STYLES = {
    "llama": SMALL,
    "llama-qk-norm": dataclasses.replace(SMALL, qk_norm=True),
    "gpt2": dataclasses.replace(SMALL, style="gpt2"),
    "gpt2-tied": dataclasses.replace(SMALL, style="gpt2", tied=True),
}
by_style = pytest.mark.parametrize("config", STYLES.values(), ids=STYLES)


def tokens(batch=4, length=24, vocab=61, seed=0):
    return np.random.default_rng(seed).integers(0, vocab, (batch, length + 1))


def mean_loss(model, params, batch):
    losses = model.losses(params, {"tokens": batch})
    return losses.sums.sum() / losses.counts.sum()


@functools.cache
def initial(config):
    """Parameters, drawn by one compiled program for every option that does not change them."""
    return jax.jit(text_model(config).init)(jax.random.key(0))


def first_loss(config, params):
    model = text_model(config)
    batch = tokens(16, 64)
    return float(jax.jit(lambda p: mean_loss(model, p, batch))(params))


def logits(config, params, batch):
    """Of the module, its parameters set name by name."""
    module = nnx.eval_shape(lambda: TextLM(config, nnx.Rngs(0)))
    definition, state = nnx.split(module)
    nnx.replace_by_pure_dict(state, params)
    return nnx.merge(definition, state)(batch)


@by_style
def test_the_loss_starts_at_the_logarithm_of_the_vocabulary(config):
    assert first_loss(config, initial(config)) == pytest.approx(math.log(61), rel=0.02)


def test_it_does_so_at_another_width():
    config = dataclasses.replace(SMALL, width=256)
    assert first_loss(config, initial(config)) == pytest.approx(math.log(61), rel=0.02)


@by_style
def test_the_future_moves_nothing_before_it(config):
    compute = jax.jit(functools.partial(logits, config))
    before = tokens(2, 11)
    after = before.copy()
    after[:, 7] = (after[:, 7] + 1) % 61
    first, second = (np.asarray(compute(initial(config), t)) for t in (before, after))
    np.testing.assert_array_equal(first[:, :7], second[:, :7])
    assert np.abs(first[:, 7:] - second[:, 7:]).max(-1).min() > 1e-4


def test_attention_is_what_its_picture_says():
    q, k, v = (jax.random.normal(jax.random.key(i), (1, 3, 1, 4)) for i in range(3))
    found = causal_attention(q, k, v)[0, :, 0]
    scores = np.asarray(q[0, :, 0] @ k[0, :, 0].T) / 2.0
    for row in range(3):
        shares = np.exp(scores[row, : row + 1])
        wanted = (shares / shares.sum()) @ np.asarray(v[0, : row + 1, 0])
        np.testing.assert_allclose(found[row], wanted, rtol=1e-5)


def test_rotary_scores_depend_on_distance_alone():
    q, k = (jax.random.normal(jax.random.key(i), (8,)) for i in range(2))
    turned_q, turned_k = (rope(jnp.broadcast_to(x, (1, 9, 1, 8)))[0, :, 0] for x in (q, k))
    scores = np.asarray(turned_q @ turned_k.T)
    for distance in range(5):
        diagonal = np.diagonal(scores, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], rtol=1e-4, atol=1e-5)
    assert scores[0, 0] == pytest.approx(float(q @ k), rel=1e-5)


@functools.cache
def first_gradient(config):
    model = text_model(config)
    return jax.jit(jax.value_and_grad(lambda p: mean_loss(model, p, tokens())))(initial(SMALL))


@pytest.mark.parametrize("options", [{"scan": True}, {"remat": "full"}, {"remat": "dots"}])
def test_scan_and_remat_compute_the_same(options):
    plain, other = (first_gradient(c) for c in (SMALL, dataclasses.replace(SMALL, **options)))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6)


def test_bfloat16_is_close_to_float32():
    rough = dataclasses.replace(SMALL, compute="bfloat16")
    shapes = jax.eval_shape(text_model(rough).init, jax.random.key(0))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(shapes))
    exact, found = (first_loss(config, initial(SMALL)) for config in (SMALL, rough))
    assert found == pytest.approx(exact, rel=5e-3) and found != exact


@by_style
def test_parameters_by_name_are_those_of_the_module(config):
    """A model merges its parameters by order: the two orders must be one."""
    model = text_model(config)
    named = jax.tree_util.tree_leaves_with_path(initial(config))
    held = nnx.to_flat_state(nnx.state(nnx.eval_shape(lambda: TextLM(config, nnx.Rngs(0)))))
    assert [tuple(k.key for k in path) for path, _ in named] == [path for path, _ in held]
    batch = tokens()

    @jax.jit
    def both(params):
        shares = jax.nn.log_softmax(logits(config, params, batch[:, :-1]))
        wanted = -jnp.take_along_axis(shares, batch[:, 1:, None], -1).sum()
        return wanted, model.losses(params, {"tokens": batch}).sums.sum()

    wanted, found = both(initial(config))
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)


def test_one_batch_is_learned_by_heart():
    model = text_model(SMALL)
    batch = tokens(4, 16)

    @jax.jit
    def fit(params):
        def step(carry, _):
            params, m, v = carry
            loss, g = jax.value_and_grad(lambda p: mean_loss(model, p, batch))(params)
            m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
            v = jax.tree.map(lambda a, b: 0.95 * a + 0.05 * b * b, v, g)
            move = jax.tree.map(lambda p, a, b: p - 5e-3 * a / (jnp.sqrt(b) + 1e-8), params, m, v)
            return (move, m, v), loss

        zero = jax.tree.map(jnp.zeros_like, params)
        return jax.lax.scan(step, (params, zero, zero), length=200)[1]

    assert float(fit(initial(SMALL))[-1]) < 0.02


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="does not divide into 3 heads"):
        TextConfig(vocab_size=61, width=32, heads=3)


def test_flops_agree_with_the_compiler():
    config = dataclasses.replace(SMALL, width=64, heads=4, vocab_size=256)
    model = text_model(config)
    batch = jax.ShapeDtypeStruct((4, 65), np.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    step = jax.jit(jax.grad(lambda p, t: mean_loss(model, p, t)))
    cost = step.lower(shapes, batch).compile().cost_analysis()
    # The compiler counts the masked half of attention too, and everything that is no product.
    counted = cost["flops"] / (4 * 64)
    assert model.flops_per_token(64) == pytest.approx(counted, rel=0.2)
