"""Tables whose columns have other names to run tables: by name, pattern, or one amount."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxmix.errors import clip, hint
from jaxmix.files import json_fault
from jaxmix.quantities import quantity
from jaxmix.runs.errors import RunTableError
from jaxmix.runs.foreign import read_foreign
from jaxmix.runs.reading import (
    TEXT_COLUMNS,
    Raw,
    Table,
    count,
    decode,
    read_bytes,
)
from jaxmix.runs.renaming import renamed
from jaxmix.runs.table import RunTable, table_from_raw
from jaxmix.runs.validate import ALIASES, is_loss, with_numbers

_KINDS = {"w_": "domain", "loss_": "target"}


def import_columns(
    table: Table,
    columns: Mapping[str, str] | None = None,
    *,
    run: str | None = None,
    n_params: str | float = "n_params",
    tokens: str | float = "tokens",
    weights: Sequence[str] = (),
    losses: Sequence[str] = (),
    tokens_per_step: float | None = None,
    where: str | None = None,
    pool: Sequence[str] = (),
) -> RunTable:
    r"""Reads a run table whose columns have other names.

    Args:
        table: as of `read_runs`; text files may have other separators, decimal commas and nested
            records.
        columns: by name in the run table, the column of the table, as ``{"n_params": "N"}``.
            Columns that are not named keep their names.
        run: the column of run ids; None for `run`. Without one, rows of one mixture and N (and
            seed) are one run.
        n_params: the column of N, or N of all rows as a number or a text such as ``"70M"``.
        tokens: likewise of D.
        weights: columns of weights, or patterns such as ``ratio_*``: what ``*`` stands for is the
            domain's name. Empty for the columns ``w_<domain>``.
        losses: likewise of losses and targets.
        tokens_per_step: what to multiply the column `tokens` by.
        where: as in `read_runs`, over the new names.
        pool: as in `read_runs`.

    Raises:
        RunTableError: a column is missing, is named twice, its new name is taken, or two columns
            make one name; or as `read_runs` does, by the names of the file.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "theirs.csv"
    >>> _ = path.write_text("N;mix/web;mix/code;val\n1e6;60%;40%;3,5\n")
    >>> runs = import_columns(path, n_params="N", tokens="1B", weights=["mix/*"], losses=["val"])
    >>> runs.domains, runs.losses().tolist()
    (('web', 'code'), [[3.5]])
    """
    named = dict(columns or {})
    texts = [old for new, old in named.items() if new in TEXT_COLUMNS]
    raw = read_foreign(table, [*texts, *([run] if run else [])])
    raw = renamed(raw, named)
    raw = chosen(
        raw,
        run=run,
        amounts={"n_params": n_params, "tokens": tokens},
        patterns={"w_": weights, "loss_": losses},
        kept=set(named),
    )
    if tokens_per_step is not None:
        raw = scaled(raw, tokens_per_step)
    return grouped(raw, where, pool)


def read_mapping(given: str) -> dict[str, str]:
    """Reads a mapping of columns from ``name=column,...`` or from a JSON file with one object.

    Args:
        given: names in the run table and columns of the file, or the name of a .json file (for
            columns whose names hold a comma).

    Raises:
        RunTableError: a part is not ``name=column``, a name stands twice, or the file is not JSON.

    >>> read_mapping("n_params=N, loss_web=val/web")
    {'n_params': 'N', 'loss_web': 'val/web'}
    """
    if given.lower().endswith(".json"):
        return _from_json(Path(given))
    found: dict[str, str] = {}
    for part in given.split(","):
        new, equals, old = (piece.strip() for piece in part.partition("="))
        if not equals or not new or not old:
            raise RunTableError(f"columns: {clip(part)!r} is not name=column; write tokens=D")
        if new in found:
            raise RunTableError(f"columns: {new!r} is given twice; keep one")
        found[new] = old
    return found


def _from_json(path: Path) -> dict[str, str]:
    text = decode(read_bytes(path), str(path))
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunTableError(f"{path}: not JSON ({json_fault(error)}); repair it") from None
    if not isinstance(found, dict) or not all(isinstance(c, str) for c in found.values()):
        raise RunTableError(f'{path}: write one object of strings, as {{"tokens": "D"}}')
    return found


def chosen(
    raw: Raw,
    *,
    run: str | None,
    amounts: Mapping[str, str | float],
    patterns: Mapping[str, Sequence[str]],
    kept: set[str],
) -> Raw:
    """Returns a table with the columns of the contract, found by name and pattern.

    Args:
        raw: the table.
        run: the column of run ids; None for `run`, if there is one.
        amounts: by name in the run table, a column or one amount for all rows.
        patterns: by prefix in the run table, columns or patterns.
        kept: columns that have their final names.

    Raises:
        RunTableError: nothing has a name, or two columns make one.
    """
    columns: dict[str, str] = {}
    held = [str(name) for name in raw.frame.columns]
    if run is not None:
        if run not in held:
            raise RunTableError(f"{raw.source}: --run: no column {clip(run)!r}; {hint(run, held)}")
        columns["run"] = run
    constants: dict[str, float] = {}
    for name, given in amounts.items():
        found = _amount(raw.source, name, given, held)
        (constants if isinstance(found, float) else columns)[name] = found  # type: ignore[index]
    for prefix, given in patterns.items():
        free = [name for name in held if name not in (*kept, *columns.values())]
        columns |= _matches(raw.source, prefix, given, free)
    unread = _unread(held, columns, constants, patterns, kept)
    columns = {new: old for new, old in columns.items() if new != old}
    raw = renamed(replace(raw, frame=raw.frame.drop(columns=unread)), columns)
    notes = [f"columns left out: {clip(', '.join(unread))}"] if unread else []
    return replace(raw, frame=raw.frame.assign(**constants), notes=(*raw.notes, *notes))


def _amount(source: str, name: str, given: str | float, held: Sequence[str]) -> str | float:
    """Returns the column that an option names, or the amount that it is."""
    if not isinstance(given, str) or given in held:
        return given if isinstance(given, str) else float(given)
    number = quantity(given)
    if math.isfinite(number):
        return number
    known = [column for column in held if column in ALIASES[name]]
    near = f"is it {known[0]!r}?" if known else hint(given, held)
    how = {
        "n_params": "as 70M, with --n-params",
        "tokens": "as 20B, with --tokens, or steps with --tokens-per-step",
    }
    raise RunTableError(
        f"{source}: no column {clip(given)!r}; name a column or one amount, {how[name]} ({near})"
    )


def _matches(source: str, prefix: str, given: Sequence[str], held: Sequence[str]) -> dict[str, str]:
    """Returns the columns that names and patterns mean, by their new names."""
    option = "--weights" if prefix == "w_" else "--losses"
    found: dict[str, str] = {}
    for pattern in _split(given, held):
        parts = map(re.escape, re.split(r"\*+", pattern))
        matcher = re.compile("(.*)".join(parts))
        matches = {c: m for c in held if (m := matcher.fullmatch(c))}
        if not matches:
            near = hint(pattern, held)
            raise RunTableError(f"{source}: {option}: no column is {clip(pattern)!r}; {near}")
        for column, match in matches.items():
            named = "_".join(filter(None, match.groups())) or column
            name = legal(named.removeprefix(prefix))
            if not name:
                raise RunTableError(
                    f"{source}: {option}: column {column!r} names no {_KINDS[prefix]}; pass "
                    f"--rename '{column}={prefix}NAME'"
                )
            other = found.setdefault(prefix + name, column)
            if other != column:
                raise RunTableError(
                    f"{source}: {option}: columns {clip(other)!r} and {clip(column)!r} are both "
                    f"{_KINDS[prefix]} {name!r}; pass --rename '{column}={prefix}OTHER'"
                )
    return found


def _split(given: Sequence[str], held: Sequence[str]) -> list[str]:
    """Returns patterns; one that is no column itself may be several with commas between them."""
    parts = ([one] if one in held else one.split(",") for one in given)
    return [part.strip() for several in parts for part in several if part.strip()]


def legal(name: str) -> str:
    """Returns a name that options and expressions take: slashes, dots and the like become ``_``.

    >>> legal("eval/web.en"), legal("c++"), legal("/")
    ('eval_web_en', 'c++', '')
    """
    return re.sub(r"[^\w+#-]+", "_", name).strip("_")


def _unread(
    held: Sequence[str],
    columns: Mapping[str, str],
    constants: Mapping[str, float],
    patterns: Mapping[str, Sequence[str]],
    kept: set[str],
) -> list[str]:
    """Returns columns that look like those of a run table, though others were named for them."""
    used = {*columns.values(), *kept}
    taken = {name for name in (*columns, *constants) if name in held}
    for prefix in (prefix for prefix, given in patterns.items() if given):
        looks = is_loss if prefix == "loss_" else lambda name: name.startswith("w_")
        taken |= set(filter(looks, held))
    return [name for name in held if name in taken and name not in used]


def scaled(raw: Raw, tokens_per_step: float) -> Raw:
    """Returns a table whose column `tokens` counted steps."""
    raw = with_numbers(raw, ["tokens"])
    steps = raw.frame["tokens"].to_numpy(dtype=np.float64)
    return replace(raw, frame=raw.frame.assign(step=steps, tokens=steps * tokens_per_step))


def grouped(raw: Raw, where: str | None, pool: Sequence[str] = ()) -> RunTable:
    """Returns the run table; without run ids, rows of one mixture, N and seed are one run."""
    table = table_from_raw(raw, where, pool)
    if "run" in raw.frame.columns:
        return table
    keys = ["n_params", *(f"w_{d}" for d in table.domains), *({"seed"} & {*table.frame})]
    rounded = table.frame[keys].round(9)
    number = rounded.groupby(keys, sort=False, dropna=False).ngroup() + 1
    again = table.frame.assign(run=number).groupby(["run", "tokens"]).cumcount()
    runs = [f"run{n}" + (f"-{a + 1}" if a else "") for n, a in zip(number, again, strict=True)]
    how = "mixture, N and seed" if "seed" in keys else "mixture and N"
    note = f"no run column: {count(len(set(runs)), 'run')}, one for each {how}"
    note += ", and one for each row that repeats their tokens" if again.any() else ""
    notes = tuple(n for n in table.notes if not n.startswith("no run column"))
    frame = table.frame.assign(run=np.array(runs, dtype=object))
    return replace(table, frame=frame, notes=(*notes, f"{note}; name one with --run"))
