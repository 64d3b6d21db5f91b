"""Sizes by name, of all families: those of the paper, ladders for one GPU, and tiny ones."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from jaxmix.errors import JaxmixError
from jaxmix.models.blocks import Style
from jaxmix.models.multimodal import MultimodalConfig
from jaxmix.models.text import TextConfig
from jaxmix.models.vision import VisionConfig

FamilyName = Literal["text", "multimodal", "vision"]
Scale = Literal["paper", "gpu", "tiny"]

# Table 5 trains Llama-style models at .614 / width: 6e-4 at 1024, 3e-4 at 2048, 1.2e-4 at 4864.
# Its 4e-3 at 1536 must be a misprint of 4e-4, which is .614 / 1536.
_RATE_TIMES_WIDTH = 0.614

# Side of a picture and of a patch, in pixels.
_PICTURES: dict[Scale, tuple[int, int]] = {"paper": (224, 14), "gpu": (64, 8), "tiny": (32, 8)}


@dataclass(frozen=True)
class Preset:
    """A size.

    Attributes:
        name: such as llama-412m or tiny-64.
        width: latent dimension; of a vision model, the encoder's.
        depth: layers; of a vision model, the encoder's.
        style: of the model.
        source: where the size is from.
        parameters: stated there, embeddings included, of a vision model the encoder's; None for our
            own sizes.
        family: "text", "multimodal" or "vision".
        scale: what it is for: the "paper", one "gpu", or "tiny" proxies on CPU cores.
        stated_rate: peak learning rate of the source; None where it follows `learning_rate`.
    """

    name: str
    width: int
    depth: int
    style: Style
    source: str
    parameters: float | None = None
    family: FamilyName = "text"
    scale: Scale = "paper"
    stated_rate: float | None = None

    @property
    def heads(self) -> int:
        """Heads of width 16 in tiny models, 64 in GPT-2-style and one-GPU ones.

        The others' are the widest that GPU kernels take: multiples of 8 up to 128. That is the 128
        of AIMv2 where the width allows it; tables 5 and 6 state no heads.
        """
        if self.scale == "tiny":
            return max(1, self.width // 16)
        if self.style == "gpt2" or self.scale == "gpu":
            return self.width // 64
        return self.width // max(k for k in range(8, 129, 8) if self.width % k == 0)

    @property
    def learning_rate(self) -> float:
        """Peak learning rate."""
        return self.stated_rate or learning_rate(self.width)


def _llama(name: str, width: int, parameters: float) -> Preset:
    return Preset(f"llama-{name}", width, 24, "llama", "table 5", parameters)


def _gpt2(name: str, width: int, parameters: float) -> Preset:
    return Preset(f"gpt2-{name}", width, 24, "gpt2", "table 7", parameters)


def _nmm(name: str, width: int, parameters: float, rate: float) -> Preset:
    return Preset(
        f"nmm-{name}", width, 24, "llama", "table 6", parameters, "multimodal", stated_rate=rate
    )


def _lvm(name: str, width: int, parameters: float) -> Preset:
    return Preset(f"lvm-{name}", width, 24, "llama", "table 1", parameters, "vision")


def _tiny(prefix: str, width: int, family: FamilyName) -> Preset:
    name, source = f"{prefix}tiny-{width}", "for two CPU cores"
    return Preset(name, width, 3, "llama", source, family=family, scale="tiny")


def _gpu(prefix: str, width: int, family: FamilyName) -> Preset:
    name = f"{prefix}gpu-{width}"
    return Preset(name, width, 12, "llama", "for one GPU", family=family, scale="gpu")


# The stated counts agree, within 5%, with 24 * 12 * d^2 and two matrices of 50,432 tokens in
# tables 5 and 6, and with one matrix of 32,000 tokens in table 7 (but for its 3B, which is 2.82e9
# then). Table 1 gives the encoders' counts alone: 306M is AIMv2-L's width of 1024, and the other
# widths are chosen to agree within 5%.
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
    *(_tiny("", width, "text") for width in (16, 24, 32, 48, 64, 96, 128, 192, 256)),
    _nmm("275m", 800, 275e6, 1.5e-3),
    _nmm("468m", 1088, 468e6, 1.5e-3),
    _nmm("932m", 1632, 932e6, 5e-4),
    _nmm("1.6b", 2208, 1.63e9, 4.2e-4),
    _nmm("2.3b", 2624, 2.28e9, 4e-4),
    _nmm("3.4b", 3232, 3.35e9, 3.5e-4),
    _nmm("8.1b", 5120, 8.13e9, 2.4e-4),
    *(_tiny("nmm-", width, "multimodal") for width in (16, 24, 32, 48, 64, 96, 128)),
    *(_gpu("nmm-", width, "multimodal") for width in (256, 384, 512)),
    _lvm("89m", 560, 89e6),
    _lvm("157m", 728, 157e6),
    _lvm("306m", 1024, 306e6),
    _lvm("531m", 1344, 531e6),
    _lvm("1.1b", 1920, 1.1e9),
    *(_tiny("lvm-", width, "vision") for width in (16, 24, 32, 48, 64, 96, 128)),
    *(_gpu("lvm-", width, "vision") for width in (256, 384, 512)),
)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}


def _text(preset: Preset, length: int | None, settings: dict[str, Any]) -> dict[str, Any]:
    settings |= {"style": preset.style, "tied": preset.style == "gpt2"}
    return settings if length is None else settings | {"max_length": length}


def _multimodal(preset: Preset, length: int | None, settings: dict[str, Any]) -> dict[str, Any]:
    image_size, patch_size = _PICTURES[preset.scale]
    return settings | {"image_size": image_size, "patch_size": patch_size}


def _vision(preset: Preset, length: int | None, settings: dict[str, Any]) -> dict[str, Any]:
    settings = _multimodal(preset, length, settings)
    if preset.scale != "paper":  # else AIMv2's decoder, which is the default
        depth = {"gpu": preset.depth // 2, "tiny": 2}[preset.scale]
        settings |= {"decoder_width": preset.width, "decoder_depth": depth}
        settings |= {"decoder_heads": preset.heads}
    return settings


_Settings = Callable[[Preset, int | None, dict[str, Any]], dict[str, Any]]
_FAMILIES: dict[FamilyName, tuple[type, _Settings]] = {
    "text": (TextConfig, _text),
    "multimodal": (MultimodalConfig, _multimodal),
    "vision": (VisionConfig, _vision),
}


def get_preset(name: str, vocab_size: int, length: int | None = None, **overrides: Any) -> Any:
    """The model of a preset.

    Args:
        name: one of PRESETS.
        vocab_size: tokens of the tokenizer.
        length: longest window of a text model, None for its default; the other families take
            records of any length.
        **overrides: fields of the family's configuration to set otherwise.

    Returns:
        `TextConfig`, `MultimodalConfig` or `VisionConfig`, as the preset's family is.

    Raises:
        JaxmixError: there is no such preset.

    >>> get_preset("llama-412m", 50_432).width
    1024
    """
    preset = _find(name)
    tiny = preset.scale == "tiny"
    settings: dict[str, Any] = {
        "vocab_size": vocab_size,
        "width": preset.width,
        "depth": preset.depth,
        "heads": preset.heads,
        # Few layers compile fast enough to be written out one by one, which runs faster on a CPU.
        "scan": not tiny,
        "compute": "float32" if tiny else "bfloat16",
        "remat": "none" if tiny else "dots",
    }
    config, complete = _FAMILIES[preset.family]
    return config(**{**complete(preset, length, settings), **overrides})


def family_of(name: str) -> FamilyName:
    """The family of a preset.

    Raises:
        JaxmixError: there is no such preset.

    >>> family_of("nmm-275m")
    'multimodal'
    """
    return _find(name).family


def _find(name: str) -> Preset:
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, 3, 0.4) or list(PRESETS)
        raise JaxmixError(f"unknown preset '{name}'; nearest: {', '.join(near)}")
    return PRESETS[name]


def learning_rate(width: int) -> float:
    """Peak learning rate of a width, .614 / width: the rule that table 5 of the paper follows."""
    return _RATE_TIMES_WIDTH / width
