"""Networks that map an input to a vector: encoders, projection heads, fusion of several; and random views of inputs."""

from tuplet.nets.adapters import BridgingAdapter
from tuplet.nets.augment import Augment
from tuplet.nets.choice import encoders
from tuplet.nets.fusion import Fusion
from tuplet.nets.images import ResNet18, SmallCNN
from tuplet.nets.local import pretrained
from tuplet.nets.masked import MaskedTower, SensorTokens, universal_share
from tuplet.nets.mlp import MLP, Projection, Residual
from tuplet.nets.named import Named
from tuplet.nets.raw import Pretrained
from tuplet.nets.sensor import SensorModulator
from tuplet.nets.sequence import LSTM, SequenceCNN
from tuplet.nets.tokens import tokeniser
from tuplet.nets.tower_encoder import Encoded, TowerEncoder
from tuplet.nets.towers import Levels, Tower, clip

__all__ = [
    "LSTM",
    "MLP",
    "Augment",
    "BridgingAdapter",
    "Encoded",
    "Fusion",
    "Levels",
    "MaskedTower",
    "Named",
    "Pretrained",
    "Projection",
    "ResNet18",
    "Residual",
    "SensorModulator",
    "SensorTokens",
    "SequenceCNN",
    "SmallCNN",
    "Tower",
    "TowerEncoder",
    "clip",
    "encoders",
    "pretrained",
    "tokeniser",
    "universal_share",
]
