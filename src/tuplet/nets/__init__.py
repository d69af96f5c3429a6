"""Networks that map an input to a vector: encoders, projection heads, fusion of several; and random views of inputs."""

from tuplet.nets.augment import Augment
from tuplet.nets.choice import encoders
from tuplet.nets.fusion import Fusion
from tuplet.nets.images import ResNet18, SmallCNN
from tuplet.nets.mlp import MLP, Projection, Residual
from tuplet.nets.named import Named
from tuplet.nets.sequence import LSTM, SequenceCNN

__all__ = [
    "LSTM",
    "MLP",
    "Augment",
    "Fusion",
    "Named",
    "Projection",
    "ResNet18",
    "Residual",
    "SequenceCNN",
    "SmallCNN",
    "encoders",
]
