"""Training objectives, one paper per file; each is a small module over `tuplet.functional`."""

from tuplet.objectives.bottleneck import Bottleneck
from tuplet.objectives.cmc import CMC
from tuplet.objectives.comm import CoMM
from tuplet.objectives.compose import Objective, Sum
from tuplet.objectives.cone import Cone
from tuplet.objectives.gram import Gram
from tuplet.objectives.one_vs_all import OneVsAll
from tuplet.objectives.pairwise import Pairwise
from tuplet.objectives.schedule import Schedule
from tuplet.objectives.sigmoid_pairwise import SigmoidPairwise
from tuplet.objectives.structure import Structure
from tuplet.objectives.supervised import Supervised
from tuplet.objectives.symile import Symile
from tuplet.objectives.temperature import Temperature
from tuplet.objectives.transport import TransportConsistency
from tuplet.objectives.triangle import Triangle
from tuplet.objectives.uniformity import UniAlign
from tuplet.objectives.unimodal import UnimodalTask

__all__ = [
    "CMC",
    "Bottleneck",
    "CoMM",
    "Cone",
    "Gram",
    "Objective",
    "OneVsAll",
    "Pairwise",
    "Schedule",
    "SigmoidPairwise",
    "Structure",
    "Sum",
    "Supervised",
    "Symile",
    "Temperature",
    "TransportConsistency",
    "Triangle",
    "UniAlign",
    "UnimodalTask",
]
