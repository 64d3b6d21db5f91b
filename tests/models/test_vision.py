"""Vision encoders: what may see what, both parts of the objective, and what they are used for."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.models import (
    VisionConfig,
    features,
    predict_patches,
    vision_model,
    write_captions,
)
from jaxmix.models.pixels import grid_positions, standardized
from jaxmix.models.vision import vision_functional
from tests.models.toys import (
    VOCABULARY,
    finite,
    learn,
    mean,
    program,
    rng,
    same,
    textured,
    traced_flops,
)

SMALL = VisionConfig(
    VOCABULARY,
    32,
    depth=2,
    heads=2,
    decoder_width=32,
    decoder_depth=1,
    decoder_heads=2,
    image_size=24,
    patch_size=8,
    scan=False,
)
PATCHES, END = 9, 0


def make_batch(records=3, slots=5, seed=0):
    """Captions of 3 tokens and an end, and one slot that does not count."""
    caption = rng(seed).integers(1, VOCABULARY, (records, slots))
    counted = np.broadcast_to(np.arange(slots) < 4, caption.shape).astype(np.uint8)
    targets = np.where(np.arange(slots) < 3, caption, END)
    tokens = np.concatenate([np.full((records, 1), END), targets[:, :-1]], 1)
    return {
        "patches": textured(records, PATCHES, seed=seed),
        "prefix": np.arange(records) * 2 % 8 + 1,
        "tokens": tokens,
        "targets": targets,
        "counted": counted,
    }


BATCH = make_batch()


@functools.cache
def initial():
    key = jax.random.key(0)
    return program(vision_model(SMALL).init, key)(key)


@functools.cache
def compiled():
    """Features, predictions and losses."""
    model, pure = vision_model(SMALL), vision_functional(SMALL)

    def run(params, batch):
        module = pure.bind(params)
        seen = module.encode(batch["patches"], batch["prefix"])
        return (seen, *module.decode(seen, batch["tokens"])), model.losses(params, batch)

    return program(run, initial(), BATCH)


@functools.cache
def found():
    return compiled()(initial(), BATCH)


@functools.cache
def first_gradient(config):
    model = vision_model(config)
    loss = jax.value_and_grad(lambda params, batch: mean(model.losses(params, batch)))
    return program(loss, initial(), BATCH)


def changed(batch, **values):
    return {**batch, **values}


def moved(name, position):
    """Features, predicted patches and logits that change with one input, of each record."""
    other = BATCH[name].copy()
    if name == "patches":
        other[:, position] += np.uint8(128)
    else:
        other[:, position] = (other[:, position] + 1) % VOCABULARY
    after, _ = compiled()(initial(), changed(BATCH, **{name: other}))
    pairs = zip(found()[0], after, strict=True)
    return [(np.asarray(a) != np.asarray(b)).any(-1) for a, b in pairs]


@pytest.mark.parametrize("position", range(PATCHES))
def test_a_patch_reaches_those_that_may_see_it(position):
    seen, images, text = moved("patches", position)
    for record, prefix in enumerate(BATCH["prefix"]):
        first = 0 if position < prefix else position
        np.testing.assert_array_equal(seen[record], np.arange(PATCHES) >= first)
        np.testing.assert_array_equal(images[record], np.arange(PATCHES - 1) >= first)
    assert text.all()


@pytest.mark.parametrize("position", [0, 2, 4])
def test_a_caption_reaches_its_later_tokens_alone(position):
    seen, images, text = moved("tokens", position)
    assert not seen.any() and not images.any()
    np.testing.assert_array_equal(text, np.broadcast_to(np.arange(5) >= position, text.shape))


def test_the_objective_is_the_sum_of_its_parts():
    losses = found()[1]
    caption, image = losses.parts["caption"], losses.parts["image"]
    np.testing.assert_allclose(losses.sums, caption + 0.4 * image, rtol=1e-6)
    assert losses.counts.tolist() == [1, 1, 1] and losses.counts.dtype == jnp.float32


def test_parts_are_the_means_that_their_names_say():
    _, images, logits = (np.asarray(x) for x in found()[0])
    parts = found()[1].parts
    pixels = BATCH["patches"].astype(float)
    pixels = (pixels - pixels.mean(-1, keepdims=True)) / pixels.std(-1, keepdims=True)
    for record, prefix in enumerate(BATCH["prefix"]):
        errors = [((images[record, t - 1] - pixels[record, t]) ** 2).mean() for t in range(1, 9)]
        image = np.mean(errors[prefix - 1 :])  # patches from `prefix` on
        assert float(parts["image"][record]) == pytest.approx(image, rel=1e-4)
        shares = np.asarray(jax.nn.log_softmax(logits[record]))
        chosen = shares[np.arange(4), BATCH["targets"][record, :4]]
        assert float(parts["caption"][record]) == pytest.approx(-chosen.mean(), rel=1e-5)


def test_losses_start_where_a_guess_does():
    parts = found()[1].parts
    assert float(parts["caption"].mean()) == pytest.approx(math.log(VOCABULARY), rel=0.03)
    assert float(parts["image"].mean()) == pytest.approx(1, abs=0.05)


BLANKS = {
    "patches": np.full((3, PATCHES, 192), [[[0]], [[255]], [[77]]], np.uint8),
    "prefix": np.array([1, 8, 9]),
    **{name: np.tile(BATCH[name][:1], (3, 1)) for name in ("tokens", "targets")},
    "counted": np.repeat(np.array([[1], [0], [0]], np.uint8), 5, 1),
}


def test_gradients_are_finite_where_pictures_are_blank_and_captions_empty():
    assert finite(first_gradient(SMALL)(initial(), BLANKS))
    np.testing.assert_allclose(standardized(BLANKS["patches"]), 0, atol=1e-3)
    parts = compiled()(initial(), BLANKS)[1].parts
    assert parts["caption"][1:].tolist() == [0, 0]
    assert float(parts["image"][2]) == 0  # the prefix is the whole picture


def test_scan_and_remat_compute_the_same():
    configs = SMALL, dataclasses.replace(SMALL, scan=True, remat="dots")
    same(*(first_gradient(config)(initial(), BATCH) for config in configs))


def test_bfloat16_is_close_to_float32():
    model = vision_model(dataclasses.replace(SMALL, compute="bfloat16"))
    rough = float(mean(program(model.losses, initial(), BATCH)(initial(), BATCH)))
    exact = float(mean(found()[1]))
    assert rough == pytest.approx(exact, rel=1e-2) and rough != exact


def test_both_parts_are_learned_by_heart():
    batch, model = changed(BATCH, prefix=np.array([PATCHES, 1, 3])), vision_model(SMALL)
    params, _ = learn(lambda p: mean(model.losses(p, batch)), initial(), steps=300)
    parts = compiled()(params, batch)[1].parts
    assert float(parts["caption"].max()) < 0.02 and float(parts["image"].max()) < 0.05
    errors = (predict_patches(SMALL, params, batch) - standardized(batch["patches"][:, 1:])) ** 2
    assert float(errors[1].mean()) < 0.05
    # The first record was learned as captions are written: from the whole picture.
    written = write_captions(SMALL, params, batch["patches"], END, 6)
    assert written.shape == (3, 6) and written.dtype == jnp.int32
    assert written[0].tolist() == [*batch["targets"][0, :3].tolist(), END, END, END]


def test_features_see_the_whole_picture():
    features_BxKxD = features(SMALL, initial(), BATCH["patches"])
    assert features_BxKxD.shape == (3, PATCHES, 32)
    full = compiled()(initial(), changed(BATCH, prefix=np.full(3, PATCHES)))[0][0]
    np.testing.assert_allclose(features_BxKxD, full, rtol=1e-5, atol=1e-6)


def test_predicted_patches_do_not_depend_on_captions():
    images = predict_patches(SMALL, initial(), {n: BATCH[n] for n in ("patches", "prefix")})
    np.testing.assert_allclose(images, found()[0][1], rtol=1e-5, atol=1e-6)


def test_positions_tell_rows_and_columns_apart():
    positions = np.asarray(grid_positions(3, 16)).reshape(3, 3, 16)
    np.testing.assert_array_equal(positions[1, 0, :8], positions[1, 2, :8])
    np.testing.assert_array_equal(positions[0, 1, 8:], positions[2, 1, 8:])
    assert len(np.unique(positions.reshape(9, 16), axis=0)) == 9


def test_parameters_count_the_encoder():
    count = vision_model(SMALL).count()
    shapes = jax.eval_shape(vision_model(SMALL).init, jax.random.key(0))
    kept = [shapes[name] for name in ("patch_projection", "encoder", "encoder_norm")]
    assert count.n_params == sum(leaf.size for leaf in jax.tree.leaves(kept))
    assert count.n_params_total == sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count.n_params == 192 * 32 + SMALL.encoder.weights + 2 * 2 * 32 + 32


def test_flops_agree_with_the_compiler():
    config = dataclasses.replace(SMALL, width=64, decoder_width=64, vocab_size=256)
    model = vision_model(config)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    step = jax.grad(lambda params, batch: mean(model.losses(params, batch)))
    counted = traced_flops(step, shapes, BATCH) / (3 * (config.grid.patches + 5))
    assert model.flops_per_token(config.grid.patches + 5) == pytest.approx(counted, rel=0.2)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="the same image_size and patch_size"):
        other = dataclasses.replace(SMALL, image_size=32)
        jax.eval_shape(vision_model(other).losses, initial(), BATCH)
    with pytest.raises(ValueError, match="width 18 is not a multiple of 4"):
        dataclasses.replace(SMALL, width=18)
    with pytest.raises(ValueError, match="does not divide into 5 heads"):
        dataclasses.replace(SMALL, decoder_heads=5)
