"""The mathematics: pure tensor functions without modules, state or files."""

from tuplet.functional import contrast, scores, span

__all__ = ["contrast", "scores", "span"]
