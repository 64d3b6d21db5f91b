"""Where continued runs start from: the final parameters of a finished run, and what it has read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from jaxmix.data import Corpus
from jaxmix.errors import JaxmixError
from jaxmix.studies.families import Built
from jaxmix.studies.plan import Origin, Plan, Study, Wave, build, load_plan, wave_folder
from jaxmix.training import Params, load_final, params_hash, read_rows


def find_origin(folder: Path | str, run: str | None = None, corpus: Corpus | None = None) -> Origin:
    """The final parameters of a finished run, for ``Study.start_from``.

    Args:
        folder: of `jaxmix train`, or of a study that kept final parameters.
        run: its name; None for the only one.
        corpus: its data, where they are open already.

    Raises:
        JaxmixError: there is no plan, no such run, or no parameters.
    """
    folder = Path(folder).resolve()
    plan = load_plan(folder / "plan.json")
    names = [one.run for one in plan.runs]
    if run is None and len(names) > 1:
        raise JaxmixError(f"{folder}: holds {len(names)} runs; name one, as {folder}:{names[0]}")
    name = run or names[0]
    wave = _wave(folder, plan, name)
    built = build(plan.study, wave.preset, corpus or plan.study.corpus.open())
    params = load_final(wave_folder(folder, wave), built.model, name)
    rows = [r for r in read_rows(wave_folder(folder, wave) / "rows.jsonl") if r["run"] == name]
    if not rows:
        raise JaxmixError(f"{folder}: run '{name}' has no rows: it diverged; start from another")
    tokens = rows[-1]["tokens"] + rows[-1].get("tokens_before", 0)
    made = (params_hash(params), wave.preset, rows[-1]["tokenizer"])
    return Origin(str(folder), name, *made, tokens=int(tokens))


def _wave(folder: Path | str, plan: Plan, name: str) -> Wave:
    """The wave of a run, reduced to that run."""
    for wave in plan.waves:
        for one in wave.runs:
            if one.run == name:
                return dataclasses.replace(wave, runs=(one,))
    some = ", ".join(one.run for one in plan.runs[:8]) + (", ..." if len(plan.runs) > 8 else "")
    raise JaxmixError(f"{folder}: no run '{name}'; it holds {some}")


def origin_params(origin: Origin, built: Built) -> Params:
    """The parameters to start from.

    Raises:
        JaxmixError: they are gone, of another model, or not those that the study was planned with.
    """
    folder = Path(origin.folder)
    wave = _wave(folder, load_plan(folder / "plan.json"), origin.run)
    try:
        params = load_final(wave_folder(folder, wave), built.model, origin.run)
    except JaxmixError as error:
        raise JaxmixError(
            f"{folder}: run '{origin.run}' cannot be started from ({str(error)[:120]})"
        ) from None
    found = params_hash(params)
    if found != origin.hash:
        raise JaxmixError(
            f"{folder}: the parameters of run '{origin.run}' are not those of this plan ({found}, "
            f"planned with {origin.hash}); plan anew"
        )
    return params


def read_before(study: Study, corpus: Corpus) -> tuple[Study, Wave] | None:
    """The study and wave of what a study starts from, where both read the same records.

    None where the data, the family, the length of records or the caps of domains are others: the
    positions of the earlier run then mean nothing here.
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
        and dict(theirs.unique_tokens) == dict(study.unique_tokens)
    )
    return (theirs, _wave(origin.folder, plan, origin.run)) if same else None
