"""The mathematics: pure tensor functions without modules, state or files."""

from tuplet.functional import cluster_kernel, contrast, mixture, scores, span

__all__ = ["cluster_kernel", "contrast", "mixture", "scores", "span"]
