"""Training: configuration, loop, steps, checkpoints and devices."""

from tuplet.train.config import TrainConfig
from tuplet.train.loop import Run, fit
from tuplet.train.recipe import Recipe
from tuplet.train.strength import StrategicRun, strategic

__all__ = ["Recipe", "Run", "StrategicRun", "TrainConfig", "fit", "strategic"]
