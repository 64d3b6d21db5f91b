"""Log-likelihoods of continuations: the model's own loss, whatever stands in the padding."""

import jax
import numpy as np
import pytest

from jaxmix.models import TextConfig, likelihood, text_model
from tests.models.toys import learn, mean, program

LLAMA = TextConfig(vocab_size=31, width=16, depth=1, heads=1)
GPT2 = TextConfig(vocab_size=31, width=16, depth=1, heads=1, style="gpt2")
PASSAGE = np.random.default_rng(1).integers(0, 31, (1, 21))
END = np.arange(20)[None] >= 14  # the tokens that are scored


def initial(config):
    return program(text_model(config).init, jax.random.key(0))(jax.random.key(0))


@pytest.fixture(scope="module")
def learned():
    """Parameters that know the passage by heart."""
    model = text_model(LLAMA)
    loss = lambda p: mean(model.losses(p, {"tokens": PASSAGE}))  # noqa: E731
    params, losses = learn(loss, initial(LLAMA), 120, 0.02)
    assert losses[-1] < 0.1
    return params


@pytest.mark.parametrize("config", [LLAMA, GPT2], ids=["llama", "gpt2"])
def test_it_is_the_models_own_loss_and_parts_of_a_row_add_up(config):
    params, model = initial(config), text_model(config)
    whole, end, front = (
        likelihood(config, params, PASSAGE, counted).sums for counted in (END | True, END, ~END)
    )
    losses = program(model.losses, params, {"tokens": PASSAGE})(params, {"tokens": PASSAGE})
    np.testing.assert_allclose(-whole, losses.sums, rtol=1e-5)
    np.testing.assert_allclose(end + front, whole, rtol=1e-5)
    assert -25 < end[0] < -15  # six tokens of about ln 31 nats each


def test_what_was_learned_by_heart_is_preferred(learned):
    other = PASSAGE.copy()
    other[0, 16] = (other[0, 16] + 3) % 31
    found = likelihood(LLAMA, learned, np.concatenate([PASSAGE, other]), END.repeat(2, 0))
    assert found.sums[0] > max(-1.0, found.sums[1] + 2)
    assert found.greedy.tolist() == [True, False]


def test_what_follows_the_last_counted_token_does_not_matter(learned):
    tokens, counted = PASSAGE.repeat(2, 0), np.zeros((2, 20), bool)
    tokens[1, 10:], counted[:, 5:9] = 0, True
    sums, greedy = likelihood(LLAMA, learned, tokens, counted)
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-6)
    assert greedy.all()
