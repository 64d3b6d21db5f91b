"""Named sizes of all families: those of the paper, ladders for one GPU, and tiny ones."""

from dataclasses import dataclass
from typing import Any, Literal

from jaxmix.errors import JaxmixError, hint
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
    """The size of a model; width, depth, heads and parameters of a vision model are its encoder's.

    Attributes:
        name: name of the preset, such as llama-412m or tiny-64.
        width: latent dimension.
        depth: number of layers.
        style: "llama" or "gpt2".
        source: origin of the size.
        parameters: number of parameters that the source states, including embeddings; None if it
            states none.
        family: "text", "multimodal" or "vision".
        scale: "paper", "gpu" for a single GPU, or "tiny" for proxies on CPU cores.
        stated_rate: peak learning rate of the source; None if it follows `learning_rate`.
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
        """Number of heads: of width 16 in tiny models, of 64 in GPT-2-style and one-GPU models.

        Other heads are the widest that GPU kernels support, multiples of 8 up to 128. AIMv2 has
        128; tables 5 and 6 state no heads.
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


# Source and family of the paper's sizes by the prefix of their names.
_PAPER: dict[str, tuple[str, FamilyName]] = {
    "llama": ("table 5", "text"),
    "gpt2": ("table 7", "text"),
    "nmm": ("table 6", "multimodal"),
    "lvm": ("table 1", "vision"),
}


def _paper(name: str, width: int, parameters: float, rate: float | None = None) -> Preset:
    prefix = name.partition("-")[0]
    source, family = _PAPER[prefix]
    style = "gpt2" if prefix == "gpt2" else "llama"
    return Preset(name, width, 24, style, source, parameters, family, stated_rate=rate)


def _ours(prefix: str, family: FamilyName, scale: Scale, *widths: int) -> list[Preset]:
    depth, source = {"tiny": (3, "for two CPU cores"), "gpu": (12, "for one GPU")}[scale]
    named = ((f"{prefix}{scale}-{width}", width) for width in widths)
    return [Preset(n, w, depth, "llama", source, family=family, scale=scale) for n, w in named]


# The stated counts agree, within 5%, with 24 * 12 * d^2 and two matrices of 50,432 tokens in
# tables 5 and 6, and with one matrix of 32,000 tokens in table 7, except for its 3B, which gives
# 2.82e9. Table 1 states only the encoders' counts: 306M is AIMv2-L's width of 1024, and the other
# widths are chosen to agree within 5%.
_ALL = (
    _paper("llama-412m", 1024, 412e6),
    _paper("llama-834m", 1536, 834e6),
    _paper("llama-1.1b", 1792, 1.1e9),
    _paper("llama-1.4b", 2048, 1.4e9),
    _paper("llama-3b", 3072, 3e9),
    _paper("llama-7b", 4864, 7e9),
    _paper("gpt2-90m", 512, 90e6),
    _paper("gpt2-200m", 768, 200e6),
    _paper("gpt2-350m", 1024, 350e6),
    _paper("gpt2-700m", 1536, 700e6),
    _paper("gpt2-1.3b", 2048, 1.3e9),
    _paper("gpt2-3b", 3072, 3e9),
    *_ours("", "text", "tiny", 16, 24, 32, 48, 64, 96, 128, 192, 256),
    _paper("nmm-275m", 800, 275e6, 1.5e-3),
    _paper("nmm-468m", 1088, 468e6, 1.5e-3),
    _paper("nmm-932m", 1632, 932e6, 5e-4),
    _paper("nmm-1.6b", 2208, 1.63e9, 4.2e-4),
    _paper("nmm-2.3b", 2624, 2.28e9, 4e-4),
    _paper("nmm-3.4b", 3232, 3.35e9, 3.5e-4),
    _paper("nmm-8.1b", 5120, 8.13e9, 2.4e-4),
    *_ours("nmm-", "multimodal", "tiny", 16, 24, 32, 48, 64, 96, 128),
    *_ours("nmm-", "multimodal", "gpu", 256, 384, 512),
    _paper("lvm-89m", 560, 89e6),
    _paper("lvm-157m", 728, 157e6),
    _paper("lvm-306m", 1024, 306e6),
    _paper("lvm-531m", 1344, 531e6),
    _paper("lvm-1.1b", 1920, 1.1e9),
    *_ours("lvm-", "vision", "tiny", 16, 24, 32, 48, 64, 96, 128),
    *_ours("lvm-", "vision", "gpu", 256, 384, 512),
)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}


def get_preset(name: str, vocab_size: int, length: int | None = None, **overrides: Any) -> Any:
    """The model of a preset.

    Args:
        name: one of PRESETS.
        vocab_size: number of tokens of the tokenizer.
        length: longest window of a text model, None for its default; the other families take
            records of any length.
        **overrides: fields of the family's configuration.

    Returns:
        `TextConfig`, `MultimodalConfig` or `VisionConfig`, depending on the preset's family.

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
        # Unrolled layers run faster on a CPU, and few of them compile fast enough.
        "scan": not tiny,
        "compute": "float32" if tiny else "bfloat16",
        "remat": "none" if tiny else "dots",
    }
    if preset.family == "text":
        settings |= {"style": preset.style, "tied": preset.style == "gpt2"}
        settings |= {} if length is None else {"max_length": length}
        return TextConfig(**{**settings, **overrides})
    settings["image_size"], settings["patch_size"] = _PICTURES[preset.scale]
    if preset.family == "multimodal":
        return MultimodalConfig(**{**settings, **overrides})
    if preset.scale != "paper":  # whose decoder is AIMv2's, the default
        depth = 2 if tiny else preset.depth // 2
        settings |= {"decoder_width": preset.width, "decoder_depth": depth}
        settings |= {"decoder_heads": preset.heads}
    return VisionConfig(**{**settings, **overrides})


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
        raise JaxmixError(f"unknown preset '{name}'; {hint(name, PRESETS)}")
    return PRESETS[name]


def learning_rate(width: int) -> float:
    """Peak learning rate of a width, .614 / width: the rule that table 5 of the paper follows."""
    return _RATE_TIMES_WIDTH / width
