"""Run the command line with ``python -m tuplet``."""

import sys

from tuplet.cli import main

if __name__ == "__main__":
    sys.exit(main())
