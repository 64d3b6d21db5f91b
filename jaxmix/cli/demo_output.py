"""What the demo tells of its laws, its mixtures and its models, in the order of the work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.notes import listed

if TYPE_CHECKING:
    from jaxmix.data import Corpus
    from jaxmix.fitting.selection import Selection
    from jaxmix.mixtures import Recommendation
    from jaxmix.runs import RunTable
    from jaxmix.studies import Study, TestedGain

_SAME = 2e-3  # weights that differ by less are one mixture, up to their rounding


@dataclass(frozen=True)
class Goal:
    """What a mixture is wanted for.

    Attributes:
        name: in the names of mixtures and files.
        targets: their mean loss is to be low.
        alike: domains that look like the targets.
    """

    name: str
    targets: tuple[str, ...]
    alike: tuple[str, ...]

    @property
    def best(self) -> str:
        """Name of the recommended mixture in run tables."""
        return f"best-{self.name}"

    @property
    def baselines(self) -> dict[str, str]:
        """Names of the baselines in run tables by what they are."""
        from jaxmix.studies import BASELINES

        return {name: name for name in BASELINES} | {"guess": f"guess-{self.name}"}

    def guess(self, domains: Sequence[str]) -> dict[str, float]:
        """A practitioner's guess: two thirds on what looks like the targets, the rest evenly."""
        rest = [domain for domain in domains if domain not in self.alike]
        shares = {True: 2 / 3 / len(self.alike), False: 1 / 3 / len(rest)}
        return {domain: shares[domain in self.alike] for domain in domains}

    def __str__(self) -> str:
        if self.targets == (self.name,):
            return self.name
        return f"{self.name} (the mean of {listed(self.targets, None)})"


@dataclass(frozen=True)
class Larger:
    """The model that mixtures are wanted for, which is larger than all that the laws see."""

    preset: str
    n_params: int


Found = Mapping[Goal, "Recommendation"]


def introduce(study: "Study", corpus: "Corpus", goals: Sequence[Goal], larger: Larger) -> None:
    """The data, the models to be trained on it, and what for."""
    from jaxmix.studies import build, epoch_tokens, make_plan

    _heading("1. Train small models on many mixtures")
    built = build(study, study.sizes[0].preset, corpus)
    tokens = epoch_tokens(study, corpus, built)
    counts = listed((f"{domain} {count / 1e6:.2g}M" for domain, count in tokens.items()), None)
    beside = [t for t in corpus.targets if t not in corpus.domains]
    never = (
        f" No model is trained on {listed(beside, None)}: it is a target only." if beside else ""
    )
    patches = " (pictures count their patches)" if corpus.illustrated else ""
    runs, presets = len(make_plan(study, corpus).runs), [size.preset for size in study.sizes]
    common.show(
        f"The data are real; tokens by domain{patches}: {counts}.{never}",
        f"{listed(presets, None)} train on {runs // len(presets)} mixtures of the domains each, "
        f"{study.sizes[0].tokens:,.0f} tokens a run: {runs} runs. They are to tell on which "
        f"mixture to train {larger.preset}, a model of {larger.n_params:,} parameters that no law "
        f"sees, if all that counts is the loss on {' or on '.join(map(str, goals))}.",
    )


def show_laws(found: "Selection") -> None:
    """Errors of the laws and of the best baseline on rows that they did not see; the law used."""
    _heading("2. Choose a scaling law by its error on runs that it did not see")
    kinds = {"size": "larger size", "mixtures": "new mixtures", "range": "best mixtures"}
    kinds = {kind: kinds.get(kind, kind) for kind in found.rows[0].error}
    rows = {row.candidate.law.name: row for row in found.best_of_laws()}
    best = found.baseline_rows[0]
    cells = {f"{name} law": row for name, row in rows.items()}
    cells |= {f"{best.name} (no law)": best}
    title = "mean relative error, %, by what is left out of the fit"
    made = common.table(title, "", *kinds.values())
    for name, row in cells.items():
        made.add_row(name, *(f"{row.error[kind]:.2f}" for kind in kinds))
    law, lowest = found.choice.law.name, next(iter(rows))
    why = "its error is the lowest"
    if rows[lowest].high_regret:
        why = f"mixtures that the {lowest} law would pick cost more"
    elif law != lowest:
        why = f"it ties with the {lowest} law and is simpler"
    beaten = f", though {found.beaten_by} errs less here" if found.beaten_by else ""
    common.show(made, f"The {law} law is used: {why}{beaten}.")


def show_recommended(found: Found, ladder: "RunTable", larger: Larger) -> None:
    """The recommended mixtures beside the baselines, and the runs that speak for them."""
    tokens = float(ladder.tokens.max())
    _heading(f"3. Recommend a mixture for {larger.preset} and {tokens:,.0f} tokens")
    largest = ladder.frame["preset"].iloc[int(ladder.n_params.argmax())]
    about = (
        "Beside the recommended weights are those that people would take: uniform ones, ones "
        "proportional to the domains' tokens, and a guess with two thirds on the domains that look "
        "like the target. The last column says why: the loss on the target that "
        f"{largest} had, in nats, after training mostly on the domain."
    )
    parts: list[Any] = []
    for goal, one in found.items():
        mostly, named = _mostly(ladder, goal), one.named_baselines
        columns = (*goal.baselines, "recommended", "loss if mostly it")
        made = common.table(f"mixtures for {goal.name}", "domain", *columns)
        for domain, weight in one.weights.items():
            shares = [*(named[name][domain] for name in goal.baselines), weight]
            made.add_row(domain, *map(_fixed, shares), _fixed(mostly[domain]))
        parts += [made, f"{one.headline}."]
    within = "Every weight stays between the least and the most that were run"
    common.show(about, *parts, f"{within}: no law can be trusted beyond them.")


def _mostly(ladder: "RunTable", goal: Goal) -> dict[str, float]:
    """Mean loss of the goal's targets after training mostly on one domain, at the largest size."""
    from jaxmix.studies import final_losses

    losses = final_losses(ladder.select(ladder.n_params == ladder.n_params.max()), goal.targets)
    return {domain: losses[f"only-{domain}", 0] for domain in ladder.domains}


def gain_line(one: "TestedGain") -> str:
    """A predicted gain, the measured one, and how far that is from its interval, in words."""
    low, gain, high = map(_fixed, one.predicted)
    mean, sem = _fixed(one.measured.mean), _fixed(one.measured.sem)
    line = f"predicted gain over {one.baseline} {gain} ({low} to {high}) nats"
    line = f"{line}; measured {mean} ± {sem}"
    if not one.off:
        return line
    far = f"{one.off:.3f} nats, {one.off / one.measured.sem:.1f} standard errors"
    return f"{line}\n  outside the interval, by {far}"


def show_proof(found: Found, proof: "RunTable", larger: Larger) -> None:
    """Predicted gains beside measured ones at the larger size, and how the law did."""
    from jaxmix.fitting.scores import mean_mre, score
    from jaxmix.studies import put_to_test

    _heading("4. Put the recommended mixtures to the test")
    parts, tested = [], []
    for goal, one in found.items():
        same = {n for n, h in one.baselines.items() if abs(h - one.h).max() < _SAME}
        others = {name: run for name, run in goal.baselines.items() if name not in same}
        rows = put_to_test(one, proof, goal.best, others, goal.targets)
        error = mean_mre(score(one.optimum.laws, proof))
        head = f"{goal}, whose losses the law predicts with an error of {error:.1f}%:"
        equal = [
            f"the {name} mixture is the recommended one" for name in goal.baselines if name in same
        ]
        parts.append("\n".join([head, *map(gain_line, rows), *equal]))
        tested += rows
    seeds, level = proof.frame["seed"].nunique(), 100 * next(iter(found.values())).level
    inside = sum(not one.off for one in tested)
    clear = sum(one.measured.is_clear for one in tested)
    common.show(
        f"{larger.preset} was trained on every mixture above with {seeds} seeds each. Predicted "
        f"gains have {level:g}% intervals, measured ones standard errors over seeds.",
        *parts,
        f"{inside} of {len(tested)} measured gains lie in their intervals; {clear} are more than "
        "two standard errors above 0.",
    )


def show_pictures(folder: Path, corpus: "Corpus", run: str) -> None:
    """What the model of a run makes of held-out pictures."""
    from jaxmix.report import plot_contact_sheet
    from jaxmix.studies import caption_pictures, finished_run

    pictures = caption_pictures(finished_run(folder / "proof", run, corpus), 16)
    plot_contact_sheet(pictures, folder / "contact-sheet.png", f"{run}: held-out pictures")
    some = pictures[:: len(pictures) // 4]
    lines = [f"  {one.target}: {one.caption!r} -> {one.written!r}" for one in some]
    where = f"What {run} saw and wrote is in {folder / 'contact-sheet.png'}; for example:"
    click.echo()
    common.show("\n".join([where, *lines]))


def show_end(pages: Sequence[Path], folder: Path, goal: Goal, one: "Recommendation") -> None:
    """Where the results are, and what to do next."""
    _heading("5. Read the report, and ask about runs of your own")
    table, most = folder / "ladder" / "runs.csv", max(one.weights, key=one.weights.__getitem__)
    n_params, tokens = (f"{x / 1e3:.0f}K" for x in (one.optimum.n_params, one.optimum.tokens))
    common.show(
        "\n".join(["Reports to open in a browser:", *(f"  {page}" for page in pages)]),
        f"Ask the runs of this demo for something else, such as at most half {most}:\n"
        f"  jaxmix recommend {table} \\\n"
        f"    --n-params {n_params} --tokens {tokens} --targets {','.join(goal.targets)} "
        f"--max {most}=0.5",
        "Ask runs of your own, a table with one row per run and columns n_params, tokens,\n"
        "w_<domain> (weights) and loss_<target>:\n"
        "  jaxmix recommend RUNS.csv --n-params 7B --tokens 150B --report page.html",
    )


def _heading(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)
    click.echo()


def _fixed(value: float) -> str:
    """Two decimals, and never -0.00."""
    return f"{round(value, 2) + 0.0:.2f}"
