"""The mathematics: pure tensor functions without modules, state or files."""

from tuplet.functional import cluster_kernel, contrast, density, divergence, mixture, scores, sigmoid, span

__all__ = ["cluster_kernel", "contrast", "density", "divergence", "mixture", "scores", "sigmoid", "span"]
