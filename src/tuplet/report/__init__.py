"""Reports: tables, pictures and one self-contained page of sections. Knows no suite and no audit."""

from tuplet.report.grid import Grid as Grid
from tuplet.report.page import write_page as write_page
from tuplet.report.parts import Answers as Answers
from tuplet.report.parts import Picture as Picture
from tuplet.report.parts import Section as Section
from tuplet.report.parts import Sheet as Sheet
from tuplet.report.parts import Text as Text
from tuplet.report.parts import Tile as Tile
from tuplet.report.png import data_uri as data_uri
