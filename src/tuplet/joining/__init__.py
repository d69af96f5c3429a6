"""Add sensors to a space that exists: the space does not move, only the new encoders and projections train."""

from tuplet.joining.adding import Joined, join
from tuplet.joining.finding import Reached

__all__ = ["Joined", "Reached", "join"]
