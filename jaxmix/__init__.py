"""Data-mixture scaling laws in JAX: fit them on small runs, then choose the big run's mixture.

The package is a set of rooms, imported by name so that whoever only fits a table of losses never
loads a trainer::

    training -> runs -> fitting (+ laws) -> mixtures -> report

`jaxmix.runs`, `jaxmix.laws`, `jaxmix.fitting` and `jaxmix.mixtures` work where flax, grain, orbax
and tokenizers are not installed.
"""

__version__ = "0.1.0"
