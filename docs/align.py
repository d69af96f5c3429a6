"""Runs the audits of docs/align.md and draws their figures: python docs/align.py [--missing]."""

import argparse
import tempfile
from pathlib import Path

from tuplet.audit import audit
from tuplet.audit._figures import information_figure, pilot_figure
from tuplet.audit._report import summary
from tuplet.data import SOURCES
from tuplet.simulators import blocks

FOLDER = Path(__file__).parent / "figures"
CASES = {
    "shared": lambda: (blocks.load(1, 0, 0, 0, flip=0.15, noise=0.7, private=6, rows=2000), None),
    "unique": lambda: (blocks.load(0, 2, 2, 0, common=1, noise=0.7, private=6, rows=2000), None),
    "joint": lambda: (blocks.load(0, 0, 0, 2, common=1, noise=0.3, private=2, rows=2000), None),
    "digits": lambda: (SOURCES["digits"](), [("fourier", "karhunen")]),
}
"""Name -> source and the pairs that are asked about."""


def main() -> None:
    """Write one picture and one text per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--missing", action="store_true", help="leave pictures that are there alone")
    parser.add_argument("names", nargs="*", help="of cases; all when left out")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for name in arguments.names or CASES:
        files = {kind: FOLDER / f"align-{name}-{kind}.svg" for kind in ("information", "pilot")}
        if arguments.missing and all(file.exists() for file in files.values()):
            continue
        source, pairs = CASES[name]()
        with tempfile.TemporaryDirectory() as folder:
            found = audit(source, target="label", pairs=pairs, out=Path(folder))
        for kind, draw in (("information", information_figure), ("pilot", pilot_figure)):
            drawn = draw(found.pairs[0]).replace("currentColor", "#1c2126")
            files[kind].write_text(drawn.replace("<svg ", '<svg style="background:white" ', 1))
        print(summary(found), *found.pairs[0].advice.evidence, sep="\n", flush=True)


if __name__ == "__main__":
    main()
