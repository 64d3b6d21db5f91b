"""Training in eager PyTorch: the peer of bench_train.py.

It runs as a process of its own, whose interpreter needs torch and NumPy and nothing of jaxmix.
One JSON object a line comes in and one a line goes out:

    {"do": "load", "file": "width.npz", "family": "text", "rate": 1e-3, "settings": {...}}
    {"do": "check", "steps": 5}      losses and gradient norms, for either form of attention
    {"do": "tune", "seconds": 0.4}   tries both forms and both AdamWs, and keeps the fastest
    {"do": "rate", "seconds": 3.0}   tokens per second

The file holds jaxmix's parameters as `params.NAME` and one batch as `batch.NAME`; the settings are
`heads`, `length` (positions of a record) and, of a vision model, `patches` and `alpha`.
"""

import itertools
import json
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torch_models import MODELS, Attention, renamed

DECAY, BETAS, CLIP = 1e-4, (0.9, 0.95), 1.0


class Trainer:
    """A model, its optimizer and the one batch that it sees again and again."""

    def __init__(self, file: str, family: str, rate: float, settings: dict[str, Any]) -> None:
        with np.load(file) as found:
            arrays = {name: found[name] for name in found.files}
        self.arrays, self.batch = (
            {k.removeprefix(p): v for k, v in arrays.items() if k.startswith(p)}
            for p in ("params.", "batch.")
        )
        self.family, self.rate, self.settings = family, rate, settings
        self.choose("fused", True)

    def choose(self, form: str, fused: bool) -> None:
        """Starts anew with a form of attention ("fused", "written") and of AdamW."""
        self.choice = {"attention": form, "adamw": "fused" if fused else "default"}
        self.model = MODELS[self.family](self.arrays, **self.settings)
        state = {name: torch.tensor(value) for name, value in renamed(self.arrays)}
        self.model.load_state_dict(state)
        for module in self.model.modules():
            if isinstance(module, Attention):
                module.form = form
        self.params = list(self.model.parameters())
        # jaxmix's decay does not scale with the learning rate, and leaves gains alone.
        groups = [
            {"params": [p for p in self.params if p.ndim > 1], "weight_decay": DECAY / self.rate},
            {"params": [p for p in self.params if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=self.rate, betas=BETAS, fused=fused)

    def step(self) -> tuple[float, float]:
        """Loss, and the gradient's norm before clipping."""
        batch = {name: torch.from_numpy(value) for name, value in self.batch.items()}
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.model(batch)
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
        positions = len(self.batch["tokens"]) * self.settings["length"]
        return steps * positions / (time.monotonic() - begun)

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
