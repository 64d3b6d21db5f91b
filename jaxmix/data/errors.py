"""The error of the data room."""

from jaxmix.errors import JaxmixError
from jaxmix.errors import clip as clip
from jaxmix.errors import hint as hint


class DataError(JaxmixError):
    """Bad data or a bad request for it, in one line: what, where and the remedy."""
