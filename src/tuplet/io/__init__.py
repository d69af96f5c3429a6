"""Every byte that enters or leaves: atomic files and locks."""

from tuplet.io.files import locked, write_atomic

__all__ = ["locked", "write_atomic"]
