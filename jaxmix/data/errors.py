"""The error class of `jaxmix.data`, and helpers for messages."""

from jaxmix.errors import JaxmixError
from jaxmix.errors import clip as clip
from jaxmix.errors import hint as hint


class DataError(JaxmixError):
    """Bad data or a bad request for it, in one line: what is wrong, where, and the remedy."""
