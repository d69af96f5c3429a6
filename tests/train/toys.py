"""Small paired data and models for the training tests."""

import numpy as np
import torch

from tuplet import AlignmentModel
from tuplet.data import from_arrays


def source(n=60, missing=False):
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(n, 3))
    views = {k: hidden @ rng.normal(size=(3, d)) + 0.1 * rng.normal(size=(n, d)) for k, d in (("a", 4), ("b", 5), ("c", 3))}
    if missing:
        views["b"][::4] = np.nan
    return from_arrays(views, targets={"label": (hidden[:, 0] > 0).astype(int)})


def model(seed=0, dim=8, dropout=0.0):
    torch.manual_seed(seed)
    m = AlignmentModel.mlp({"a": (4,), "b": (5,), "c": (3,)}, dim=dim, hidden=16)
    if dropout:
        for name in m.encoders:
            m.encoders[name] = torch.nn.Sequential(m.encoders[name], torch.nn.Dropout(dropout))
    return m


def stopping(objective, at):
    """Let Ctrl-C come in an objective's ``at``-th call; never, for None."""
    calls = []

    def stop(*_):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt

    objective.register_forward_hook(stop)
    return objective
