"""A temperature that a command names reaches the objective."""

import torch

from tests.contract.cases import embeddings
from tuplet.objectives import PUBLISHED, build


def test_every_short_name_that_has_one_takes_a_temperature():
    for name, row in PUBLISHED.items():
        if row.small is None or not row.tau:
            continue
        emb, losses = embeddings(3, dim=8, dtype=torch.float32), []
        for tau in (None, 0.31):
            torch.manual_seed(0)
            losses.append(float(build(name, emb.modalities, 8, tau=tau)(emb).total.detach()))
        assert abs(losses[0] - losses[1]) > 1e-3, name
