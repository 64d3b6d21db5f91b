"""Pictures as patches: their number, the inputs of models, and the targets of predictions.

A patch is a row of P = 3 * patch_size^2 raw pixels, uint8; patches are ordered row by row.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from jaxmix.errors import JaxmixError
from jaxmix.models.blocks import ModelConfig

# Gray levels squared: less than the variance of rounding to whole levels, so that it only matters
# for patches of a single color, which become zeros.
_FLAT = 0.01


@dataclass(frozen=True)
class PatchGrid:
    """A square picture in square patches.

    Attributes:
        image_size: side in pixels.
        patch_size: side of a patch in pixels; it divides `image_size`.
    """

    image_size: int
    patch_size: int

    def __post_init__(self) -> None:
        if self.image_size < 1 or self.patch_size < 1 or self.image_size % self.patch_size:
            raise JaxmixError(
                f"pictures of {self.image_size} pixels do not divide into patches of "
                f"{self.patch_size}; choose another patch size"
            )

    @property
    def patches(self) -> int:
        """Number K of patches in a picture."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def patch_dim(self) -> int:
        """Number P of values in a patch: pixels x RGB."""
        return 3 * self.patch_size**2

    def check(self, patches: jax.Array, per_picture: bool) -> None:
        """Checks the shape of a batch's patches.

        Args:
            patches: [B, K, P], or [B, T, P] in packed rows.
            per_picture: whether the second axis is that of one picture.

        Raises:
            JaxmixError: they do not fit the grid.
        """
        wrong = patches.shape[2] != self.patch_dim
        if wrong or (per_picture and patches.shape[1] != self.patches):
            raise JaxmixError(
                f"the batch holds patches {tuple(patches.shape)}, but the model cuts pictures of "
                f"{self.image_size} pixels into {self.patches} patches of {self.patch_dim} "
                "numbers; give model and data the same image_size and patch_size"
            )


@dataclass(frozen=True)
class ImageConfig(ModelConfig):
    """Settings of the families that read pictures.

    Attributes:
        image_size: side of a picture in pixels.
        patch_size: side of a patch in pixels.
    """

    image_size: int = 224
    patch_size: int = 14

    @property
    def grid(self) -> PatchGrid:
        """How pictures are cut."""
        return PatchGrid(self.image_size, self.patch_size)


def centered(patches: jax.Array) -> jax.Array:
    """Raw pixels to -1 to 1, in float32."""
    return patches.astype(jnp.float32) / 127.5 - 1


def standardized(patches: jax.Array) -> jax.Array:
    """Raw pixels [..., P] with zero mean and unit variance per patch, as in He et al. (MAE)."""
    pixels = patches.astype(jnp.float32)
    pixels = pixels - pixels.mean(-1, keepdims=True)
    return pixels * jax.lax.rsqrt((pixels * pixels).mean(-1, keepdims=True) + _FLAT)


def grid_positions(side: int, width: int) -> jax.Array:
    """Sines and cosines of row and column, [side^2, width]; `width` is a multiple of 4."""
    rates = 10_000.0 ** (-jnp.arange(width // 4) / (width // 4))
    turns = jnp.arange(side)[:, None] * rates
    waves = jnp.concatenate([jnp.sin(turns), jnp.cos(turns)], axis=1)
    rows, columns = jnp.repeat(waves, side, axis=0), jnp.tile(waves, (side, 1))
    return jnp.concatenate([rows, columns], axis=1)
