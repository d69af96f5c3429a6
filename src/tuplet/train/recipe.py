"""A recipe: everything that one training run needs, as Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from tuplet.data import SOURCES, Source
from tuplet.model import AlignmentModel
from tuplet.objectives import (
    CMC,
    Bottleneck,
    CoMM,
    Cone,
    Gram,
    Objective,
    OneVsAll,
    Pairwise,
    SigmoidPairwise,
    Structure,
    Symile,
    TransportConsistency,
    Triangle,
    UniAlign,
)
from tuplet.train.config import TrainConfig
from tuplet.types import Embeddings, InputError, Loss

DIM = 64
"""Width of representations and embeddings."""

OBJECTIVES: dict[str, Callable[[Sequence[str], int], Objective]] = {
    "pairwise": lambda names, dim: Pairwise(),
    "sigmoid": lambda names, dim: SigmoidPairwise(),
    "cmc": lambda names, dim: CMC(),
    "bottleneck": lambda names, dim: Bottleneck(),
    "symile": lambda names, dim: Symile(),
    "gram": lambda names, dim: Gram(),
    "triangle": lambda names, dim: Triangle(),
    "one_vs_all": lambda names, dim: OneVsAll(tau=0.1),
    "cone": lambda names, dim: Cone(),
    "uni_align": lambda names, dim: UniAlign(temperature=0.1),
    "comm": lambda names, dim: CoMM(names, dim),
    "structure": lambda names, dim: Pairwise() + 10.0 * Structure(),
    "transport": lambda names, dim: TransportConsistency(),
}
"""Short name -> objective for small data, from modalities and width; OVA-IB, UniAlign and the weight of Structure as they do
best on the digits' validation rows."""


@dataclass(frozen=True)
class Recipe:
    """A data set, a model, an objective and how to train.

    Attributes:
        source: the data.
        model: with the source's modalities.
        objective: from `Embeddings` to `Loss`.
        config: how to train; folder and seed come from the command line.
        target: what `tuplet evaluate` probes.
    """

    source: Source
    model: AlignmentModel
    objective: Callable[[Embeddings], Loss]
    config: TrainConfig = field(default_factory=TrainConfig)
    target: str = "label"


def digits(objective: str = "pairwise", seed: int = 0) -> Recipe:
    """Align the six views of the packaged digits (three of them for the triangle).

    Args:
        objective: one of ``OBJECTIVES``.
        seed: of the initial weights.

    Returns:
        The recipe.

    Raises:
        InputError: for an unknown objective.

    Example:
        >>> digits("gram").objective.traits.sign_blind
        True
    """
    if objective not in OBJECTIVES:
        raise InputError(f"objective is {objective!r}, expected one of {sorted(OBJECTIVES)}")
    source = SOURCES["digits"]()
    if objective == "triangle":
        source = source.select(["fourier", "karhunen", "zernike"])
    torch.manual_seed(seed)
    model = AlignmentModel.mlp({k: m.shape for k, m in source.modalities.items()}, dim=DIM)
    return Recipe(source, model, OBJECTIVES[objective](tuple(source.modalities), DIM), TrainConfig(epochs=20, lr=3e-3))


RECIPES = {"digits": digits}
"""Short name -> function of objective and seed."""
