"""``jaxmix demo``: a simulated study fitted, scored and optimized, truth beside estimate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import skin

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaw
    from jaxmix.fitting.scores import Score
    from jaxmix.runs import RunTable

_DOMAINS = ("web", "code", "books", "papers")
_NOISE = 0.002
_LARGEST = 6e8
_BIG = 100.0  # how many times the largest run the big run is, in N and in D


@dataclass(frozen=True)
class Study:
    """The size of the demo.

    Attributes:
        n_params: sizes; the last is held out.
        tokens: checkpoints of every run.
        mixtures: random mixtures beside the vertices and the uniform one.
        restarts: of every fit.
    """

    n_params: tuple[float, ...] = (2e7, 6e7, 2e8, _LARGEST)
    tokens: tuple[float, ...] = (1e9, 2e9, 4e9, 8e9, 16e9)
    mixtures: int = 15
    restarts: int = 64


_QUICK = Study(tokens=(1e9, 4e9, 16e9), mixtures=9, restarts=16)


@click.command("demo", cls=skin.Command, short_help="The whole way on a simulated study.")
@click.option("--quick", is_flag=True, help="A smaller study, under half a minute.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def demo_command(quick: bool, seed: int) -> None:
    """Simulate a study from a known joint law, fit it, and show truth beside estimate."""
    study = _QUICK if quick else Study()
    truth, table = _simulate(study, seed)
    _introduce(study, table)
    small, large = table.where(f"n_params < {_LARGEST}"), table.where(f"n_params == {_LARGEST}")
    fits = {law: _fit(small, law, study.restarts, seed) for law in ("additive", "joint")}
    _show_scores(truth, fits, small, large)
    _show_parameters(truth, fits["joint"])
    _show_optimum(truth, fits, _BIG * study.n_params[-1], _BIG * study.tokens[-1])


def _simulate(study: Study, seed: int) -> "tuple[tuple[FittedLaw, ...], RunTable]":
    from jaxmix.fitting.simulate import simulate_laws, true_laws
    from jaxmix.laws import get_law
    from jaxmix.mixtures import designs

    k = len(_DOMAINS)
    random = designs.dirichlet_design(k, study.mixtures, seed=seed)
    mixtures = [*designs.vertices(k), *designs.uniform(k), *random]
    scale: dict[str, Any] = {
        "mixtures": mixtures,
        "n_params": study.n_params,
        "tokens": study.tokens,
    }
    params = {target: _true_parameters(i) for i, target in enumerate(_DOMAINS)}
    truth = true_laws(get_law("joint"), params, domains=_DOMAINS, targets=_DOMAINS, **scale)
    return truth, simulate_laws(truth, noise=_NOISE, seed=seed, **scale)


def _true_parameters(own: int) -> dict[str, Any]:
    """A joint law in which a target is helped most by its own domain, and by web and papers."""
    near = [2.0, 0.7, 0.5, 1.3]  # how much each domain helps
    near[own] = (4.0, 3.5, 2.5, 3.5)[own]
    gamma_a, gamma_b = -0.5, -0.8
    return {
        "E": (1.5, 0.7, 1.6, 1.3)[own],
        "alpha": (0.30, 0.34, 0.28, 0.32)[own],
        "beta": (0.32, 0.36, 0.33, 0.30)[own],
        "C": near,
        "gamma": [(0.35, 0.9, 0.8, 0.5)[i] for i in range(len(_DOMAINS))],
        "C_A": [(130.0 * (1.3 - 0.1 * x)) ** (1.0 / gamma_a) for x in near],
        "gamma_A": gamma_a,
        "C_B": [(700.0 * (1.5 - 0.2 * x)) ** (1.0 / gamma_b) for x in near],
        "gamma_B": gamma_b,
    }


def _introduce(study: Study, table: "RunTable") -> None:
    runs = len(set(table.frame["run"]))
    sizes = ", ".join(f"{n / 1e6:.0f}M" for n in study.n_params)
    skin.show(
        f"A simulated study: {runs} runs ({sizes} parameters, {runs // len(study.n_params)} "
        f"mixtures of {len(_DOMAINS)} domains), {len(table)} checkpoints, the loss of every domain "
        f"from a known joint law with {100 * _NOISE:g}% noise. The largest size is held out."
    )


def _fit(table: "RunTable", law: str, restarts: int, seed: int) -> "tuple[FittedLaw, ...]":
    from jaxmix.fitting.fit import fit

    with skin.progress(f"fitting {law}") as report:
        return fit(table, law, restarts=restarts, seed=seed, progress=report)


def _show_scores(
    truth: "Sequence[FittedLaw]",
    fits: "dict[str, tuple[FittedLaw, ...]]",
    small: "RunTable",
    large: "RunTable",
) -> None:
    from jaxmix.fitting.scores import mean_mre, score

    made = skin.table("mean relative error, %", "law", "sizes fitted", "size held out", "Spearman")
    for name, laws in (*fits.items(), ("the truth (noise alone)", truth)):
        held_out = score(laws, large)
        errors = (mean_mre(score(laws, small)), mean_mre(held_out))
        made.add_row(name, *(f"{e:.3f}" for e in errors), f"{_mean_rank(held_out):.4f}")
    _show(made)


def _show(*parts: Any) -> None:
    click.echo()
    skin.show(*parts)


def _mean_rank(scores: "dict[str, Score]") -> float:
    return sum(s.spearman for s in scores.values()) / len(scores)


def _show_parameters(truth: "Sequence[FittedLaw]", fits: "Sequence[FittedLaw]") -> None:
    """What such data identify: exponents, and the loss that no N and D remove."""
    infinite = float("inf")
    uniform = [1.0 / len(_DOMAINS)] * len(_DOMAINS)
    made = skin.table(
        "joint law: true -> estimated", "target", "alpha", "beta", "loss at N = D = inf, uniform h"
    )
    for true, found in zip(truth, fits, strict=True):
        cells = [_pair(float(true.params[p]), float(found.params[p])) for p in ("alpha", "beta")]
        limits = [float(f.predict(infinite, infinite, uniform)) for f in (true, found)]
        made.add_row(true.target, *cells, _pair(*limits))
    _show(made)


def _pair(true: float, found: float) -> str:
    return f"{true:.3f} -> {found:.3f}"


def _show_optimum(
    truth: "Sequence[FittedLaw]",
    fits: "dict[str, tuple[FittedLaw, ...]]",
    n_params: float,
    tokens: float,
) -> None:
    """Best mixtures for the average loss by the truth and by each fit, judged by the truth."""
    from jaxmix.mixtures import optimize

    def judge(laws: "Sequence[FittedLaw]", weights: Sequence[float]) -> float:
        return sum(float(f.predict(n_params, tokens, weights)) for f in laws) / len(laws)

    rows: dict[str, tuple[Sequence[FittedLaw], list[float]]] = {}
    for name, laws in (("the truth", truth), *fits.items()):
        weights = optimize(laws, n_params, tokens).weights
        rows[name] = laws, skin.plain(weights)
    rows["uniform"] = truth, [1.0 / len(_DOMAINS)] * len(_DOMAINS)
    best = judge(truth, rows["the truth"][1])
    title = f"best mixture for the mean loss, N = {n_params / 1e9:g}B, D = {tokens / 1e12:g}T"
    made = skin.table(title, "according to", *_DOMAINS, "predicted", "true loss", "regret")
    for name, (laws, weights) in rows.items():
        losses = judge(laws, weights), judge(truth, weights)
        shares = [f"{w:.3f}" for w in weights]
        predicted = "-" if name == "uniform" else f"{losses[0]:.4f}"
        made.add_row(name, *shares, predicted, f"{losses[1]:.4f}", f"{losses[1] - best:.4f}")
    regret = judge(truth, rows["joint"][1]) - best
    _show(made, _closing(regret, judge(truth, rows["uniform"][1]) - best))


def _closing(regret: float, uniform: float) -> str:
    return (
        f"The joint law's mixture for a run {_BIG:.0f} times larger loses {regret:.4f} nats to the "
        f"true best one (uniform: {uniform:.4f}). The data were simulated from that law: this "
        "shows that the fit finds what is there, not that real losses obey the law."
    )
