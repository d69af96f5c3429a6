"""Reports: tables, pictures and one self-contained page of sections. Knows no suite and no audit."""

from tuplet.report.grid import Grid
from tuplet.report.page import write_page
from tuplet.report.parts import Answers, Picture, Section, Sheet, Text, Tile
from tuplet.report.png import data_uri

__all__ = ["Answers", "Grid", "Picture", "Section", "Sheet", "Text", "Tile", "data_uri", "write_page"]
