"""Run the command line with ``python -m tuplet.cli``."""

import sys

from tuplet.cli import main

if __name__ == "__main__":
    sys.exit(main())
