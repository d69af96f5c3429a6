"""A recipe: everything that one training run needs, as Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tuplet.data import Source
from tuplet.model import AlignmentModel
from tuplet.objectives import (
    CMC,
    Bottleneck,
    CoMM,
    Cone,
    Gram,
    Objective,
    OneVsAll,
    Pairwise,
    SigmoidPairwise,
    Structure,
    Symile,
    TransportConsistency,
    Triangle,
    UniAlign,
)
from tuplet.train.config import TrainConfig
from tuplet.types import Embeddings, Loss

DIM = 64
"""Width of representations and embeddings."""

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "pairwise": lambda names, dim, **s: Pairwise(**s),
    "sigmoid": lambda names, dim, **s: SigmoidPairwise(**s),
    "cmc": lambda names, dim, **s: CMC(**s),
    "bottleneck": lambda names, dim, **s: Bottleneck(**s),
    "symile": lambda names, dim, **s: Symile(**s),
    "gram": lambda names, dim, **s: Gram(**s),
    "triangle": lambda names, dim, **s: Triangle(**s),
    "one_vs_all": lambda names, dim, tau=0.1: OneVsAll(tau=tau),
    "cone": lambda names, dim, **s: Cone(**s),
    "uni_align": lambda names, dim, tau=0.1: UniAlign(temperature=tau),
    "comm": lambda names, dim, **s: CoMM(names, dim, **s),
    "structure": lambda names, dim, **s: Pairwise(**s) + 10.0 * Structure(),
    "transport": lambda names, dim: TransportConsistency(),
}
"""Short name -> objective for small data, from modalities, width and, but for transport, ``tau``.

OVA-IB, UniAlign and the weight of Structure are set as they do best on the digits' validation rows.
"""


@dataclass(frozen=True)
class Recipe:
    """A data set, a model, an objective and how to train.

    Attributes:
        source: the data.
        model: with the source's modalities.
        objective: from `Embeddings` to `Loss`.
        config: how to train; folder and seed come from the command line.
        target: what `tuplet evaluate` probes.
    """

    source: Source
    model: AlignmentModel
    objective: Callable[[Embeddings], Loss]
    config: TrainConfig = field(default_factory=TrainConfig)
    target: str = "label"
