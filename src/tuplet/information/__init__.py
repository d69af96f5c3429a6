"""What two modalities say about a target: shared, unique to each, and visible only jointly."""

from tuplet.information.batch import batch, from_posteriors
from tuplet.information.clustered import clustered
from tuplet.information.counted import counted
from tuplet.information.discrete import Components, components, discrete
from tuplet.information.gaussian import gaussian, gaussian_covariance
from tuplet.information.neural import neural_batch
from tuplet.information.pid import PID
from tuplet.information.pointwise import Pointwise, pointwise
from tuplet.information.several import Disagreement, Pairs, consistency, pairs
from tuplet.information.union import union_information

__all__ = [
    "PID",
    "Components",
    "Disagreement",
    "Pairs",
    "Pointwise",
    "batch",
    "clustered",
    "components",
    "consistency",
    "counted",
    "discrete",
    "from_posteriors",
    "gaussian",
    "gaussian_covariance",
    "neural_batch",
    "pairs",
    "pointwise",
    "union_information",
]
