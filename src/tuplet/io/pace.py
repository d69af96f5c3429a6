"""How long a command will go on, by the pace of what it has done."""

from __future__ import annotations

import time
from collections.abc import Callable

READ = 0.5
"""Seconds; what is done before is read from an earlier call and says nothing about the pace."""


class Pace:
    """Estimates the time that is left."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began = clock()
        self.base: int | None = None
        self.first: tuple[float, int] | None = None

    def left(self, done: int, total: int) -> str:
        """Return words such as ``, about 2 min left``; none before anything was done at a pace that can be measured."""
        now = self.clock()
        if self.base is None:
            self.base = done - (now - self.began >= READ)
        if now - self.began < READ:
            self.base = done
        if done <= self.base or done >= total:
            return ""
        self.first = self.first or (now, done)
        # the first one also starts up
        since, base = self.first if done - self.first[1] >= 2 else (self.began, self.base)
        return f", about {_spoken((now - since) / (done - base) * (total - done))} left"


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
