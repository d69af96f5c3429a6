"""Data: what a source is, splits, and a user's own arrays, tables and files."""

from importlib import import_module
from typing import Any

from tuplet.data.arrays import from_arrays, from_columns
from tuplet.data.files import Pictures, Sounds
from tuplet.data.pairs import Pairs, draw_pairs, pair_parts
from tuplet.data.pictures import show
from tuplet.data.preprocessing import Modality, Preprocessing
from tuplet.data.reading import from_npz, from_table, read
from tuplet.data.source import Provenance, Rows, Source, Target
from tuplet.data.splits import Split, split_rows
from tuplet.data.table import Table, write_table
from tuplet.data.views import batches, hide, ungroup

__all__ = [
    "Modality",
    "Pairs",
    "Pictures",
    "Preprocessing",
    "Provenance",
    "Rows",
    "Sounds",
    "Source",
    "Split",
    "Table",
    "Target",
    "batches",
    "draw_pairs",
    "from_arrays",
    "from_columns",
    "from_npz",
    "from_table",
    "hide",
    "pair_parts",
    "read",
    "show",
    "split_rows",
    "ungroup",
    "write_table",
]


def __getattr__(name: str) -> Any:
    """Look up the catalog when it is asked for: its readers stand above this room."""
    if name in ("READERS", "SOURCES", "Reader"):
        return getattr(import_module("tuplet.catalog"), name)
    raise AttributeError(f"module 'tuplet.data' has no attribute {name!r}")
