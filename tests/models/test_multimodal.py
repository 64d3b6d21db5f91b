"""Early fusion: nothing leaks, packing changes nothing, and options change speed alone."""

import dataclasses
import functools
import math

import jax
import numpy as np
import pytest

from jaxmix.models import MultimodalConfig, batch_flops, multimodal_model, write_captions
from jaxmix.models.multimodal import early_fusion
from jaxmix.models.ranges import KeyRanges, key_mask
from tests.models.toys import (
    PICTURE,
    VOCABULARY,
    document,
    finite,
    learn,
    mean,
    packed,
    program,
    same,
    stacked,
    textured,
    traced_flops,
)

SMALL = MultimodalConfig(VOCABULARY, 32, depth=2, heads=2, image_size=16, patch_size=8, scan=False)
LENGTH = 24
# Positions of the first row: text 0-2, a picture 3-6, text 7-8, a picture 9-12, text 13-14; then a
# picture 15-18 and text 19-20 of another document, then padding.
FIRST = document([3, PICTURE, 2, PICTURE, 3], textured(2, 4))
SECOND = document([PICTURE, 3], textured(1, 4, seed=1), seed=1)
ROWS = stacked([packed([FIRST, SECOND], LENGTH), packed([SECOND], LENGTH)])


@functools.cache
def initial():
    key = jax.random.key(0)
    return program(multimodal_model(SMALL).init, key)(key)


@functools.cache
def compiled():
    """Logits and losses."""
    model, pure = multimodal_model(SMALL), early_fusion(SMALL)

    def run(params, batch):
        keys = KeyRanges(batch["key_start"], batch["key_end"])
        inputs = batch["tokens"], batch["patches"], batch["is_patch"]
        return pure.bind(params)(*inputs, keys), model.losses(params, batch)

    return program(run, initial(), ROWS)


@functools.cache
def found():
    return compiled()(initial(), ROWS)


@functools.cache
def first_gradient(config):
    model = multimodal_model(config)
    loss = jax.value_and_grad(lambda params, batch: mean(model.losses(params, batch)))
    return program(loss, initial(), ROWS)


def changed(rows, **values):
    return {**rows, **values}


def moved(name, position):
    """Positions of the first row whose logits change when one input of it does."""
    other = ROWS[name].copy()
    step = 128 if name == "patches" else 1
    other[0, position] = (other[0, position] + step) % (VOCABULARY if step == 1 else 255)
    before, after = found()[0], compiled()(initial(), changed(ROWS, **{name: other}))[0]
    return np.flatnonzero((np.asarray(before) != after).any(-1)[0]).tolist()


@pytest.mark.parametrize(
    ("name", "position", "reached"),
    [
        ("tokens", 0, range(15)),
        ("tokens", 8, range(8, 15)),
        ("tokens", 14, [14]),
        ("tokens", 20, [20]),
        ("patches", 3, range(3, 15)),
        ("patches", 6, range(3, 15)),  # a later patch reaches earlier ones of its picture
        ("patches", 12, range(9, 15)),  # but not another picture
        ("patches", 15, range(15, 21)),  # nor another document
        ("tokens", 22, [22]),  # padding reaches nobody
    ],
)
def test_an_input_reaches_what_may_see_it_and_nothing_else(name, position, reached):
    assert moved(name, position) == list(reached)


def test_pixels_of_text_and_tokens_of_patches_are_not_read():
    assert moved("patches", 1) == [] and moved("tokens", 4) == []


def test_padding_moves_no_loss():
    noisy = {key: value.copy() for key, value in ROWS.items()}
    noisy["tokens"][0, 21:] = 7
    noisy["targets"][0, 21:] = 9
    losses = compiled()(initial(), noisy)[1]
    assert losses.counts.tolist() == [10, 3]
    np.testing.assert_array_equal(losses.sums, found()[1].sums)


def test_packed_documents_compute_as_they_do_alone():
    rows = stacked([packed([document], LENGTH) for document in (FIRST, SECOND)])
    apart, together = compiled()(initial(), rows)[1], found()[1]
    assert float(together.counts[0]) == float(apart.counts.sum())
    np.testing.assert_allclose(together.sums[0], apart.sums.sum(), rtol=1e-5)


def test_a_row_without_text_counts_nothing_and_is_finite():
    blank = packed([document([PICTURE, 2], np.zeros((1, 4, 192), np.uint8))], LENGTH)
    blank["counted"][:] = 0
    rows = stacked([packed([FIRST, SECOND], LENGTH), blank])
    losses = compiled()(initial(), rows)[1]
    assert losses.counts.tolist() == [10, 0] and losses.sums[1] == 0 and losses.parts == {}
    assert finite(first_gradient(SMALL)(initial(), rows))


def test_the_loss_starts_at_the_logarithm_of_the_vocabulary():
    assert float(mean(found()[1])) == pytest.approx(math.log(VOCABULARY), rel=0.03)


def test_scan_and_remat_compute_the_same():
    configs = SMALL, dataclasses.replace(SMALL, scan=True, remat="dots")
    same(*(first_gradient(config)(initial(), ROWS) for config in configs))


def test_bfloat16_is_close_to_float32():
    model = multimodal_model(dataclasses.replace(SMALL, compute="bfloat16"))
    rough = float(mean(program(model.losses, initial(), ROWS)(initial(), ROWS)))
    exact = float(mean(found()[1]))
    assert rough == pytest.approx(exact, rel=5e-3) and rough != exact


def test_captions_are_learned_by_heart_and_written():
    pictures, end = textured(3, 4, seed=5), 0
    rows = [packed([document([PICTURE, 6], p[None], seed=i)], 9) for i, p in enumerate(pictures)]
    batch = stacked(rows)
    batch["targets"][:, -1] = end
    model = multimodal_model(SMALL)
    params, losses = learn(lambda p: mean(model.losses(p, batch)), initial(), steps=120)
    assert float(losses[-1]) < 0.05
    written = write_captions(SMALL, params, pictures, end, 8)
    np.testing.assert_array_equal(written[:, :6], batch["targets"][:, 3:])
    assert (written[:, 6:] == end).all()


def test_parameters_count_all_but_embedding_and_head():
    count = multimodal_model(SMALL).count()
    norms = 2 * 2 * 32 + 32 + 2 * 2 * 16
    blocks = SMALL.stack.weights
    assert count.n_params == 192 * 32 + blocks + norms
    assert count.n_params_total == count.n_params + 2 * VOCABULARY * 32


def test_flops_of_a_batch_are_those_of_its_ranges():
    causal = packed([document([LENGTH + 1], [])], LENGTH)
    per_token = batch_flops(SMALL, causal) / LENGTH
    stated = multimodal_model(SMALL).flops_per_token(LENGTH)
    # By token, the projection of pixels and the gains of norms count everywhere.
    norms = 2 * 2 * 32 + 32 + 2 * 2 * 16
    assert per_token == pytest.approx(stated - 6 * (192 * 32 + norms))
    row = packed([FIRST, SECOND], LENGTH)
    pairs = int(key_mask(row["key_start"], row["key_end"]).sum()) - LENGTH * (LENGTH + 1) // 2
    more = 6 * 12 * 192 * 32 + 3 * 4 * 2 * 32 * pairs
    assert batch_flops(SMALL, row) == pytest.approx(per_token * LENGTH + more)


def test_flops_agree_with_the_compiler():
    config = dataclasses.replace(SMALL, width=64, heads=4, vocab_size=256)
    model, row = multimodal_model(config), packed([document([65], [])], 64)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    step = jax.grad(lambda params, row: mean(model.losses(params, row)))
    counted = traced_flops(step, shapes, row) / 64
    assert model.flops_per_token(64) == pytest.approx(counted, rel=0.2)


def test_pictures_and_model_must_agree_on_patches():
    other = dataclasses.replace(SMALL, patch_size=4)
    with pytest.raises(ValueError, match="the same image_size and patch_size"):
        jax.eval_shape(multimodal_model(other).losses, initial(), ROWS)
    with pytest.raises(ValueError, match="pictures of 16 pixels do not divide into patches of 5"):
        dataclasses.replace(SMALL, patch_size=5)
