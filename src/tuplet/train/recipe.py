"""A recipe: everything that one training run needs, as Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

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


def long_enough(config: TrainConfig, rows: int) -> TrainConfig:
    """Train for more epochs where rows are so few that these take under 400 steps."""
    return replace(config, epochs=max(config.epochs, -(-400 // max(1, rows // config.batch_size))))


def patient(config: TrainConfig) -> TrainConfig:
    """Keep the best epoch, and stop once none has been better for a quarter of them."""
    return replace(config, keep="best", patience=max(10, config.epochs // 4))


def usual_target(source: Source) -> str:
    """Return the target called label, or the only one; or nothing."""
    names = list(source.targets)
    return "label" if "label" in names else names[0] if len(names) == 1 else ""
