"""What ``check`` says of tables that differ from a good one in one way."""

import numpy as np
import pandas as pd
import pytest

from jaxmix.fitting.check import check
from jaxmix.mixtures import dirichlet_design

N, D = (1e7, 3e7, 1e8, 3e8), (1e9, 2e9, 4e9, 1e10)
DOMAINS = ("a", "b", "c")


def table(h=None, sizes=N, tokens=D, noise=0.0, seeds=1) -> pd.DataFrame:
    """Rows of every mixture, size, seed and token count."""
    h = dirichlet_design(3, 12, seed=1, minimum=0.02) if h is None else h
    rng, rows = np.random.default_rng(0), []
    for i, weights in enumerate(h):
        for n in sizes:
            for seed in range(seeds):
                for d in tokens:
                    loss = 9 + 30 / n**0.3 + 60 / d**0.3 + 1 / (0.2 + weights[0]) ** 0.5
                    loss += noise * rng.standard_normal()
                    run = {"run": f"m{i}-{n:g}-s{seed}", "n_params": n, "tokens": d, "seed": seed}
                    rows.append(run | {f"w_{x}": w for x, w in zip("abc", weights, strict=True)})
                    rows[-1]["loss_x"] = loss
    return pd.DataFrame(rows)


def answers(frame: pd.DataFrame) -> dict[str, str]:
    return check(frame).to_frame()["answer"].to_dict()


def test_a_good_table_says_yes_to_all_but_repetition():
    found = check(table(noise=0.001, seeds=2))
    assert [one.question for one in found.answers if one.answer != "yes"] == [
        "effect of repetition"
    ]
    assert found.next_steps == ("nothing is missing: jaxmix select tests how laws extrapolate",)
    assert found.noise[0].seeds == pytest.approx(0.001, rel=0.2) and found.noise[0].ratio > 50


@pytest.mark.parametrize(
    ("sizes", "said"), [((1e7,), ("no", "no")), ((1e7, 1e8), ("a guess", "no")),
                        ((1e7, 1.5e7, 2e7), ("a guess", "a guess"))],
)  # fmt: skip
def test_few_or_close_sizes(sizes, said):
    found = answers(table(sizes=sizes))
    assert (found["effect of model size"], found["larger models"]) == said
    assert found["effect of tokens"] == "yes"


def test_how_far_extrapolation_can_be_tested():
    why = check(table()).to_frame()["why"]
    assert why["larger models"] == "testable to 3x: fit to 100M, score at 300M"
    assert why["more tokens"] == "testable to 2.5x: fit to 4B, score at 10B"


def test_domains_that_move_together_cannot_be_told_apart():
    share = np.linspace(0.1, 0.9, 9)
    found = check(table(np.stack([share, (1 - share) / 3, 2 * (1 - share) / 3], 1)))
    answer = found.to_frame().loc["effect of each domain"]
    assert answer["answer"] == "no" and "1 of 2 directions" in answer["why"]
    assert any("b and c move together" in note for note in found.notes)


@pytest.mark.parametrize(("noise", "said"), [(0.01, "yes"), (0.2, "a guess"), (2.0, "no")])
def test_mixtures_beside_the_noise(noise, said):
    assert answers(table(noise=noise, seeds=3))["mixtures above the noise"] == said


def test_the_noise_from_near_duplicates_alone():
    h = dirichlet_design(3, 12, seed=1, minimum=0.02)
    twins = np.concatenate([h, h + np.array([1e-3, -1e-3, 0])])
    (noise,) = check(table(twins, noise=0.02)).noise
    assert noise.repeats == 0 and noise.kind == "near-duplicates"
    assert noise.level == pytest.approx(0.02, rel=0.15)
    assert answers(table(noise=0.02))["noise of a run"] == "a guess"


def test_repeats_with_other_inputs_are_no_repeats():
    frame = table(seeds=2)
    frame["learning_rate"] = np.where(frame["seed"] == 0, 1e-3, 2e-3)
    frame["loss_x"] += 0.5 * frame["seed"]
    assert check(frame.assign(learning_rate=1e-3)).noise[0].seeds > 0.3
    assert check(frame).noise[0].repeats == 0
    unique = frame.assign(learning_rate=1e-3, unique_a=np.where(frame["seed"] == 0, 1e7, 1e12))
    assert check(unique).noise[0].repeats == 0


def test_repetition_missing_losses_and_pooled_schedules():
    frame = table(tokens=(1e9, 2e9, 4e9)).assign(unique_a=1e9)
    frame["loss_y"] = frame["loss_x"].where(frame.index % 2 == 0)
    frame["schedule"] = np.where(frame["n_params"] > 5e7, "cosine", "constant")
    found = check(frame)
    epochs = (frame["w_a"] * frame["tokens"] / 1e9).max()
    assert found.to_dict()["most_epochs"] == pytest.approx(epochs)
    assert found.to_dict()["missing"] == {"y": len(frame) // 2}
    assert "--pool schedule" in found.facts["schedules"]
    assert "missing 72 of y" in found.facts["targets"]


def test_units_come_first_and_an_unused_domain_is_named():
    frame = table()
    small = frame.assign(n_params=frame["n_params"] / 1e6, tokens=frame["tokens"] / 1e9)
    assert check(small).next_steps[0].startswith("correct the table as the first note says")
    assert "look like millions" in check(small).notes[0]
    assert "run 1 more mixture that varies d" in check(frame.assign(w_d=0.0)).next_steps


def test_a_table_without_mixtures_and_html():
    found = check(table()[["run", "n_params", "tokens", "loss_x"]])
    assert found.to_frame()["why"]["effect of each domain"] == "no columns w_<domain>"
    assert found.support is None and "<table" in found._repr_html_()
    assert len(repr(found)) < 400 and "next: add the weights" in found.summary()
