"""The Llama-style text model and its training step in eager PyTorch: the peer of bench_train.py.

It runs as a process of its own, whose interpreter needs torch and NumPy and nothing of jaxmix.
One JSON object a line comes in and one a line goes out:

    {"do": "load", "file": "width.npz", "heads": 4, "rate": 1e-3}   parameters and tokens
    {"do": "check", "steps": 5}      losses and gradient norms, for either form of attention
    {"do": "tune", "seconds": 0.4}   tries both forms and both AdamWs, and keeps the fastest
    {"do": "rate", "seconds": 3.0}   tokens per second
"""

import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

DECAY, BETAS, CLIP, EPSILON = 1e-4, (0.9, 0.95), 1.0, 1e-6


class RMSNorm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, EPSILON)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, length: int):
        super().__init__()
        self.heads, self.form = heads, "fused"
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        half = width // heads // 2
        angles = torch.arange(length)[:, None] * 10_000.0 ** (-torch.arange(half) / half)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        future = torch.full((length, length), -torch.inf).triu(1)
        self.register_buffer("future", future, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        parts = parts.permute(2, 0, 3, 1, 4)  # [3, B, H, T, K]
        q, k = self.turned(parts[:2]).unbind(0)
        y = self.attend(q, k, parts[2])
        return self.out(y.transpose(1, 2).reshape(batch, length, width))

    def turned(self, x: Tensor) -> Tensor:
        """Rotary positions: halves of a head as the two coordinates."""
        a, b = x.chunk(2, -1)
        return torch.cat([a * self.cos - b * self.sin, a * self.sin + b * self.cos], -1)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.form == "fused":
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5 + self.future
        return scores.softmax(-1) @ v


class SwiGLU(nn.Module):
    def __init__(self, width: int, inner: int):
        super().__init__()
        self.up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.up(x).chunk(2, -1)
        return self.down(F.silu(gate) * value)


class Block(nn.Module):
    def __init__(self, width: int, heads: int, inner: int, length: int):
        super().__init__()
        self.attention_norm, self.mlp_norm = RMSNorm(width), RMSNorm(width)
        self.attention = Attention(width, heads, length)
        self.mlp = SwiGLU(width, inner)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class TextLM(nn.Module):
    """Embedding, blocks, norm and a head of its own, in the shapes of a file's arrays."""

    def __init__(self, arrays: dict[str, np.ndarray], heads: int, length: int):
        super().__init__()
        vocabulary, width = arrays["embedding"].shape
        depth, inner, _ = arrays["blocks.mlp.down.kernel"].shape
        self.embedding = nn.Embedding(vocabulary, width)
        blocks = (Block(width, heads, inner, length) for _ in range(depth))
        self.blocks = nn.ModuleList(blocks)
        self.norm = RMSNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.load_state_dict({name: torch.tensor(x) for name, x in renamed(arrays)})

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def renamed(arrays: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """jaxmix's parameters, stacked by layer, under the names and in the shapes of torch."""
    for name, value in arrays.items():
        stem, _, last = name.rpartition(".")
        if last == "kernel":
            value = value.swapaxes(-1, -2)
        place = f"{stem or last}.weight"
        if place.startswith("blocks."):
            for i, layer in enumerate(value):
                yield place.replace("blocks.", f"blocks.{i}.", 1), layer
        else:
            yield place, value


class Trainer:
    """A model, its optimizer and the one batch that it sees again and again."""

    def __init__(self, file: str, heads: int, rate: float) -> None:
        with np.load(file) as found:
            self.arrays = {name: found[name] for name in found.files}
        self.tokens = self.arrays.pop("tokens")
        self.heads, self.rate = heads, rate
        self.choose("fused", True)

    def choose(self, form: str, fused: bool) -> None:
        """Starts anew with a form of attention ("fused", "written") and of AdamW."""
        self.choice = {"attention": form, "adamw": "fused" if fused else "default"}
        self.model = TextLM(self.arrays, self.heads, self.tokens.shape[1] - 1)
        for block in self.model.blocks:
            block.attention.form = form
        self.params = list(self.model.parameters())
        # jaxmix's decay does not scale with the learning rate, and leaves gains alone.
        groups = [
            {"params": [p for p in self.params if p.ndim > 1], "weight_decay": DECAY / self.rate},
            {"params": [p for p in self.params if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=self.rate, betas=BETAS, fused=fused)

    def step(self) -> tuple[float, float]:
        """Loss in nats per token, and the gradient's norm before clipping."""
        tokens = torch.from_numpy(self.tokens.astype(np.int64))
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.model(tokens[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.params, CLIP)
        self.optimizer.step()
        return loss.item(), norm.item()

    def measure(self, seconds: float) -> float:
        """Tokens per second, after two steps that warm up."""
        self.step(), self.step()
        steps, begun = 0, time.monotonic()
        while not steps or time.monotonic() - begun < seconds:
            self.step()
            steps += 1
        predicted = self.tokens[:, 1:].size
        return steps * predicted / (time.monotonic() - begun)

    def check(self, steps: int) -> dict[str, Any]:
        """Losses and norms of the first steps by form of attention."""
        found = {}
        for form in ("fused", "written"):
            self.choose(form, fused=form == "fused")
            losses, norms = zip(*(self.step() for _ in range(steps)), strict=True)
            found[form] = {"losses": losses, "norms": norms}
        return found

    def tune(self, seconds: float) -> dict[str, str]:
        """The fastest choice, which stays."""
        rates = {}
        for choice in itertools.product(("fused", "written"), (True, False)):
            self.choose(*choice)
            rates[choice] = self.measure(seconds)
        self.choose(*max(rates, key=rates.__getitem__))
        return self.choice


def main() -> None:
    """Answers until standard input ends; the only argument is the number of threads."""
    torch.set_num_threads(int(sys.argv[1]))
    trainer: Trainer | None = None
    for line in sys.stdin:
        message = json.loads(line)
        what = message.pop("do")
        reply: Any = {"torch": torch.__version__}
        if what == "load":
            trainer = Trainer(**message)
        else:
            assert trainer is not None, "load comes first"
            ask = {"check": trainer.check, "tune": trainer.tune, "rate": trainer.measure}
            reply = ask[what](**message)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
