"""The demo's guesses, and what it says of gains that come out as predicted and of others."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from jaxmix.cli.demo import _DEMOS, _guesses
from jaxmix.cli.demo_output import Goal, Larger, gain_line, show_proof
from jaxmix.fitting import Interval, load_laws
from jaxmix.fitting.simulate import simulate_laws
from jaxmix.runs import read_runs
from jaxmix.studies import Gain, TestedGain, measured_gains, rounded_weights


@pytest.mark.parametrize("family", _DEMOS)
def test_guesses_are_mixtures_that_like_what_looks_like_the_target(family):
    demo = _DEMOS[family]
    for goal, guess in zip(demo.goals, _guesses(demo).values(), strict=True):
        assert math.isclose(sum(guess.values()), 1)
        assert math.isclose(sum(guess[domain] for domain in goal.alike), 2 / 3)


def test_rounded_weights_are_a_mixture():
    weights = rounded_weights({"a": 1 / 3, "b": 1 / 3 - 1e-9, "c": 1 / 3 + 1e-9, "d": 0.0})
    assert math.isclose(sum(weights.values()), 1) and weights["d"] == 0
    assert all(abs(w - 1 / 3) < 2e-3 and round(w, 3) == w for w in list(weights.values())[:3])


def test_a_gain_outside_its_interval_is_said_to_be():
    predicted = Interval(0.15, 0.21, 0.27)
    inside = TestedGain("uniform", predicted, Gain(0.19, 0.02, 3, 0.02, 4.0))
    line = "predicted gain over uniform 0.21 (0.15 to 0.27) nats; measured 0.19 ± 0.02"
    assert gain_line(inside) == line and inside.off == 0
    outside = TestedGain("uniform", predicted, Gain(-0.001, 0.05, 3, 0.02, 4.0))
    assert gain_line(outside).splitlines()[0].endswith("measured 0.00 ± 0.05")
    assert gain_line(outside).endswith("outside the interval, by 0.151 nats, 3.0 standard errors")


def test_the_proof_counts_what_came_out_as_predicted(study, capsys):
    """Runs simulated by the very law whose predictions are put to the test."""
    laws = load_laws(study.law)
    goal = Goal("web", ("web",), ("web",))
    web = {"uniform": 0.5, "proportional": 0.3, "guess-web": 0.6, "best-web": 0.9}
    scale = {"mixtures": [[w, 1 - w] for w in web.values()], "n_params": [1e9], "tokens": [1e10]}
    drawn = simulate_laws(laws, noise=0.001, replicates=3, **scale).frame
    name = {round(w, 3): mixture for mixture, w in web.items()}
    mixtures = [name[round(w, 3)] for w in drawn["w_web"]]
    seeds = [int(run[-1]) for run in drawn["run"]]
    proof = read_runs(drawn.assign(mixture=mixtures, seed=seeds))
    over = measured_gains(proof, "best-web", goal.baselines.values(), ["web"])
    gains = {n: Interval(-9, over[run].mean, 9) for n, run in goal.baselines.items()}
    gains["guess"] = Interval(5.0, 6.0, 7.0)
    h = {n: np.array([web[run], 1 - web[run]]) for n, run in goal.baselines.items()}
    optimum = SimpleNamespace(laws=laws)
    found = SimpleNamespace(
        gains=gains, level=0.8, optimum=optimum, baselines=h, h=np.array([0.9, 0.1])
    )
    show_proof({goal: found}, proof, Larger("tiny-64", 147_520))  # type: ignore[dict-item]
    said = capsys.readouterr().out
    assert "with 3 seeds each" in said and "80% intervals" in said
    assert said.count("outside the interval") == 1
    assert "2 of 3 measured gains lie in their intervals; 3 are more" in said
    found.h = h["guess"]
    show_proof({goal: found}, proof, Larger("tiny-64", 147_520))  # type: ignore[dict-item]
    said = capsys.readouterr().out
    assert "the guess mixture is the recommended one" in said
    assert "2 of 2 measured gains lie in their intervals" in said and "outside" not in said
