"""A real target scored by accuracy on either side of a number."""

from __future__ import annotations

import math

from tuplet.data import Target
from tuplet.types import InputError


def check_threshold(threshold: float | None, target: str, about: Target) -> None:
    """Refuse a threshold for a target that has none.

    Args:
        threshold: as in `tuplet.train.strategic`.
        target: its name.
        about: what it is.

    Raises:
        InputError: unless the target is a real number.

    Example:
        >>> check_threshold(0.5, "label", Target("class", 2))
        Traceback (most recent call last):
        tuplet.types.InputError: threshold is 0.5, but 'label' is not a real target of one dimension; leave it out
    """
    if threshold is None:
        return
    if about.kind != "real" or about.size != 1:
        raise InputError(
            f"threshold is {threshold}, but {target!r} is not a real target of one dimension; leave it out"
        )
    if not math.isfinite(threshold):
        raise InputError(f"threshold is {threshold}, expected a finite number")
