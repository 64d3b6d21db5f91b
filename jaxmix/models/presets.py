"""Sizes by name: those of the paper, and a ladder of tiny ones for proxies."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, Literal

from jaxmix.models.text import TextConfig

# Table 5 trains Llama-style models at .614 / width: 6e-4 at 1024, 3e-4 at 2048, 1.2e-4 at 4864.
# Its 4e-3 at 1536 must be a misprint of 4e-4, which is .614 / 1536.
_RATE_TIMES_WIDTH = 0.614


@dataclass(frozen=True)
class Preset:
    """A size.

    Attributes:
        name: such as llama-412m or tiny-64.
        width: latent dimension.
        depth: layers.
        style: of the model.
        source: where the size is from.
        parameters: stated there, embeddings included; None for our own sizes.
    """

    name: str
    width: int
    depth: int
    style: Literal["llama", "gpt2"]
    source: str
    parameters: float | None = None

    @property
    def heads(self) -> int:
        """Heads of width 128 in large Llama-style models, 64 in GPT-2-style ones, 16 in tiny."""
        if self.name.startswith("tiny"):
            return max(1, self.width // 16)
        return self.width // (128 if self.style == "llama" else 64)


def _llama(name: str, width: int, parameters: float) -> Preset:
    return Preset(f"llama-{name}", width, 24, "llama", "table 5", parameters)


def _gpt2(name: str, width: int, parameters: float) -> Preset:
    return Preset(f"gpt2-{name}", width, 24, "gpt2", "table 7", parameters)


def _tiny(width: int) -> Preset:
    return Preset(f"tiny-{width}", width, 3, "llama", "for two CPU cores")


# The stated counts agree, within 5%, with 24 * 12 * d^2 and two matrices of 50,432 tokens in
# table 5, and with one matrix of 32,000 tokens in table 7 (but for its 3B, which is 2.82e9 then).
_ALL = (
    _llama("412m", 1024, 412e6),
    _llama("834m", 1536, 834e6),
    _llama("1.1b", 1792, 1.1e9),
    _llama("1.4b", 2048, 1.4e9),
    _llama("3b", 3072, 3e9),
    _llama("7b", 4864, 7e9),
    _gpt2("90m", 512, 90e6),
    _gpt2("200m", 768, 200e6),
    _gpt2("350m", 1024, 350e6),
    _gpt2("700m", 1536, 700e6),
    _gpt2("1.3b", 2048, 1.3e9),
    _gpt2("3b", 3072, 3e9),
    *(_tiny(width) for width in (16, 24, 32, 48, 64, 96, 128, 192, 256)),
)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}


def get_preset(
    name: str, vocab_size: int, length: int | None = None, **overrides: Any
) -> TextConfig:
    """The model of a preset.

    Args:
        name: one of PRESETS.
        vocab_size: tokens of the tokenizer.
        length: longest window; None for the model's default.
        **overrides: fields of `TextConfig` to set otherwise.

    Raises:
        ValueError: there is no such preset.

    >>> get_preset("llama-412m", 50_432).width
    1024
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, 3, 0.4) or list(PRESETS)
        raise ValueError(f"unknown preset '{name}'; nearest: {', '.join(near)}")
    preset = PRESETS[name]
    tiny = name.startswith("tiny")
    settings: dict[str, Any] = {
        "vocab_size": vocab_size,
        "width": preset.width,
        "depth": preset.depth,
        "heads": preset.heads,
        "style": preset.style,
        "tied": preset.style == "gpt2",
        # Few layers compile fast enough to be written out one by one, which runs faster on a CPU.
        "scan": not tiny,
        "compute": "float32" if tiny else "bfloat16",
        "remat": "none" if tiny else "dots",
    }
    if length is not None:
        settings["max_length"] = length
    return TextConfig(**{**settings, **overrides})


def learning_rate(width: int) -> float:
    """Peak learning rate of a width, .614 / width: the rule that table 5 of the paper follows."""
    return _RATE_TIMES_WIDTH / width
