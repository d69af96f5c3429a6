"""The demo: an audit, a comparison of a few objectives and a search on the packaged emoji, told in one page."""

from tuplet.demo.page import tell, verdict
from tuplet.demo.study import METHODS, SEEDS, Found, measure

__all__ = ["METHODS", "SEEDS", "Found", "measure", "tell", "verdict"]
