"""Trains slowly in a folder, to be killed."""

import time

import torch

from tests.train.toys import model, source
from tuplet import TrainConfig, fit
from tuplet.objectives import Symile, Temperature


def train(out, epochs, pause=0.0):
    """Train, with a pause at each step."""
    s = source()
    objective = Symile(tau=Temperature(0.2), generator=torch.Generator().manual_seed(5))
    objective.register_forward_hook(lambda *_: time.sleep(pause))
    config = TrainConfig(epochs=epochs, batch_size=12, out=out, checkpoint_every=2, keep="best", patience=9)
    fit(model(dropout=0.2), objective, train=s.train, val=s.val, config=config)
