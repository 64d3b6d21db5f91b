"""Crops, mirror images and patches."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from jaxmix.data import image_of, patches_of
from jaxmix.data.augment import SCALE
from jaxmix.data.draws import keyed

GRID = SimpleNamespace(image_size=16, patch_size=4, patches=16, patch_dim=48)


def draws(n: int) -> np.ndarray:
    return keyed("test", 0, n)


def ramp(height: int, width: int) -> Image.Image:
    """Red is the column and green the row."""
    out = np.zeros((height, width, 3), np.uint8)
    out[..., 0] = np.arange(width)
    out[..., 1] = np.arange(height)[:, None]
    return Image.fromarray(out)


def test_patches_are_read_row_by_row_and_come_back():
    picture = ramp(16, 16)
    (patches,) = patches_of([picture], GRID)
    assert patches.shape == (16, 48)
    assert np.array_equal(patches[1].reshape(4, 4, 3), np.asarray(picture)[:4, 4:8])
    assert np.array_equal(image_of(patches, GRID), picture)


def test_without_chance_the_middle_is_seen():
    (patches,) = patches_of([ramp(16, 48)], GRID)
    assert np.array_equal(image_of(patches, GRID), np.asarray(ramp(16, 48))[:, 16:32])


def test_the_same_chance_gives_the_same_crops_and_another_another():
    pictures = [ramp(40, 60)] * 3
    first, again = (patches_of(pictures, GRID, draws(3)) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], first[1])


def test_crops_cover_the_scales_and_stay_inside():
    n = 400
    made = patches_of([ramp(100, 100)] * n, GRID, draws(n))
    images = np.stack([image_of(p, GRID) for p in made]).astype(float)
    # A crop of w columns shows their 16 means, the outermost w (1 - 1/16) apart.
    widths, heights = (
        (images[..., c].max((1, 2)) - images[..., c].min((1, 2))) * 16 / 15 for c in (0, 1)
    )
    areas = widths * heights / 1e4
    assert SCALE[0] - 0.06 < areas.min() < SCALE[0] + 0.06
    assert 0.9 < areas.max() < 1.04
    assert widths.max() <= 101 and heights.max() <= 101
    ratios = widths / heights
    assert 0.7 < ratios.min() < 0.8 and 1.25 < ratios.max() < 1.42


def test_half_of_those_that_may_are_mirrored():
    n = 400
    flip = np.arange(n) % 2 == 0
    made = patches_of([ramp(50, 50)] * n, GRID, draws(n), flip)
    columns = np.stack([image_of(p, GRID) for p in made])[:, 8, :, 0].astype(int)
    mirrored = columns[:, 0] > columns[:, -1]
    assert not mirrored[~flip].any()
    assert 0.4 < mirrored[flip].mean() < 0.6


@pytest.mark.parametrize("shape", [(8, 8), (9, 27), (300, 120)])
def test_pictures_of_any_shape_are_read(shape):
    assert patches_of([ramp(*shape)], GRID, draws(1)).shape == (1, 16, 48)
