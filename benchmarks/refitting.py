"""Fits and refits of a table, stored in a folder if one is given."""

import pickle
from pathlib import Path

from jaxmix.fitting import bootstrap, fit
from jaxmix.fitting.uncertainty.ensemble import Ensemble
from jaxmix.laws import Law, get_law
from jaxmix.runs import RunTable


def refitted(runs: RunTable, law: str, resamples: int, folder: Path | None, name: str) -> Ensemble:
    """Fits and refits a law to a table, or reads what an earlier call stored under a name."""
    path = None if folder is None else folder / f"{name}.pkl"
    if path is not None and path.exists():
        return pickle.loads(path.read_bytes())
    laws = fit(runs, law, restarts=16)
    made = bootstrap(laws, runs, resamples=resamples, cluster="mixture", restarts=16)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            _Pickler(file).dump(made)
    return made


class _Pickler(pickle.Pickler):
    """Stores laws by their names: they are made of functions, which pickle cannot store."""

    def reducer_override(self, obj: object):
        return (get_law, (obj.name,)) if isinstance(obj, Law) else NotImplemented
