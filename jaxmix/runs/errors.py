"""The error of the run table."""

from jaxmix.errors import JaxmixError
from jaxmix.errors import clip as clip
from jaxmix.errors import hint as hint
from jaxmix.errors import nearest as nearest


class RunTableError(JaxmixError):
    """A run table that cannot be used: one line that names file, column, row and remedy."""
