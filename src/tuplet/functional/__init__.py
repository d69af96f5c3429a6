"""The mathematics: pure tensor functions without modules, state or files."""

from tuplet.functional import contrast, gromov, kernels, scores, span, transport

__all__ = ["contrast", "gromov", "kernels", "scores", "span", "transport"]
