"""``python -m jaxmix`` is the command line."""

import sys

from jaxmix.cli import main

if __name__ == "__main__":
    sys.exit(main())
