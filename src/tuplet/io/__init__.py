"""Every byte that enters or leaves: atomic files, locks, run folders, state, safe names."""

from tuplet.io.files import locked, write_atomic
from tuplet.io.folder import fresh
from tuplet.io.names import safe_name, shortened
from tuplet.io.state import AnyOf, Between, parse_state, read_state

__all__ = ["AnyOf", "Between", "fresh", "locked", "parse_state", "read_state", "safe_name", "shortened", "write_atomic"]
