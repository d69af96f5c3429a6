"""Data: what a source is, sources that ship with the package, and a user's own arrays."""

from collections.abc import Callable

from tuplet.data.arrays import Arrays, from_arrays
from tuplet.data.batch import batches
from tuplet.data.missing import hide
from tuplet.data.source import Modality, Provenance, Rows, Source, Target
from tuplet.data.sources import arm, digits, peg, push, tap
from tuplet.data.splits import Split, split_rows
from tuplet.data.stored import Stored, from_columns, from_table
from tuplet.data.table import Table, write_table

SOURCES: dict[str, Callable[[], Source]] = {
    "arm": arm.load,
    "digits": digits.load,
    "peg": peg.load,
    "push": push.load,
    "tap": tap.load,
}
"""Short name -> function that loads the source."""

__all__ = [
    "SOURCES",
    "Arrays",
    "Modality",
    "Provenance",
    "Rows",
    "Source",
    "Split",
    "Stored",
    "Table",
    "Target",
    "batches",
    "from_arrays",
    "from_columns",
    "from_table",
    "hide",
    "split_rows",
    "write_table",
]
