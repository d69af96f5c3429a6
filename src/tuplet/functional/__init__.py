"""The mathematics: pure tensor functions without modules, state or files."""

from tuplet.functional import (
    cluster_kernel,
    cone,
    contrast,
    density,
    divergence,
    gcca,
    gromov,
    kernels,
    mixture,
    nnls,
    rows,
    scores,
    sigmoid,
    span,
    transport,
)

__all__ = [
    "cluster_kernel",
    "cone",
    "contrast",
    "density",
    "divergence",
    "gcca",
    "gromov",
    "kernels",
    "mixture",
    "nnls",
    "rows",
    "scores",
    "sigmoid",
    "span",
    "transport",
]
