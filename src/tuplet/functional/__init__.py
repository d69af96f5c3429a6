"""The mathematics: pure tensor functions without modules, state or files."""

from tuplet.functional import (
    cluster_kernel,
    contrast,
    density,
    divergence,
    gcca,
    gromov,
    kernels,
    mixture,
    scores,
    sigmoid,
    span,
    transport,
)

__all__ = [
    "cluster_kernel",
    "contrast",
    "density",
    "divergence",
    "gcca",
    "gromov",
    "kernels",
    "mixture",
    "scores",
    "sigmoid",
    "span",
    "transport",
]
