"""The models of all three families in eager PyTorch, as jaxmix has them; see torch_peer.py.

A model is made from the arrays that jaxmix starts from, whose shapes decide its own. Its forward
pass gives the mean loss of a batch.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON, FLAT = 1e-6, 0.01  # of RMSNorm, and of patches of a single color
Arrays = dict[str, np.ndarray]
Batch = dict[str, Tensor]
STACKS = ("blocks", "encoder", "decoder")  # whose parameters jaxmix stacks by layer


class RMSNorm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, EPSILON)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, length: int, rotary: bool, qk_norm: bool):
        super().__init__()
        self.heads, self.rotary, self.form = heads, rotary, "fused"
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.q_norm = RMSNorm(width // heads) if qk_norm else nn.Identity()
        self.k_norm = RMSNorm(width // heads) if qk_norm else nn.Identity()
        half = width // heads // 2
        angles = torch.arange(length)[:, None] * 10_000.0 ** (-torch.arange(half) / half)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        future = torch.full((length, length), -torch.inf).triu(1)
        self.register_buffer("future", future, persistent=False)

    def forward(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        batch, length, width = x.shape
        parts = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)  # [B, H, T, K] each
        q, k = self.q_norm(q), self.k_norm(k)
        if self.rotary:
            q, k = self.turned(torch.stack([q, k])).unbind(0)
        y = self.attend(q, k, v, hidden)
        return self.out(y.transpose(1, 2).reshape(batch, length, width))

    def turned(self, x: Tensor) -> Tensor:
        """Rotary positions: halves of a head as the two coordinates."""
        a, b = x.chunk(2, -1)
        return torch.cat([a * self.cos - b * self.sin, a * self.sin + b * self.cos], -1)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, hidden: Tensor | None) -> Tensor:
        """Causal without `hidden`, which is -inf at the keys that are not seen, [B, 1, T, T]."""
        if self.form == "fused":
            return F.scaled_dot_product_attention(q, k, v, hidden, is_causal=hidden is None)
        hidden = self.future if hidden is None else hidden
        return (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5 + hidden).softmax(-1) @ v


class SwiGLU(nn.Module):
    def __init__(self, width: int, inner: int):
        super().__init__()
        self.up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.up(x).chunk(2, -1)
        return self.down(F.silu(gate) * value)


class Block(nn.Module):
    def __init__(self, attention: Attention, width: int, inner: int):
        super().__init__()
        self.attention_norm, self.mlp_norm = RMSNorm(width), RMSNorm(width)
        self.attention, self.mlp = attention, SwiGLU(width, inner)

    def forward(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), hidden)
        return x + self.mlp(self.mlp_norm(x))


class Stack(nn.ModuleList):
    """Blocks in the shapes of the arrays of that name."""

    def __init__(self, arrays: Arrays, name: str, heads: int, length: int, rotary: bool = True):
        depth, inner, width = arrays[f"{name}.mlp.down.kernel"].shape
        norm = f"{name}.attention.q_norm.gain" in arrays
        attention = (Attention(width, heads, length, rotary, norm) for _ in range(depth))
        super().__init__(Block(one, width, inner) for one in attention)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        for block in self:
            x = block(x, hidden)
        return x


def linear(arrays: Arrays, name: str) -> nn.Linear:
    return nn.Linear(*arrays[f"{name}.kernel"].shape, bias=False)


class TextLM(nn.Module):
    def __init__(self, arrays: Arrays, heads: int, length: int):
        super().__init__()
        self.embedding = nn.Embedding(*arrays["embedding"].shape)
        self.blocks = Stack(arrays, "blocks", heads, length)
        self.norm = RMSNorm(arrays["norm.gain"].size)
        self.head = linear(arrays, "head")

    def forward(self, batch: Batch) -> Tensor:
        tokens = batch["tokens"].long()
        logits = self.head(self.norm(self.blocks(self.embedding(tokens[:, :-1]))))
        return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


class EarlyFusion(TextLM):
    def __init__(self, arrays: Arrays, heads: int, length: int):
        super().__init__(arrays, heads, length)
        self.patch_projection = linear(arrays, "patch_projection")

    def forward(self, batch: Batch) -> Tensor:
        text = self.embedding(batch["tokens"].long())
        pixels = self.patch_projection(centered(batch["patches"]))
        x = torch.where(batch["is_patch"].bool()[..., None], pixels, text)
        hidden = hidden_keys(batch["key_start"], batch["key_end"])
        logits = self.head(self.norm(self.blocks(x, hidden)))
        targets = batch["targets"].long().masked_fill(batch["counted"] == 0, -100)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())  # -100 does not count


class Vision(nn.Module):
    def __init__(self, arrays: Arrays, heads: int, length: int, patches: int, alpha: float):
        super().__init__()
        self.alpha = alpha
        self.patch_projection = linear(arrays, "patch_projection")
        width, inner = self.patch_projection.out_features, arrays["embedding"].shape[1]
        self.register_buffer("places", grid_positions(patches, width), persistent=False)
        self.encoder = Stack(arrays, "encoder", heads, patches, rotary=False)
        self.encoder_norm, self.decoder_norm = RMSNorm(width), RMSNorm(inner)
        self.connector = linear(arrays, "connector")
        self.embedding = nn.Embedding(*arrays["embedding"].shape)
        self.decoder = Stack(arrays, "decoder", heads, length)
        self.image_head, self.text_head = (
            linear(arrays, name) for name in ("image_head", "text_head")
        )

    def forward(self, batch: Batch) -> Tensor:
        patches, targets = batch["patches"], batch["targets"].long()
        count = patches.shape[1]
        prefix = batch["prefix"][:, None]
        x = self.patch_projection(centered(patches)) + self.places
        ends = torch.maximum(prefix, torch.arange(1, count + 1))
        x = self.encoder_norm(self.encoder(x, hidden_keys(torch.zeros_like(ends), ends)))
        x = torch.cat([self.connector(x), self.embedding(batch["tokens"].long())], 1)
        x = self.decoder_norm(self.decoder(x))
        logits, pixels = self.text_head(x[:, count:]), self.image_head(x[:, : count - 1])
        nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        caption = masked_mean(nats.view_as(targets), batch["counted"])
        errors = (pixels - standardized(patches[:, 1:])).square().mean(-1)
        image = masked_mean(errors, torch.arange(1, count) >= prefix)
        return (caption + self.alpha * image).mean()


def hidden_keys(start: Tensor, end: Tensor) -> Tensor:
    """Ranges of keys, [B, T] each, as what is added to scores, [B, 1, T, T]."""
    places = torch.arange(start.shape[1])
    hidden = (start[..., None] > places) | (places >= end[..., None])
    return torch.zeros(hidden.shape).masked_fill_(hidden, -torch.inf)[:, None]


def centered(patches: Tensor) -> Tensor:
    return patches.float() / 127.5 - 1


def standardized(patches: Tensor) -> Tensor:
    pixels = patches.float()
    pixels = pixels - pixels.mean(-1, keepdim=True)
    return pixels * (pixels.square().mean(-1, keepdim=True) + FLAT).rsqrt()


def masked_mean(values: Tensor, counted: Tensor) -> Tensor:
    weights = counted.float()
    return (values * weights).sum(-1) / weights.sum(-1).clamp(min=1)


def grid_positions(patches: int, width: int) -> Tensor:
    """Sines and cosines of row and column, [patches, width]."""
    side = round(patches**0.5)
    rates = 10_000.0 ** (-torch.arange(width // 4) / (width // 4))
    turns = torch.arange(side)[:, None] * rates
    waves = torch.cat([turns.sin(), turns.cos()], 1)
    return torch.cat([waves.repeat_interleave(side, 0), waves.repeat(side, 1)], 1)


def renamed(arrays: Arrays) -> Iterator[tuple[str, np.ndarray]]:
    """jaxmix's parameters, stacked by layer, under the names and in the shapes of torch."""
    for name, value in arrays.items():
        stem, _, last = name.rpartition(".")
        if last == "kernel":
            value = value.swapaxes(-1, -2)
        first, _, rest = f"{stem or last}.weight".partition(".")
        if first in STACKS:
            for i, layer in enumerate(value):
                yield f"{first}.{i}.{rest}", layer
        else:
            yield f"{first}.{rest}", value


MODELS = {"text": TextLM, "multimodal": EarlyFusion, "vision": Vision}
