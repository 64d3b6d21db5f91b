"""Pictures as patches: their number, what goes into a model and what is predicted of them.

A patch is a row of P = 3 * patch_size^2 raw pixels, uint8; patches are read row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from jaxmix.errors import JaxmixError

# Gray levels squared: less than rounding to whole levels brings about, so that it matters for
# patches of a single color alone, which become zeros.
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
        """Patches K of a picture."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def patch_dim(self) -> int:
        """Numbers P of a patch: pixels x RGB."""
        return 3 * self.patch_size**2

    def check(self, patches: jax.Array, per_picture: bool) -> None:
        """Compares the shape of a batch's patches with the grid.

        Args:
            patches: [B, K, P], or [B, T, P] in packed rows.
            per_picture: the second axis is one picture's.

        Raises:
            JaxmixError: they are cut otherwise.
        """
        wrong = patches.shape[2] != self.patch_dim
        if wrong or (per_picture and patches.shape[1] != self.patches):
            raise JaxmixError(
                f"the batch holds patches {tuple(patches.shape)}, but the model cuts pictures of "
                f"{self.image_size} pixels into {self.patches} patches of {self.patch_dim} "
                "numbers; give model and data the same image_size and patch_size"
            )


def centered(patches: jax.Array) -> jax.Array:
    """Raw pixels to -1 to 1, in float32."""
    return patches.astype(jnp.float32) / 127.5 - 1


def standardized(patches: jax.Array) -> jax.Array:
    """Raw pixels [..., P] to zero mean and unit variance in every patch, as He et al. (MAE) do."""
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
