"""Pictures as corpora keep them: decoded once, shrunk to one size, and saved as plain PNG."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import DataError
from .levels import UnreadablePicture as UnreadablePicture
from .levels import eight_bits
from .skips import Skips as Skips

MOST_PIXELS = 50_000_000  # according to the header, before anything is decoded
LEAST_SIDE = 8  # pixels
MOST_RATIO = 10  # of the sides; rulers and dividers are not pictures
KEPT_RATIO = 3  # of the sides of pictures that are kept
_LARGE = 128  # pixels
# Only these, because Pillow's other readers start programs (EPS) or are for scientific data.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

_PHOTOMETRIC = 262  # a tag of TIFF; 0 says that 0 is white


def shrunk(data: bytes, size: int) -> bytes:
    """A picture as plain RGB PNG with a shorter side of `size` pixels.

    Transparent pictures are laid over white, animations are reduced to their first frame, and the
    EXIF orientation is applied. Pictures longer than 3 to 1 are cropped at both ends. Those of more
    than 8 bits a sample are scaled by what they hold, see `levels`.

    Args:
        data: an encoded picture: PNG, JPEG, WebP, GIF, BMP, TIFF or PNM.
        size: shorter side in pixels; smaller pictures are enlarged.

    Raises:
        UnreadablePicture: it is damaged, not a picture, or has unusable sides.
    """
    return png(_resized(_cropped(_opaque(_decoded(data, 2 * size))), size))


def measured(data: bytes) -> tuple[int, int]:
    """Width and height of a picture in pixels, from its header.

    Raises:
        UnreadablePicture: it is not a picture, or has unusable sides.
    """
    with _opened(data) as image:
        return image.size


def render(svg: str | bytes, size: int) -> bytes:
    """A vector graphic as plain RGB PNG [size, size]: whole, centered, on white.

    Raises:
        UnreadablePicture: it is not an SVG.
        DataError: the package that renders it is not installed.
    """
    resvg_py = _renderer()
    try:
        text = svg.decode() if isinstance(svg, bytes) else svg
        made = resvg_py.svg_to_bytes(
            svg_string=text, width=size, height=size, background="white", skip_system_fonts=True
        )
    except ValueError:
        raise UnreadablePicture("is not an SVG that can be drawn") from None
    with Image.open(io.BytesIO(made)) as image:
        drawn = image.convert("RGB")
    if drawn.size == (size, size):
        return png(drawn)
    square = Image.new("RGB", (size, size), "white")
    square.paste(drawn, ((size - drawn.width) // 2, (size - drawn.height) // 2))
    return png(square)


def _renderer() -> Any:
    """The package of the extra [images]; everything else needs only Pillow."""
    try:
        import resvg_py
    except ImportError:
        raise DataError(
            "drawing vector graphics needs the package resvg-py: pip install resvg-py"
        ) from None
    return resvg_py


def png(image: Image.Image) -> bytes:
    """An image as PNG, without metadata: equal pixels give equal bytes."""
    image.info.clear()
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def quick(data: bytes) -> bytes:
    """A plain PNG as training reads it: large photographs uncompressed, as PPM.

    PNG of photographs takes most of the time of a training's pictures, and saves less than half.
    """
    with Image.open(io.BytesIO(data)) as image:
        if min(image.size) < _LARGE or 2 * len(data) < 3 * image.width * image.height:
            return data
        out = io.BytesIO()
        image.save(out, "PPM")
    return out.getvalue()


def is_blank(data: bytes) -> bool:
    """Whether a readable picture has a single color, over white."""
    extrema = _opaque(_decoded(data)).getextrema()
    return all(low == high for low, high in extrema)  # type: ignore[misc]


def _decoded(data: bytes, draft: int | None = None) -> Image.Image:
    """A whole picture, upright; a large JPEG is decoded at a reduced size of at least `draft`."""
    with _opened(data) as image:
        if draft:
            image.draft("RGB", (draft, draft))
        # Pillow scales these to 16 bits, and says nothing of colors and of white in TIFF.
        white = 65535 if image.format == "PPM" and image.mode == "I" else None
        inverted = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
        deep = ";16" in str(getattr(image, "tile", ""))
        upright = ImageOps.exif_transpose(image)
    return eight_bits(upright, white=white, inverted=inverted, deep=deep)


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """A picture with a valid header; use it only around calls of Pillow, whose errors it maps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_sides(*image.size)
                yield image
        except UnreadablePicture:
            raise
        except Image.DecompressionBombError:
            raise UnreadablePicture(_TOO_LARGE) from None
        except UnidentifiedImageError:
            raise UnreadablePicture(f"is not a picture ({', '.join(FORMATS)})") from None
        except Exception as error:  # readers raise whatever damaged bytes lead them to
            raise UnreadablePicture("is damaged or cut short") from error


_TOO_LARGE = f"has more than {MOST_PIXELS // 1_000_000} megapixels"


def _check_sides(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise UnreadablePicture(_TOO_LARGE)
    if min(width, height) < LEAST_SIDE:
        raise UnreadablePicture(f"has a side of less than {LEAST_SIDE} pixels")
    if max(width, height) > MOST_RATIO * min(width, height):
        raise UnreadablePicture(f"has sides of more than {MOST_RATIO} to 1")


def _opaque(image: Image.Image) -> Image.Image:
    """The image in RGB, laid over white if it is transparent."""
    if image.has_transparency_data:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        return Image.alpha_composite(white, over).convert("RGB")
    return image.convert("RGB")


def _cropped(image: Image.Image) -> Image.Image:
    """The middle of an image, cropped to at most 3 to 1."""
    most = KEPT_RATIO * min(image.size)
    width, height = (min(side, most) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _resized(image: Image.Image, size: int) -> Image.Image:
    short = min(image.size)
    if short == size:
        return image
    width, height = (round(side * size / short) for side in image.size)
    kind = Image.Resampling.LANCZOS if short > size else Image.Resampling.BICUBIC
    return image.resize((width, height), kind)
