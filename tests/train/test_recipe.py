"""A temperature that a command names reaches the objective."""

import torch

from tests.contract.cases import embeddings
from tuplet.train.recipe import OBJECTIVES


def test_every_short_name_but_transport_takes_a_temperature():
    for name, make in OBJECTIVES.items():
        if name == "transport":
            continue
        emb, losses = embeddings(3, dim=8, dtype=torch.float32), []
        for options in ({}, {"tau": 0.31}):
            torch.manual_seed(0)
            losses.append(float(make(emb.modalities, 8, **options)(emb).total.detach()))
        assert abs(losses[0] - losses[1]) > 1e-3, name
