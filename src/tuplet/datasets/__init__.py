"""Data sets, one per file: `load()` gives a `tuplet.data.Source`."""
