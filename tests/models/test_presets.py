"""Presets: the paper's counts, its learning rates, and a clear word where a name is wrong."""

import pytest

from jaxmix.models import (
    PRESETS,
    MultimodalConfig,
    TextConfig,
    VisionConfig,
    family_of,
    get_preset,
    learning_rate,
    multimodal_model,
    text_model,
    vision_model,
)

# What the stated counts agree with; see jaxmix/models/presets.py.
VOCABULARY = {"llama": 50_432, "gpt2": 32_000}
LEARNING_RATES = {1024: 6e-4, 1792: 3.4e-4, 2048: 3e-4, 3072: 2e-4, 4864: 1.2e-4}


TEXT = [p for p in PRESETS.values() if p.parameters and p.family == "text"]
MULTIMODAL = [p for p in PRESETS.values() if p.parameters and p.family == "multimodal"]
VISION = [p for p in PRESETS.values() if p.parameters and p.family == "vision"]


@pytest.mark.parametrize("preset", TEXT, ids=lambda p: p.name)
def test_counts_of_text_models_agree_with_the_tables(preset):
    config = get_preset(preset.name, VOCABULARY[preset.style])
    count = text_model(config).count()
    assert count.n_params == pytest.approx(24 * 12 * preset.width**2, rel=0.01)
    slack = 0.065 if preset.name == "gpt2-3b" else 0.05
    assert count.n_params_total == pytest.approx(preset.parameters, rel=slack)


@pytest.mark.parametrize("preset", MULTIMODAL, ids=lambda p: p.name)
def test_counts_of_multimodal_models_agree_with_table_6(preset):
    config = get_preset(preset.name, 50_432)
    assert (config.image_size, config.patch_size, config.depth) == (224, 14, 24)
    assert multimodal_model(config).count().n_params_total == pytest.approx(
        preset.parameters, rel=0.05
    )


@pytest.mark.parametrize("preset", VISION, ids=lambda p: p.name)
def test_counts_of_encoders_agree_with_table_1(preset):
    config = get_preset(preset.name, 50_432)
    decoder = (config.decoder_width, config.decoder_depth, config.alpha)
    assert (decoder, config.depth) == ((1024, 12, 0.4), 24)
    assert vision_model(config).count().n_params == pytest.approx(preset.parameters, rel=0.05)


@pytest.mark.parametrize("preset", MULTIMODAL + VISION, ids=lambda p: p.name)
def test_heads_are_of_widths_that_kernels_take(preset):
    assert preset.width % preset.heads == 0
    assert preset.width // preset.heads in range(32, 129, 8)


def test_learning_rates_of_table_6_are_its_own():
    rates = [p.learning_rate for p in MULTIMODAL]
    assert rates == [1.5e-3, 1.5e-3, 5e-4, 4.2e-4, 4e-4, 3.5e-4, 2.4e-4]
    assert PRESETS["nmm-tiny-64"].learning_rate == learning_rate(64)
    assert PRESETS["lvm-306m"].learning_rate == learning_rate(1024)


LADDERS = {
    "nmm-tiny": (MultimodalConfig, (16, 24, 32, 48, 64, 96, 128), (3, 32, 8, "float32")),
    "lvm-tiny": (VisionConfig, (16, 24, 32, 48, 64, 96, 128), (3, 32, 8, "float32")),
    "nmm-gpu": (MultimodalConfig, (256, 384, 512), (12, 64, 8, "bfloat16")),
    "lvm-gpu": (VisionConfig, (256, 384, 512), (12, 64, 8, "bfloat16")),
}


@pytest.mark.parametrize("ladder", LADDERS)
def test_ladders_change_nothing_but_width(ladder):
    kind, widths, settings = LADDERS[ladder]
    for width in widths:
        config = get_preset(f"{ladder}-{width}", 257)
        assert type(config) is kind and config.width == width
        found = (config.depth, config.image_size, config.patch_size, config.compute)
        assert found == settings
        if kind is VisionConfig:
            assert config.decoder_width == width
            assert config.decoder_depth == {"lvm-tiny": 2, "lvm-gpu": 6}[ladder]


def test_families_by_name():
    names = ("tiny-32", "nmm-tiny-32", "lvm-tiny-32")
    assert [family_of(name) for name in names] == ["text", "multimodal", "vision"]
    kinds = [type(get_preset(name, 257)) for name in names]
    assert kinds == [TextConfig, MultimodalConfig, VisionConfig]
    assert get_preset("lvm-tiny-32", 257, length=12, alpha=1.0).alpha == 1.0
    with pytest.raises(ValueError, match="unknown preset 'lvm-tiny-33'; nearest: lvm-tiny-32"):
        family_of("lvm-tiny-33")


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
