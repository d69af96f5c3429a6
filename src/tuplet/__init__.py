"""Align the representations of any number of modalities."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuplet import data, diagnose, evaluate, functional, information, objectives, store
    from tuplet.joining import Joined, join
    from tuplet.model import AlignmentModel, features, load
    from tuplet.objectives import Cost, cost
    from tuplet.train import Recipe, Run, TrainConfig, fit
    from tuplet.types import Batch, Embeddings, InputError, Loss, Traits

__all__ = [
    "AlignmentModel",
    "Batch",
    "Cost",
    "Embeddings",
    "InputError",
    "Joined",
    "Loss",
    "Recipe",
    "Run",
    "TrainConfig",
    "Traits",
    "cost",
    "data",
    "diagnose",
    "evaluate",
    "features",
    "fit",
    "functional",
    "information",
    "join",
    "load",
    "objectives",
    "store",
]
__version__ = "0.1.0"
_HOMES = {
    "joining": ("Joined", "join"),
    "model": ("AlignmentModel", "features", "load"),
    "objectives": ("Cost", "cost"),
    "train": ("Recipe", "Run", "TrainConfig", "fit"),
    "types": ("Batch", "Embeddings", "InputError", "Loss", "Traits"),
}
_ROOMS = (
    "data",
    "diagnose",
    "evaluate",
    "functional",
    "information",
    "io",
    "nets",
    "plot",
    "sklearn",
    "store",
    "study",
    "suites",
    *_HOMES,
)


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, so that ``tuplet --help`` need not wait for PyTorch."""
    if name in _ROOMS:
        return import_module(f"tuplet.{name}")
    for home, names in _HOMES.items():
        if name in names:
            globals()[name] = value = getattr(import_module(f"tuplet.{home}"), name)
            return value
    raise AttributeError(f"module 'tuplet' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what `__getattr__` gives, for completion."""
    return sorted({*globals(), *__all__, *_ROOMS})
