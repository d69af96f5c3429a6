"""Align the representations of any number of modalities."""

from tuplet import functional, objectives
from tuplet.types import Batch, Embeddings, InputError, Loss, Traits

__all__ = ["Batch", "Embeddings", "InputError", "Loss", "Traits", "functional", "objectives"]
__version__ = "0.1.0"
