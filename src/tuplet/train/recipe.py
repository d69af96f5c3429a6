"""A recipe: everything that one training run needs, as Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tuplet.data import Source
from tuplet.model import AlignmentModel
from tuplet.train.config import TrainConfig
from tuplet.types import Embeddings, Loss

DIM = 64
"""Width of representations and embeddings."""


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
