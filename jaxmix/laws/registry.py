"""Laws by name."""

import importlib.util
from pathlib import Path

from jaxmix.laws import prior, scaling
from jaxmix.laws.law import Law

LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        scaling.CHINCHILLA,
        scaling.ADDITIVE,
        scaling.JOINT,
        scaling.SIMPLE,
        scaling.FULL,
        scaling.ADDITIVE_FIXED_ND,
        scaling.ADDITIVE_FIXED_N,
        prior.YE_M1,
        prior.YE_M2,
        prior.YE_M3,
        prior.YE_M4,
        prior.GE,
    )
}


def get_law(name: str) -> Law:
    """The law called ``name``, or the one that a Python file defines.

    Args:
        name: a key of ``LAWS`` (case and ``_`` against ``-`` do not matter), or
            ``path/to/file.py:VARIABLE`` for a law of one's own.

    Raises:
        ValueError: no such law; the message lists those there are.

    Example:
        >>> get_law("Additive_Fixed_N").name
        'additive-fixed-n'
    """
    if ".py:" in name:
        return _law_from_file(*name.rsplit(":", 1))
    law = LAWS.get(name.lower().replace("_", "-"))
    if law is None:
        raise ValueError(
            f"unknown law '{name}': choose one of {', '.join(LAWS)}, or give FILE.py:VARIABLE"
        )
    return law


def _law_from_file(path: str, variable: str) -> Law:
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file; a law of your own is given as FILE.py:VARIABLE")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    law = getattr(module, variable, None)
    if not isinstance(law, Law):
        raise ValueError(f"{path}: '{variable}' is not a jaxmix.laws.Law")
    return law
