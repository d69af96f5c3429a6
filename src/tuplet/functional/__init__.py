"""The mathematics: pure tensor functions without modules, state or files."""

from tuplet.functional import contrast, density, divergence, scores, span

__all__ = ["contrast", "density", "divergence", "scores", "span"]
