"""Training objectives, one paper per file; each is a small module over `tuplet.functional`."""

from tuplet.objectives import published
from tuplet.objectives.compose import Objective, Sum
from tuplet.objectives.published import *
from tuplet.objectives.schedule import Schedule
from tuplet.objectives.supervised import Supervised, UnimodalTask
from tuplet.objectives.temperature import Temperature

__all__ = ["Objective", "Schedule", "Sum", "Supervised", "Temperature", "UnimodalTask"]
__all__ += published.__all__
