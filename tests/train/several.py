"""Trains on several processes: python -m tests.train.several DEVICES STEP OUT [STRATEGY [STOP]]."""

import sys
from pathlib import Path

import torch

from tests.train.toys import model, source
from tuplet import TrainConfig, fit
from tuplet.objectives import Pairwise, Temperature


class Stopping(Pairwise):
    """Ends the process at its STOP-th step."""

    def forward(self, emb):
        self._calls = getattr(self, "_calls", 0) + self.training
        if self._calls == STOP:
            sys.exit(0)
        return super().forward(emb)


def train(devices, step, out, strategy="auto"):
    """Train on a number of processes."""
    config = TrainConfig(epochs=2, batch_size=12, devices=devices, step=step, chunk=4, out=out, strategy=strategy)
    fit(model(), Stopping(tau=Temperature(0.2)), train=source().train, val=source().val, config=config)


STOP = int(sys.argv[5]) if len(sys.argv) > 5 and __name__ == "__main__" else None
if __name__ == "__main__":
    torch.set_num_threads(1)
    train(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), *sys.argv[4:5])
