"""Networks that map an input to a vector: encoders and projection heads."""

from tuplet.nets.mlp import MLP
from tuplet.nets.project import Projection

__all__ = ["MLP", "Projection"]
