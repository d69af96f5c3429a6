"""Align the representations of any number of modalities."""

from tuplet import data, diagnose, evaluate, functional, information, objectives
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
    "diagnose",
    "evaluate",
    "fit",
    "functional",
    "information",
    "objectives",
]
__version__ = "0.1.0"
