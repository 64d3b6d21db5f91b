"""Finished runs: their models, and what continued runs take over from them."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxmix.data import Corpus
from jaxmix.errors import JaxmixError, clip
from jaxmix.studies.families import Built
from jaxmix.studies.plan import Wave, build, wave_folder
from jaxmix.studies.plan_file import load_plan
from jaxmix.studies.results import wave_status
from jaxmix.studies.study import Origin, Study
from jaxmix.training import Params, load_final, params_hash, read_rows


@dataclass(frozen=True)
class FinishedRun:
    """A trained model with the data that it was trained on.

    Attributes:
        run: name of the run.
        study: study of the run.
        corpus: data of the run.
        built: model of the run.
        params: final parameters.
    """

    run: str
    study: Study
    corpus: Corpus
    built: Built
    params: Any


def finished_run(folder: Path, run: str | None = None, corpus: Corpus | None = None) -> FinishedRun:
    """The model that a run left in a study's folder.

    Args:
        folder: folder of `jaxmix train`, or of a study that kept final parameters.
        run: name of the run; None for the only one, or the first.
        corpus: data of the run, if they are open already.

    Raises:
        JaxmixError: there is no plan, no such run, or no parameters.
    """
    folder = Path(folder)
    plan = load_plan(folder / "plan.json")
    name = run or plan.runs[0].run
    wave, _ = plan.find(name, folder)
    corpus = corpus or plan.study.corpus.open()
    if corpus.hash != plan.corpus_hash:
        raise JaxmixError(f"{folder}: was trained on other data than {corpus.path}")
    built = build(plan.study, wave.preset, corpus)
    params = load_final(wave_folder(folder, wave), built.model, name)
    return FinishedRun(name, plan.study, corpus, built, params)


def find_origin(folder: Path | str, run: str | None = None, corpus: Corpus | None = None) -> Origin:
    """The final parameters of a finished run, for ``Study.start_from``.

    Args:
        folder: folder of `jaxmix train`, or of a study that kept final parameters.
        run: name of the run; None for the only one.
        corpus: data of the run, if they are open already.

    Raises:
        JaxmixError: there is no plan, no such run, or no parameters.
    """
    folder = Path(folder).resolve()
    plan = load_plan(folder / "plan.json")
    names = [one.run for one in plan.runs]
    if run is None and len(names) > 1:
        raise JaxmixError(f"{folder}: holds {len(names)} runs; name one, as {folder}:{names[0]}")
    name = run or names[0]
    wave, _ = plan.find(name, folder)
    built = build(plan.study, wave.preset, corpus or plan.study.corpus.open())
    params = load_final(wave_folder(folder, wave), built.model, name)
    found = wave_status(plan, wave, folder)
    rows = [r for r in read_rows(wave_folder(folder, wave) / "rows.jsonl") if r["run"] == name]
    if name in found.diverged:
        raise JaxmixError(f"{folder}: run '{name}' diverged; start from another run")
    if found.lacks or not rows:
        raise JaxmixError(found.lacks or f"{folder}: run '{name}' has no rows; train it again")
    tokens = rows[-1]["tokens"] + rows[-1].get("tokens_before", 0)
    made = (params_hash(params), wave.preset, rows[-1]["tokenizer"])
    return Origin(str(folder), name, *made, tokens=int(tokens))


def origin_params(origin: Origin, built: Built) -> Params:
    """The parameters to start from.

    Raises:
        JaxmixError: they are missing, of another model, or not those of the plan.
    """
    folder = Path(origin.folder)
    wave, _ = load_plan(folder / "plan.json").find(origin.run, folder)
    try:
        params = load_final(wave_folder(folder, wave), built.model, origin.run)
    except JaxmixError as error:
        raise JaxmixError(
            f"{folder}: run '{origin.run}' cannot be started from ({clip(error, 120)})"
        ) from None
    found = params_hash(params)
    if found != origin.hash:
        raise JaxmixError(
            f"{folder}: the parameters of run '{origin.run}' are not those of this plan ({found}, "
            f"planned with {origin.hash}); plan again"
        )
    return params


def read_before(study: Study, wave: Wave, corpus: Corpus) -> tuple[Study, Wave] | None:
    """The study that a study starts from, and the wave with the run, if both read equal records.

    None if the data, the family, the length of records or the pools of domains differ, because then
    positions in the earlier run's data mean nothing here.

    Args:
        study: the study.
        wave: its wave, which has the pools.
        corpus: its corpus.
    """
    origin = study.start_from
    if origin is None:
        return None
    plan = load_plan(Path(origin.folder) / "plan.json")
    theirs = plan.study
    same = (
        plan.corpus_hash == corpus.hash
        and theirs.family.name == study.family.name
        and theirs.length == study.length
    )
    if not same:
        return None
    earlier, run = plan.find(origin.run, origin.folder)
    if any(earlier.unique.get(domain, n) != n for domain, n in wave.unique.items()):
        return None
    return theirs, dataclasses.replace(earlier, runs=(run,))
