"""Trains on several processes: python -m tests.train.several DEVICES STEP OUT."""

import sys
from pathlib import Path

import torch

from tests.train.toys import model, source
from tuplet import TrainConfig, fit
from tuplet.objectives import Pairwise, Temperature

if __name__ == "__main__":
    torch.set_num_threads(1)
    devices, step, out = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    config = TrainConfig(epochs=2, batch_size=12, devices=devices, step=step, chunk=4, out=out)
    objective = Pairwise(tau=Temperature(0.2))
    fit(model(), objective, train=source().train, val=source().val, config=config)
