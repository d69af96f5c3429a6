"""What two modalities say about a target: shared, unique to each, and visible only jointly."""

from tuplet.information.clusters import clustered
from tuplet.information.counts import counted
from tuplet.information.finite import Components, components, discrete
from tuplet.information.minibatch import batch, from_posteriors
from tuplet.information.neural import neural_batch
from tuplet.information.normal import gaussian, gaussian_covariance
from tuplet.information.pid import PID
from tuplet.information.points import Pointwise, pointwise
from tuplet.information.ranked import gaussian_copula
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
    "gaussian_copula",
    "gaussian_covariance",
    "neural_batch",
    "pairs",
    "pointwise",
    "union_information",
]
