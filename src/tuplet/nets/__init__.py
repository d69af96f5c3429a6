"""Networks that map an input to a vector: encoders, projection heads, fusion of several; and random views of inputs."""

from tuplet.nets.augment import Augment
from tuplet.nets.fusion import Fusion
from tuplet.nets.mlp import MLP
from tuplet.nets.project import Projection

__all__ = ["MLP", "Augment", "Fusion", "Projection"]
