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
    sensor,
    sigmoid,
    span,
    transport,
)
from tuplet.functional.sensor import sensor_loss

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
    "sensor",
    "sensor_loss",
    "sigmoid",
    "span",
    "transport",
]
