"""Presets: the paper's counts, its learning rates, and a clear word where a name is wrong."""

import pytest

from jaxmix.models import PRESETS, get_preset, learning_rate, text_model

# What the stated counts agree with; see jaxmix/models/presets.py.
VOCABULARY = {"llama": 50_432, "gpt2": 32_000}
LEARNING_RATES = {1024: 6e-4, 1792: 3.4e-4, 2048: 3e-4, 3072: 2e-4, 4864: 1.2e-4}


@pytest.mark.parametrize(
    "preset", [p for p in PRESETS.values() if p.parameters], ids=lambda p: p.name
)
def test_counts_agree_with_the_tables(preset):
    config = get_preset(preset.name, VOCABULARY[preset.style])
    count = text_model(config).count()
    assert count.n_params == pytest.approx(24 * 12 * preset.width**2, rel=0.01)
    slack = 0.065 if preset.name == "gpt2-3b" else 0.05
    assert count.n_params_total == pytest.approx(preset.parameters, rel=slack)


def test_the_rule_of_learning_rates_is_the_papers():
    for width, stated in LEARNING_RATES.items():
        assert learning_rate(width) == pytest.approx(stated, rel=0.06)


def test_tiny_presets_keep_depth_and_width_of_heads():
    tiny = [get_preset(name, 257) for name in PRESETS if name.startswith("tiny")]
    assert {c.depth for c in tiny} == {3} and {c.width // c.heads for c in tiny} == {16, 24}


def test_a_wrong_name_is_answered_with_near_ones():
    with pytest.raises(ValueError, match="unknown preset 'tiny-33'; nearest: tiny-32"):
        get_preset("tiny-33", 257)


def test_overrides_and_lengths():
    config = get_preset("gpt2-90m", 257, length=64, remat="full")
    assert (config.max_length, config.remat, config.tied) == (64, "full", True)
