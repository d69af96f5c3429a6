"""Runs the toy suite in a folder, to be killed: python -m tests.study.victim OUT."""

import sys
from pathlib import Path

from tests.study.toy import suite
from tuplet.study._report import write_report
from tuplet.study.runner import run_suite

if __name__ == "__main__":
    out = Path(sys.argv[1])
    write_report(suite(), run_suite(suite(), out=out, seeds=2, workers=2), out)
