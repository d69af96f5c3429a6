"""The model: encoders and projections per modality, its closed-form start, and the folder that keeps it."""

from tuplet.model.alignment import AlignmentModel
from tuplet.model.closed_form import ClosedFormError, LinearMap, linear_maps
from tuplet.model.embedding import embed
from tuplet.model.films import Films, film_features
from tuplet.model.folder import CONFIG, WEIGHTS, load, opened_weights, read_weights
from tuplet.model.frozen import features
from tuplet.model.portable import export

__all__ = [
    "CONFIG",
    "WEIGHTS",
    "AlignmentModel",
    "ClosedFormError",
    "Films",
    "LinearMap",
    "embed",
    "export",
    "features",
    "film_features",
    "linear_maps",
    "load",
    "opened_weights",
    "read_weights",
]
