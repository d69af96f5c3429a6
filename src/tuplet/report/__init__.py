"""Reports: one self-contained page of sections, with pictures inside. Knows no suite and no audit."""

from tuplet.report.page import Section, Sheet, Table, Tile, write_page
from tuplet.report.picture import data_uri, png

__all__ = ["Section", "Sheet", "Table", "Tile", "data_uri", "png", "write_page"]
