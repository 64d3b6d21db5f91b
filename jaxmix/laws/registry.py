"""Laws by name."""

import importlib.util
from collections.abc import Callable, Mapping
from functools import partial, reduce
from pathlib import Path
from typing import Any

from jaxmix.errors import JaxmixError
from jaxmix.laws import baselines, continual, effective, prior, scaling
from jaxmix.laws.continual import BEFORE, begun
from jaxmix.laws.data_reuse import BY_DOMAIN, REPETITION, repeated
from jaxmix.laws.fixed import FixedLoss, fixed
from jaxmix.laws.floor import FLOOR, floored
from jaxmix.laws.harm import HARM, harmed
from jaxmix.laws.implicit_domains import FAMILY, find_implicit
from jaxmix.laws.law import Law
from jaxmix.laws.scarce import SCARCITY, scarce

LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        scaling.CHINCHILLA,
        effective.EFFECTIVE,
        scaling.ADDITIVE,
        scaling.JOINT,
        scaling.SIMPLE,
        scaling.FULL,
        scaling.ADDITIVE_FIXED_ND,
        scaling.ADDITIVE_FIXED_N,
        scaling.ADDITIVE_FIXED_D,
        effective.EFFECTIVE_FIXED_ND,
        effective.EFFECTIVE_FIXED_N,
        effective.EFFECTIVE_FIXED_D,
        prior.YE_M1,
        prior.YE_M2,
        prior.YE_M3,
        prior.YE_M4,
        prior.GE,
        continual.D_CPT,
        baselines.OWN_WEIGHT_LAW,
        baselines.LOG_LINEAR,
    )
}


# What may follow the name of a law, such as "joint+repetition+harm"; applied from left to right.
TRANSFORMS: dict[str, Callable[[Law], Law]] = {
    REPETITION: repeated,
    BY_DOMAIN: partial(repeated, by_domain=True),
    HARM: harmed,
    SCARCITY: scarce,
    BEFORE: begun,
    FLOOR: floored,
}


def get_law(name: Law | str) -> Law:
    """The law called ``name``, or the one that a Python file defines; a law passes through.

    Args:
        name: a key of ``LAWS`` (case and ``_`` against ``-`` do not matter), ``ye-implicit-3`` for
            ``implicit_domains(3)``, either with transforms behind it, such as
            ``effective+repetition+harm``, or ``path/to/file.py:VARIABLE`` for a law of one's own.

    Raises:
        JaxmixError: no such law or transform; the message lists those there are.

    Example:
        >>> get_law("Additive_Fixed_N").name
        'additive-fixed-n'
        >>> get_law("joint+repetition").count_formula()
        '6 + 4k'
    """
    if isinstance(name, Law):
        return name
    if ".py:" in name:
        return _law_from_file(*name.rsplit(":", 1))
    law = find_law(name.lower().replace("_", "-"))
    if law is None:
        raise JaxmixError(
            f"unknown law '{name}': choose one of {', '.join(LAWS)}, {FAMILY} "
            f"(with {', '.join(TRANSFORMS)} behind it), or give FILE.py:VARIABLE"
        )
    return law


def base_name(name: str) -> str:
    """The name of a law without its transforms.

    >>> base_name("joint+repetition+harm")
    'joint'
    """
    return name.partition("+")[0]


def find_law(name: str) -> Law | None:
    """The law of exactly that name, of ``LAWS``, of a family or transformed; None if there is none.

    Raises:
        JaxmixError: there is one, and it does not take a transform.
    """
    base, *ends = name.split("+")
    transforms = [f"+{end}" for end in ends]
    law = LAWS.get(base) or find_implicit(base)
    if law is None or not set(transforms) <= set(TRANSFORMS):
        return None
    return reduce(lambda made, transform: TRANSFORMS[transform](made), transforms, law)


def law_recipe(law: Law) -> dict[str, Any] | None:
    """How to make a law again from its name, for files; None for a law of one's own.

    Returns:
        ``name`` as ``get_law`` takes it, with ``fixed`` if some parameters are given.
    """
    core, recipe = law, {}
    if isinstance(core.loss, FixedLoss):
        recipe["fixed"] = {n: list(v) if isinstance(v, tuple) else v for n, v in core.loss.values}
        core = core.loss.base
    recipe = {"name": core.name, **recipe}
    known = find_law(base_name(core.name))
    return recipe if known and law_from_recipe(recipe) == law else None


def law_from_recipe(recipe: Mapping[str, Any]) -> Law:
    """The inverse of ``law_recipe``.

    Raises:
        JaxmixError: an unknown name, or parameters that the law does not have.
    """
    law = get_law(recipe["name"])
    return fixed(law, recipe["fixed"]) if "fixed" in recipe else law


def _law_from_file(path: str, variable: str) -> Law:
    if not Path(path).is_file():
        raise JaxmixError(f"{path}: no such file; a law of your own is given as FILE.py:VARIABLE")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file does when it runs
        reason = f"{type(error).__name__}: {error}"
        raise JaxmixError(f"{path}: cannot be run ({reason}); correct the file") from error
    law = getattr(module, variable, None)
    if not isinstance(law, Law):
        raise JaxmixError(f"{path}: '{variable}' is not a jaxmix.laws.Law")
    return law
