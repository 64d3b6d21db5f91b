"""The error of the run table."""

from jaxmix.errors import JaxmixError


class RunTableError(JaxmixError):
    """A run table that cannot be used: one line that names file, column, row and remedy."""
