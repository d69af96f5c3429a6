"""A training recipe of your own.

tuplet train examples/recipe.py --out runs/mine
tuplet evaluate runs/mine --recipe examples/recipe.py
"""

import torch

import tuplet
from tuplet.data import SOURCES


def recipe():
    source = SOURCES["digits"]().select(["pixels", "zernike", "fourier"])
    torch.manual_seed(0)
    return tuplet.Recipe(
        source=source,
        model=tuplet.AlignmentModel.mlp({k: m.shape for k, m in source.modalities.items()}, dim=32),
        objective=tuplet.objectives.Pairwise() + 0.1 * tuplet.objectives.OneVsAll(tau=0.1),
        config=tuplet.TrainConfig(epochs=5, lr=3e-3),
    )
