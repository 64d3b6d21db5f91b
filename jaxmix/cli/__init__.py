"""The command line, a thin skin over the Python API; stable, because scripts are built on it."""

from jaxmix.cli.app import main as main
