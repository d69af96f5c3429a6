"""What two modalities say about a target: shared, unique to each, and visible only jointly."""

from tuplet.information.clustered import clustered
from tuplet.information.counted import counted
from tuplet.information.discrete import Components, components, discrete
from tuplet.information.gaussian import gaussian, gaussian_covariance
from tuplet.information.pid import PID
from tuplet.information.union import union_information

__all__ = [
    "PID",
    "Components",
    "clustered",
    "components",
    "counted",
    "discrete",
    "gaussian",
    "gaussian_covariance",
    "union_information",
]
