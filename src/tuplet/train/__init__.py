"""Training: configuration, loop, steps, checkpoints and devices."""

from tuplet.train.config import TrainConfig
from tuplet.train.loop import Run, fit
from tuplet.train.recipe import Recipe

__all__ = ["Recipe", "Run", "TrainConfig", "fit"]
