"""Pictures of more than 8 bits a sample, brought to 8 bits by the values that they hold.

Files do not say which values are white: 12 bits in 16, floating-point numbers up to 1 or up to 255,
and 8 bits in 32 look alike in their headers. A scale is chosen from the picture's own largest
value, never from other pictures. If no scale is likely, the picture is unreadable, not black.
"""

import numpy as np
from PIL import Image

from .skips import Unusable

_TOPS = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))
_DARKEST = 1 / 16  # of white; the scale of a picture whose largest value is less is not known
_SLACK = 1.02  # resampling overshoots
_NO_SCALE = "has values of no known scale (0 to 1, or 8 to 16 bits)"


class UnreadablePicture(Unusable):
    """Data that is not a usable picture."""


def eight_bits(
    image: Image.Image, *, white: float | None = None, inverted: bool = False, deep: bool = False
) -> Image.Image:
    """A picture of any depth with 8 bits a sample; one that has 8 bits is returned as it is.

    Args:
        image: a decoded picture.
        white: value of white in gray pictures of more than 8 bits, if the file says it.
        inverted: whether 0 is white in these.
        deep: whether a color picture had 16 bits a sample, of which Pillow keeps the upper 8.

    Raises:
        UnreadablePicture: the values are not numbers, or their scale cannot be told.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        return _gray(image, white, inverted)
    if deep:
        _check_upper_bits(image)
    return image


def _gray(image: Image.Image, white: float | None, inverted: bool) -> Image.Image:
    values = np.asarray(image).astype(np.float32)  # exact for 16 bits
    if not np.isfinite(values).all():
        raise UnreadablePicture("has values that are not numbers")
    white = white or _white(values, image.mode == "F")
    if values.max() < white * _DARKEST:
        raise UnreadablePicture(_NO_SCALE)
    levels = np.rint(values * (255 / white)).clip(0, 255).astype(np.uint8)
    if inverted:
        levels = 255 - levels
    levels[values == image.info.get("transparency", -1)] = 255
    return Image.fromarray(levels)


def _white(values: np.ndarray, is_float: bool) -> float:
    """The value of white, from what is there."""
    low, high = values.min(), values.max()
    if low < (1 - _SLACK) * high or high > _SLACK * _TOPS[-1]:
        raise UnreadablePicture(_NO_SCALE)
    if is_float and high <= _SLACK:
        return 1.0
    if high < 255 * _DARKEST:
        raise UnreadablePicture(_NO_SCALE)
    # Only 8 bits that were spread over 16 are all multiples of 257.
    if high >= 257 and not (values % 257).any():
        return 65535.0
    return float(next(top for top in _TOPS if high <= _SLACK * top))


def _check_upper_bits(image: Image.Image) -> None:
    """Refuses colors whose upper bits are empty: they have fewer than 16, and those are lost."""
    *colors, last = (high for _, high in _extrema(image))
    has_alpha = image.mode.endswith("A")
    color = max(colors) if has_alpha else max(*colors, last)
    black_shape = has_alpha and color == 0
    if (color < 64 and not black_shape) or (has_alpha and 0 < last < 64):
        raise UnreadablePicture(_NO_SCALE)


def _extrema(image: Image.Image) -> tuple[tuple[int, int], ...]:
    """The least and the largest value of every band."""
    found = image.getextrema()
    return found if isinstance(found[0], tuple) else (found,)  # type: ignore[return-value]
