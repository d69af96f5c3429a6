"""Align the representations of any number of modalities."""

from tuplet import data, evaluate, functional, objectives
from tuplet.model import AlignmentModel
from tuplet.train import Recipe, Run, TrainConfig, fit
from tuplet.types import Batch, Embeddings, InputError, Loss, Traits

__all__ = [
    "AlignmentModel",
    "Batch",
    "Embeddings",
    "InputError",
    "Loss",
    "Recipe",
    "Run",
    "TrainConfig",
    "Traits",
    "data",
    "evaluate",
    "fit",
    "functional",
    "objectives",
]
__version__ = "0.1.0"
