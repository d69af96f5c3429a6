"""The task loss compiles; beside the contract of the objectives, as the run with checked types cannot be compiled."""

import pytest
import torch

from tests.objectives.test_unimodal import embeddings, task


@pytest.mark.whole
def test_compiles_without_breaks():
    emb, objective = embeddings(), task()
    torch._dynamo.reset()
    compiled = torch.compile(objective, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(emb).total, objective(emb).total)
