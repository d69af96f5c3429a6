"""What the steps of a run read: decided by seed, epoch and step alone, however many workers and processes read it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tuplet.data import Rows
from tuplet.data._loader import Plan, loaded
from tuplet.data.views import order_of
from tuplet.train.config import TrainConfig
from tuplet.types import Batch


class Stream:
    """All batches from a step to the end of a run: those of an epoch, then those that validate it."""

    def __init__(
        self, train: Rows, val: Rows | None, config: TrainConfig, *, size: int, own: slice, step: int, pin: bool
    ) -> None:
        """Begin at a step; of every training batch of a size, this process reads its own rows."""
        self.train, self.val, self.config, self.size, self.own = train, val, config, size, own
        self.waited = 0.0
        parts = [train] if val is None else [train, val]
        self._read = loaded(parts, self._plan(step), workers=config.workers, pin=pin)

    def close(self) -> None:
        """End the workers."""
        self._read.close()

    def batch(self) -> Batch:
        """Return this process's share of the next step, and count the seconds until it was there."""
        began = time.perf_counter()
        batch = next(self._read)
        self.waited += time.perf_counter() - began
        return batch

    def held(self) -> Iterator[Batch]:
        """Return the batches that validate the epoch that has ended."""
        assert self.val is not None
        return (next(self._read) for _ in range(len(self.val) // min(self.size, len(self.val))))

    def _plan(self, step: int) -> Plan:
        """Say which rows are read."""
        per_epoch = len(self.train) // self.size
        for epoch in range(step // per_epoch, self.config.epochs):
            order = order_of(len(self.train), seed=self.config.seed, epoch=epoch)
            for start in range(max(0, step - epoch * per_epoch) * self.size, per_epoch * self.size, self.size):
                yield 0, order[start : start + self.size][self.own]
            if self.val is not None:
                order, size = order_of(len(self.val), seed=0, epoch=0), min(self.size, len(self.val))
                for start in range(0, len(self.val) - size + 1, size):
                    yield 1, order[start : start + size]
