"""Decoding, shrinking and drawing of pictures, and counting those left out."""

import contextlib
import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxmix.data.errors import DataError
from jaxmix.data.pictures import (
    Skips,
    UnreadablePicture,
    is_blank,
    measured,
    quick,
    render,
    shrunk,
)

DISC = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><circle cx="12" cy="12" r="9"/>'


def encoded(image: Image.Image, kind: str = "PNG", **more) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG" and image.mode == "RGB" and not image.info
    return image


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((100, 50), (64, 32)),
        ((50, 101), (32, 65)),
        ((20, 10), (64, 32)),
        ((32, 32), (32, 32)),
        ((8, 80), (32, 96)),
        ((1000, 300), (96, 32)),
    ],
)
def test_shorter_side_is_exact_and_the_longer_at_most_three_times_it(sides, expected):
    assert decoded(shrunk(encoded(noise(*sides)), 32)).size == expected


def test_ends_are_cut_from_what_is_too_long():
    image = Image.new("RGB", (100, 10), "red")
    image.paste("blue", (35, 0, 65, 10))
    colors = decoded(shrunk(encoded(image), 10)).getcolors()
    assert colors == [(300, (0, 0, 255))]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_every_format_is_read(kind):
    image = Image.new("RGB", (40, 30), (200, 10, 10))
    pixel = decoded(shrunk(encoded(image, kind), 16)).getpixel((8, 8))
    assert np.allclose(pixel, (200, 10, 10), atol=6)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_is_read(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 20), 65535, np.uint16))
    else:
        image = Image.new("RGB", (20, 20), "white").convert(mode)
    assert decoded(shrunk(encoded(image, kind), 16)).getcolors() == [(256, (255, 255, 255))]


def test_sixteen_bits_keep_their_grays():
    image = Image.fromarray(np.full((20, 20), 128 << 8, np.uint16))
    assert decoded(shrunk(encoded(image), 16)).getpixel((3, 3)) == (128, 128, 128)


GRAY = np.repeat([[81.0] * 20 + [130.0] * 20], 30, 0)  # dim, as most photographs are


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("factor", [1, 4, 16, 64, 257])
def test_gray_of_8_to_16_bits_is_scaled_by_what_is_there(factor, kind):
    assert_as_plain(encoded(Image.fromarray((GRAY * factor).astype(np.uint16)), kind))


@pytest.mark.parametrize("factor", [1 / 255, 1, 257])
def test_other_numbers_are_scaled_too(factor):
    assert_as_plain(encoded(Image.fromarray((GRAY * factor).astype(np.float32)), "TIFF"))
    if factor >= 1:
        assert_as_plain(encoded(Image.fromarray((GRAY * factor).astype(np.int32)), "TIFF"))


def test_what_the_file_says_of_its_grays_holds():
    white_is_zero = Image.fromarray((65535 - GRAY * 257).astype(np.uint16))
    assert_as_plain(encoded(white_is_zero, "TIFF", tiffinfo={262: 0}))
    deep = b"P5 40 30 4095\n" + (GRAY * 16).astype(">u2").tobytes()
    assert_as_plain(deep)
    clear = (b"tRNS", struct.pack(">H", 130 * 257))
    made = decoded(shrunk(png_of((GRAY * 257)[..., None], 0, clear), 30))
    assert made.getpixel((2, 2)) == (81,) * 3 and made.getpixel((38, 2)) == (255,) * 3


def assert_as_plain(data: bytes) -> None:
    plain = encoded(Image.fromarray(GRAY.astype(np.uint8)))
    both = [np.asarray(decoded(shrunk(one, 30))).astype(int) for one in (data, plain)]
    assert abs(both[0] - both[1]).max() <= 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.where(GRAY > 100, np.nan, 0.5), "not numbers"),
        (np.where(GRAY > 100, np.inf, 0.5), "not numbers"),
        (GRAY / 127.5 - 1, "no known scale"),
        (GRAY / 20, "no known scale"),
        (GRAY * 1e5, "no known scale"),
        (GRAY * 0, "no known scale"),
        ((GRAY > 100).astype(np.int32), "no known scale"),
        (GRAY.astype(np.int32) << 23, "no known scale"),
        (GRAY.astype(np.int32) - 100, "no known scale"),
    ],
)
def test_values_of_no_known_scale_are_unreadable_and_not_black(values, reason):
    kind = values.dtype if values.dtype == np.int32 else np.float32
    with pytest.raises(UnreadablePicture, match=reason):
        shrunk(encoded(Image.fromarray(values.astype(kind)), "TIFF"), 16)


def test_colors_of_16_bits_are_read_unless_their_upper_bits_are_empty():
    colors = np.stack([GRAY, 200 - GRAY, GRAY], 2)
    whole = np.asarray(decoded(shrunk(png_of(colors * 257, 2), 30)))
    assert np.array_equal(whole, colors)
    with pytest.raises(UnreadablePicture, match="no known scale"):
        shrunk(png_of(colors * 16, 2), 30)
    # A black drawing on nothing has no colors, and its depth shows in its transparency.
    shape = np.stack([0 * GRAY, np.where(GRAY > 100, 65535, 0)], 2)
    made = decoded(shrunk(png_of(shape, 4), 30))
    assert made.getpixel((2, 2)) == (255,) * 3 and made.getpixel((30, 2)) == (0,) * 3
    with pytest.raises(UnreadablePicture, match="no known scale"):
        shrunk(png_of(shape / 16, 4), 30)


def test_transparency_is_laid_over_white():
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    half = Image.new("RGBA", (20, 20), (255, 0, 0, 128))
    assert decoded(shrunk(encoded(clear), 16)).getpixel((8, 8)) == (255, 255, 255)
    assert decoded(shrunk(encoded(half), 16)).getpixel((8, 8)) == (255, 127, 127)
    palette = Image.new("P", (20, 20), 0)
    assert is_blank(encoded(palette, "PNG", transparency=0))
    assert decoded(shrunk(encoded(palette, transparency=0), 16)).getpixel((0, 0)) == (255,) * 3


def test_orientation_is_applied():
    image = Image.new("RGB", (40, 20), "blue")
    image.paste("red", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    made = decoded(shrunk(encoded(image, "JPEG", exif=exif, quality=95), 20))
    assert made.size == (20, 40)
    assert made.getpixel((10, 5))[0] > 200 and made.getpixel((10, 35))[2] > 200


def test_first_frame_counts():
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decoded(shrunk(data, 16)).getpixel((0, 0)) == (255, 0, 0)


def test_equal_pixels_give_equal_bytes_whatever_the_metadata():
    image = noise(16, 16)
    exif = Image.Exif()
    exif[0x010E] = "a description"
    assert shrunk(encoded(image, dpi=(300, 300), exif=exif), 16) == shrunk(encoded(image), 16)
    once = shrunk(encoded(noise(50, 70)), 32)
    assert shrunk(once, 32) == once


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises more than it has."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return chunks((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 9)))


def png_of(values: np.ndarray, color: int, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG of 16 bits a sample, [height, width, samples]."""
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, color, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return chunks((b"IHDR", header), *more, (b"IDAT", zlib.compress(rows)))


def chunks(*held: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks."""
    made = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (*held, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


SOUND = encoded(noise(64, 64))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not a picture"),
        (b"GIF89a", "is not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n", "is not a picture"),
        (SOUND[: len(SOUND) // 2], "is damaged or cut short"),
        (encoded(noise(64, 64), "JPEG")[:900], "is damaged or cut short"),
        (bomb(7_100, 7_100), "more than 50 megapixels"),
        (bomb(10_000, 10_000), "more than 50 megapixels"),
        (bomb(60_000, 60_000), "more than 50 megapixels"),
        (bomb(100, 100), "is damaged or cut short"),
        (encoded(noise(7, 40)), "a side of less than 8 pixels"),
        (encoded(noise(8, 81)), "more than 10 to 1"),
    ],
)
def test_unusable_pictures_say_why_in_general_words(data, reason):
    with pytest.raises(UnreadablePicture, match=reason) as error:
        shrunk(data, 32)
    assert len(str(error.value)) < 70


def test_any_cut_or_flipped_byte_is_read_or_refused():
    rng = np.random.default_rng(1)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF"):
        data = encoded(noise(24, 24), kind)
        for place in rng.integers(0, len(data), 40):
            for bad in (data[:place], data[:place] + b"\xff\x7f" + data[place + 2 :]):
                with contextlib.suppress(UnreadablePicture):
                    assert min(decoded(shrunk(bad, 16)).size) == 16


def test_measured_reads_the_header_alone():
    assert measured(bomb(300, 200)) == (300, 200)
    with pytest.raises(UnreadablePicture, match="is not a picture"):
        measured(b"nothing")


def test_drawing_is_whole_and_centered_on_white():
    made = decoded(render(DISC + "</svg>", 32))
    assert made.size == (32, 32)
    assert made.getpixel((0, 0)) == (255, 255, 255) and made.getpixel((16, 16)) == (0, 0, 0)
    tall = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 20"><path d="M0 0h10v20H0z"/>'
    pixels = np.asarray(decoded(render((tall + "</svg>").encode(), 32)))[..., 0]
    assert pixels.shape == (32, 32) and (pixels[:, 8:24] == 0).all()
    assert (pixels[:, :8] == 255).all() and (pixels[:, 24:] == 255).all()
    assert render(DISC + "</svg>", 32) == render(DISC + "</svg>", 32)


@pytest.mark.parametrize("svg", ["", DISC, "no", b"\xff\xfe"])
def test_bad_drawing_is_refused(svg):
    with pytest.raises(UnreadablePicture, match="not an SVG"):
        render(svg, 32)


def test_blank_is_one_color():
    assert is_blank(encoded(Image.new("RGB", (9, 9), "red")))
    assert not is_blank(SOUND)


def test_few_skips_pass_and_many_are_refused():
    skips = Skips()
    for i in range(3):
        skips.add(f"mine/{i}.png", "has no caption")
    skips.check("domain 'web'", 4)
    skips.add("mine/9.png", "is damaged or cut short")
    skips.check("domain 'web'", 80)
    message = r"'web': 4 of 79 documents .* has no caption \(such as mine/0.png\); fix or"
    with pytest.raises(DataError, match=message):
        skips.check("domain 'web'", 79)


def test_skips_are_told_by_reason():
    skips = Skips()
    skips.add("x", "has no text")
    for i in range(9):
        skips.add(f"{i}", "has no caption")
    assert skips.count == 10
    assert skips.facts == {
        "has no caption": {"count": 9, "examples": ["0", "1", "2", "3", "4"]},
        "has no text": {"count": 1, "examples": ["x"]},
    }
    assert list(skips.facts) == ["has no caption", "has no text"]


@pytest.mark.parametrize(("skipped", "message"), [(0, "holds no documents"), (2, "2 of 2")])
def test_nothing_left_is_refused(skipped, message):
    skips = Skips()
    for i in range(skipped):
        skips.add(f"{i}", "has no text")
    with pytest.raises(DataError, match=message):
        skips.check("domain 'web'", skipped)


def test_without_the_package_that_draws_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(DataError, match="resvg-py: pip install resvg-py"):
        render(DISC + "</svg>", 32)
    assert decoded(shrunk(encoded(noise(40, 30)), 16)).size == (21, 16)


def test_large_photographs_are_kept_as_they_are_quickly_read():
    photo, small = (shrunk(encoded(noise(300, 200)), size) for size in (128, 127))
    drawing = shrunk(encoded(Image.new("RGB", (300, 200), "red")), 128)
    assert quick(drawing) is drawing and quick(small) is small
    with Image.open(io.BytesIO(quick(photo))) as made:
        assert made.format == "PPM" and np.array_equal(made, decoded(photo))
