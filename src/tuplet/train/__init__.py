"""Training: configuration, loop, steps, checkpoints and devices."""

from tuplet.train.config import TrainConfig
from tuplet.train.loop import Run, fit

__all__ = ["Run", "TrainConfig", "fit"]
