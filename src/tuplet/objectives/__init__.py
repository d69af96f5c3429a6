"""Training objectives, one paper per file; each is a small module over `tuplet.functional`."""

from tuplet.objectives import published
from tuplet.objectives.compose import Objective, Sum
from tuplet.objectives.costs import Cost, cost
from tuplet.objectives.curriculum import Curriculum, teacher_share
from tuplet.objectives.matching import Handed, SensorMatching
from tuplet.objectives.published import *
from tuplet.objectives.schedule import Schedule
from tuplet.objectives.sensor import SensorDecoupling
from tuplet.objectives.soft import SoftTargets
from tuplet.objectives.supervised import Supervised, UnimodalTask
from tuplet.objectives.temperature import Temperature

__all__ = [
    "Cost",
    "Curriculum",
    "Handed",
    "Objective",
    "Schedule",
    "SensorDecoupling",
    "SensorMatching",
    "SoftTargets",
    "Sum",
    "Supervised",
    "Temperature",
    "UnimodalTask",
    "cost",
    "teacher_share",
]
__all__ += published.__all__
