"""Whether sizes and losses look like the units of the contract: counts, and nats per token."""

from collections.abc import Sequence

import numpy as np

from jaxmix.notes import WRONG, Note
from jaxmix.quantities import shortest

LOG_VOCABULARY = 12.5  # nats: a uniform guess among 270,000 tokens
_MODEL = 1e4  # a table whose models (or tokens) are all smaller gives them in some unit
_TOY = 1e3  # so is a size below this beside others that are not
_USUAL = 30.0  # tokens per parameter, within a factor of 1000
_STARVED = 0.03  # tokens per parameter: nobody trains all models on fewer
_FACTORS = {"millions": 1e6, "billions": 1e9}


def unit_notes(n_params: np.ndarray, tokens: np.ndarray) -> list[str]:
    """Returns a question for N [p] and for D [p] that look like millions or billions.

    >>> unit_notes(np.array([10.0, 300.0]), np.array([2e8, 6e9]))
    ['n_params of 10 to 300 look like millions: multiply by 1e6 or write units, as in 10M']
    >>> unit_notes(np.array([25e3, 350e3]), np.array([5e5, 5e5]))
    []
    """
    small = n_params < (_MODEL if n_params.max() < _MODEL else _TOY)
    words = _model_units(n_params[small]) if small.any() else ()
    sizes = n_params * np.where(small, _FACTORS[words[0]], 1.0) if words else n_params
    notes = [_question("n_params", n_params[small], words)] if words else []
    # Early checkpoints have few tokens per parameter, but not all rows of a table.
    if tokens.max() < _MODEL or (tokens / sizes).max() < _STARVED:
        known = [_token_unit(sizes, tokens)] if len(words) < 2 else words
        notes.append(_question("tokens", tokens, known))
    return notes


def _model_units(sizes: np.ndarray) -> Sequence[str]:
    if sizes.min() < 1.0:
        return ("billions",)
    return ("millions",) if sizes.max() > 20.0 else ("millions", "billions")


def _token_unit(sizes: np.ndarray, tokens: np.ndarray) -> str:
    """Returns the unit in which tokens per parameter are the most usual."""
    ratio = np.median(tokens) / np.median(sizes) / _USUAL
    return min(_FACTORS, key=lambda word: abs(np.log(ratio * _FACTORS[word])))


def _question(column: str, values: np.ndarray, words: Sequence[str]) -> str:
    shown = [shortest(float(f"{value:.4g}")) for value in (values.min(), values.max())]
    seen = " to ".join(dict.fromkeys(shown))
    factors = " or ".join(f"{_FACTORS[word]:.0e}".replace("e+0", "e") for word in words)
    example = f"{shown[0]}{words[0][0].upper()}"
    return Note(
        f"{column} of {seen} look like {' or '.join(words)}: multiply by {factors} or write units, "
        f"as in {example}",
        WRONG,
    )


def loss_notes(losses: np.ndarray, targets: Sequence[str]) -> list[str]:
    """Returns a question for losses [m, p] (NaN if missing) that no vocabulary explains.

    >>> loss_notes(np.array([[25.0, 18.0, 14.0]]), ["web"])[0][:45]
    'losses of web look like perplexities: half of'
    """
    above = losses > LOG_VOCABULARY
    if not above.any():
        return []
    limit = f"{LOG_VOCABULARY} nats, the logarithm of the largest vocabularies"
    present = np.maximum(np.isfinite(losses).sum(axis=1), 1)
    mostly = [
        t for t, share in zip(targets, above.sum(axis=1) / present, strict=True) if share > 0.5
    ]
    if mostly:
        names = ", ".join([*mostly[:3], *(["..."] if len(mostly) > 3 else [])])
        return [
            Note(
                f"losses of {names} look like perplexities: half of them exceed {limit}; laws need "
                "nats per token, so take the logarithm",
                WRONG,
            )
        ]
    few = f"{above.sum()} of {np.isfinite(losses).sum()} losses exceed {limit} (largest "
    return [
        Note(
            f"{few}{np.nanmax(losses):.4g}): runs that diverged, or bits or perplexities? Laws "
            "need nats per token",
            WRONG,
        )
    ]
