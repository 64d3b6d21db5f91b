"""Stand-in until the full table lands."""

from jaxmix.models.text import TextConfig


def get_preset(name: str, vocab_size: int, length: int | None = None, **overrides) -> TextConfig:
    """A tiny preset."""
    width = int(name.removeprefix("tiny-"))
    made = dict(vocab_size=vocab_size, width=width, depth=3, heads=max(1, width // 16), scan=False)
    return TextConfig(**{**made, **overrides})
