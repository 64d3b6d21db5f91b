import json

import pytest

from jaxmix.fitting import fit, random_truth, save_laws, simulate
from jaxmix.laws import get_law
from jaxmix.mixtures import dirichlet_design
from jaxmix.runs import write_runs


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trust")
    params = random_truth(get_law("additive"), 3, seed=4)[0]
    runs = simulate(
        get_law("additive"),
        params,
        domains=["a", "b", "c"],
        mixtures=dirichlet_design(3, 14, seed=1, minimum=0.05),
        n_params=[1e7, 1e8],
        tokens=[4e9, 2e10],
        targets=["t"],
        noise=0.004,
    )
    write_runs(runs, folder / "runs.csv")
    laws = fit(runs.where("n_params > 1e6"), "additive", restarts=32)
    save_laws(folder / "law.json", laws, {"where": "n_params > 1e6"})
    return folder


BUDGET = ("--n-params", "1e8", "--tokens", "1e10", "--resamples", "50")


def test_json_holds_the_set_and_the_gains(files, capsys):
    from jaxmix.cli.app import main

    baselines = ("--baseline", "uniform", "--baseline", "mine:a=0.5,b=0.5")
    paths = (str(files / "law.json"), str(files / "runs.csv"))
    assert main(["trust", *paths, *BUDGET, *baselines, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(found["weights"].values()) == pytest.approx(1)
    assert list(found["gains"]) == ["uniform", "mine"]
    gain = found["gains"]["mine"]
    assert gain["corrected"] == pytest.approx(gain["predicted"] - gain["optimism"])
    for name, (low, high) in found["intervals"].items():
        assert low <= found["weights"][name] <= high
    assert found["resampling"]["unit"] == "mixture" and found["resampling"]["units"] == 14
    assert found["noise"]["t"]["floor"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--baseline", "proportional"), "needs column 'unique_a'"),
        (("--baseline", "mine:a=0.5"), "baseline 'mine' is no mixture"),
        (("--method", "noise"), "method noise needs repeats of runs"),
        (("--where", "n_params > 5e7"), "was fitted on other rows"),
    ],
)
def test_bad_input_ends_in_one_line(files, capsys, options, message):
    from jaxmix.cli.app import main

    paths = (str(files / "law.json"), str(files / "runs.csv"))
    assert main(["trust", *paths, *BUDGET, *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--target-weights", "q=1"), "unknown target 'q'"),
        (("--min", "a=0.7,b=0.7"), "sum to 1.4"),
        (("--baseline", "mine:a=0.5"), "baseline 'mine' is no mixture"),
    ],
)
def test_bad_input_is_refused_before_the_refits(files, capsys, monkeypatch, options, message):
    from jaxmix.cli.app import main

    monkeypatch.setattr("jaxmix.fitting.bootstrap", lambda *_, **__: pytest.fail("refitted"))
    paths = (str(files / "law.json"), str(files / "runs.csv"))
    assert main(["trust", *paths, *BUDGET, *options]) == 2
    assert message in capsys.readouterr().err
