"""A training for several processes, which can end in the middle."""

import os
import sys

from tests.train.toys import model, source
from tuplet import TrainConfig, fit
from tuplet.objectives import Pairwise, Temperature


class Stopping(Pairwise):
    """Ends the process at its ``stop``-th step."""

    def __init__(self, stop=None, **options):
        super().__init__(**options)
        self._stop, self._calls = stop, 0

    def forward(self, emb):
        self._calls += self.training
        if self._calls == self._stop:
            sys.exit(0)
        return super().forward(emb)


def train(devices, step, out, strategy="auto", stop=None, **more):
    """Train on a number of processes, of which only the first begins with the weights that count."""
    config = TrainConfig(epochs=2, batch_size=12, devices=devices, step=step, chunk=4, out=out, strategy=strategy, **more)
    start = model(seed=int(os.environ.get("RANK", "0")))
    fit(start, Stopping(stop, tau=Temperature(0.2)), train=source().train, val=source().val, config=config)
