"""Plan files: reading them with their types checked, and planning anew over what was trained."""

import dataclasses
import itertools
import json
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxmix.claims import claimed
from jaxmix.errors import JaxmixError, clip
from jaxmix.files import json_fault
from jaxmix.studies.plan import Plan, Wave
from jaxmix.studies.study import Study
from jaxmix.training import has_begun, member_names, read_rows

# What a study may change over its results, because no run that is kept depends on it.
_FREE = ("corpus", "sizes", "designs", "mixtures", "stages", "seeds")
_FREE += ("fleet", "forbid_repeat", "accumulate", "tasks")


def load_plan(path: Path) -> Plan:
    """Reads a plan.

    Raises:
        JaxmixError: the file is not a plan.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise JaxmixError(f"{path}: no such plan; jaxmix study plan and train write one") from None
    except (ValueError, RecursionError) as error:
        raise _damaged(path, json_fault(error)) from None
    if not isinstance(data, dict) or data.pop("jaxmix_plan", None) != 1:
        raise _damaged(path, "it holds none of this version")
    try:
        plan = _read(Plan, data, "the plan")
    except JaxmixError as error:
        raise _damaged(path, error) from error
    if not plan.waves or not all(wave.runs and wave.preset in plan.flops for wave in plan.waves):
        raise _damaged(path, "a wave lacks runs or FLOPs")
    cut = plan.study.unique_tokens or plan.study.match_epochs
    if any(min(wave.unique.values(), default=not cut) < 1 for wave in plan.waves):
        raise _damaged(path, "a wave lacks unique tokens")
    return plan


def _damaged(path: Path, what: object) -> JaxmixError:
    return JaxmixError(
        f"{path}: is not a plan ({clip(what)}); give the command that planned or trained it again"
    )


def _read(kind: Any, value: Any, name: str) -> Any:
    """A value of JSON as its annotated type: a dataclass, a mapping, a tuple or a scalar.

    Raises:
        JaxmixError: it is of another kind.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or (origin is typing.Literal and value in inner):
        return value
    if origin is types.UnionType:  # X | None
        return None if value is None else _read(inner[0], value, name)
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _read_object(kind, value, name)
    if origin is Mapping and isinstance(value, dict):
        return {key: _read(inner[1], held, f"{name}.{key}") for key, held in value.items()}
    if origin is tuple and isinstance(value, list):
        return tuple(_read(inner[0], held, name) for held in value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise JaxmixError(f"{name} cannot be {clip(json.dumps(value), 20)}")


def _read_object(kind: Any, value: Mapping[str, Any], name: str) -> Any:
    hints, fields = typing.get_type_hints(kind), dataclasses.fields(kind)
    needed = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    wrong = [f"lacks {n}" for n in needed if n not in value]
    wrong += [f"has an unknown {n}" for n in value if n not in hints]
    if wrong:
        raise JaxmixError(f"{name} {wrong[0]}")
    return kind(**{key: _read(hints[key], held, key) for key, held in value.items()})


def extended(plan: Plan, folder: Path) -> Plan:
    """A plan with the waves of a folder that have results as they are, and the rest in new ones.

    Args:
        plan: a plan with all runs that the folder has results of, alone or among others.
        folder: folder of the results of an earlier plan.

    Returns:
        The plan as it was given if there are no results, and the earlier one if both are equal.

    Raises:
        JaxmixError: the folder has results that the plan lacks or would train otherwise, or a
            process is training there.
    """
    if folder.exists() and not folder.is_dir():
        raise JaxmixError(f"{folder}: is a file; name a folder")
    earlier = _earlier(folder)
    if plan == earlier:
        return plan
    kept = [_kept(plan, here, earlier) for here in _begun(folder)]
    done = {run.run for wave in kept for run in wave.runs}
    names = {wave.name for wave in kept}
    waves = list(kept)
    for wave in plan.waves:
        runs = tuple(run for run in wave.runs if run.run not in done)
        if runs:
            free = itertools.chain([wave.name], (f"{wave.preset}-{i}" for i in itertools.count()))
            name = next(name for name in free if name not in names)
            names.add(name)
            waves.append(dataclasses.replace(wave, name=name, runs=runs))
    order = [size.preset for size in plan.study.sizes]
    waves.sort(key=lambda wave: (order.index(wave.preset), len(wave.name), wave.name))
    return dataclasses.replace(plan, waves=tuple(waves))


def _earlier(folder: Path) -> Plan | None:
    """The plan of a folder, or None if it has none or a damaged one."""
    try:
        return load_plan(folder / "plan.json")
    except JaxmixError:
        return None


def _begun(folder: Path) -> list[Path]:
    """Folders of waves that have results.

    Raises:
        JaxmixError: another process is training one.
    """
    found = sorted(path for path in folder.glob("waves/*") if path.is_dir())
    for here in found:
        with claimed(here / ".lock", "wait for it or stop it, or name another folder"):
            pass
    return [here for here in found if has_begun(here)]


def _kept(plan: Plan, here: Path, earlier: Plan | None) -> Wave:
    """The wave with results in a folder, in terms of a new plan."""
    names = _members(here)
    found = {run.run: (wave, run) for wave in plan.waves for run in wave.runs}
    changes = [f"'{name}' is not asked for" for name in names if name not in found]
    changes = changes or _changes(plan, earlier, names)
    if changes:
        raise JaxmixError(
            f"{here.parent.parent}: has results of other runs ({changes[0]}); repeat the options "
            "that they were trained with, and add to them, or name another folder"
        )
    runs = tuple(found[name][1] for name in names)
    return dataclasses.replace(found[names[0]][0], name=here.name, runs=runs)


def _members(here: Path) -> list[str]:
    """Names of the runs that a folder has results of."""
    mark = here / "fleet.json"
    if mark.exists():
        return member_names(mark, "delete it, and the rows beside it name the runs")
    names = list(dict.fromkeys(row["run"] for row in read_rows(here / "rows.jsonl")))
    if not names:
        raise JaxmixError(f"{here}: does not name its runs; delete it to train them again")
    return names


def _changes(plan: Plan, earlier: Plan | None, names: Sequence[str]) -> list[str]:
    """What of an earlier plan was different for some runs of both."""
    if earlier is None:
        return []
    settings = [f.name for f in dataclasses.fields(Study) if f.name not in _FREE]
    found = [
        f"with {name} {clip(getattr(earlier.study, name), 60)}"
        for name in settings
        if getattr(plan.study, name) != getattr(earlier.study, name)
    ]
    tasks = earlier.study.tasks  # rows of other tasks do not belong into one table
    if tasks is not None and (plan.study.tasks is None or plan.study.tasks.hash != tasks.hash):
        found.append(f"with --tasks {tasks.path}, whose questions are {tasks.hash}")
    ours, theirs = (
        {run.run: {"tokens": w.tokens, **vars(run)} for w in p.waves for run in w.runs}
        for p in (plan, earlier)
    )
    found += [
        f"'{name}' with {key} {clip(value, 60)}"
        for name in names
        for key, value in theirs.get(name, {}).items()
        if ours[name][key] != value
    ]
    return ["other data"] * (plan.corpus_hash != earlier.corpus_hash) + found
