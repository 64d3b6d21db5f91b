"""Pictures as patches: random resized crops and mirroring in training, center crops otherwise.

A scale of .4 to 1 and mirroring with p = .5 are the paper's (table 6); aspect ratios of 3/4 to 4/3
are torchvision's default. All randomness comes from one number per picture, so that a visit of a
record looks the same in every run with the same seed.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from .draws import uniforms
from .workers import spread

SCALE = (0.4, 1.0)
ASPECT = (3 / 4, 4 / 3)

Box = tuple[float, float, float, float]


class Geometry(Protocol):
    """How a model cuts a picture; `jaxmix.models.PatchGrid` is one."""

    @property
    def image_size(self) -> int:
        """Side of the square that pictures are resized to, in pixels."""
        ...

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        ...

    @property
    def patches(self) -> int:
        """Number of patches in a picture."""
        ...

    @property
    def patch_dim(self) -> int:
        """Number of values in a patch: pixels x RGB."""
        ...


def patches_of(
    pictures: Sequence[Image.Image],
    geometry: Geometry,
    draws: np.ndarray | None = None,
    flip: np.ndarray | None = None,
) -> np.ndarray:
    """Pictures as patches, row by row from the top left, uint8 [n, patches, patch_dim].

    Args:
        pictures: pictures in RGB, of any size.
        geometry: how the model cuts pictures.
        draws: random numbers for crops and mirroring, uint64 [n]; None for center crops.
        flip: whether each picture may be mirrored, bool [n].
    """
    size, p = geometry.image_size, geometry.patch_size
    side, row = size // p, 3 * p  # patches, and bytes of a row of one
    out = np.empty((len(pictures), geometry.patches, geometry.patch_dim), np.uint8)
    chance = None if draws is None else uniforms(draws, 5)
    boxes = _centers(pictures) if chance is None else _boxes(pictures, chance)
    mirrored = np.zeros(len(pictures), bool)
    if chance is not None and flip is not None:
        mirrored = flip & (chance[:, 4] < 0.5)

    def cut(i: int) -> None:
        picture = pictures[i].resize((size, size), Image.Resampling.BILINEAR, boxes[i])
        if mirrored[i]:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = np.asarray(picture).reshape(side, p, side, row)
        out[i].reshape(side, side, p, row)[...] = pixels.swapaxes(1, 2)

    spread(cut, range(len(pictures)), size)
    return out


def image_of(patches: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Makes a picture of its patches.

    Args:
        patches: [patches, patch_dim].
        geometry: how they were cut.

    Returns:
        [image_size, image_size, 3].
    """
    side, p = geometry.image_size // geometry.patch_size, geometry.patch_size
    grid = patches.reshape(side, side, p, p, 3).swapaxes(1, 2)
    return grid.reshape(geometry.image_size, geometry.image_size, 3)


def _centers(pictures: Sequence[Image.Image]) -> list[Box]:
    """The largest centered square of each picture."""
    sizes = [(width, height, min(width, height)) for width, height in (p.size for p in pictures)]
    return [((w - s) / 2, (h - s) / 2, (w + s) / 2, (h + s) / 2) for w, h, s in sizes]


def _boxes(pictures: Sequence[Image.Image], chance: np.ndarray) -> list[Box]:
    """Random crops: a share of the area, an aspect ratio, and a position, within the picture."""
    sizes = np.array([picture.size[::-1] for picture in pictures], np.float64).reshape(-1, 2)
    area = sizes.prod(1) * (SCALE[0] + (SCALE[1] - SCALE[0]) * chance[:, 0])
    low, high = np.log(ASPECT)
    aspect = np.exp(low + (high - low) * chance[:, 1])
    shape = np.stack([np.sqrt(area / aspect), np.sqrt(area * aspect)], axis=1)
    shape = np.minimum(shape, sizes)
    start = (sizes - shape) * chance[:, 2:4]
    top_left, bottom_right = start[:, ::-1], (start + shape)[:, ::-1]
    limits = np.concatenate([top_left, np.minimum(bottom_right, sizes[:, ::-1])], axis=1)
    return [tuple(box) for box in limits.tolist()]
