"""Temperatures by name: what is not there is refused, whatever objective reads them."""

import pytest
import torch

from tuplet import InputError, objectives
from tuplet.types import Embeddings


def test_a_temperature_of_a_modality_that_is_not_there_is_refused_by_every_objective():
    emb = Embeddings.of({k: torch.randn(4, 3, generator=torch.Generator().manual_seed(i)) for i, k in enumerate("abc")})
    each = dict.fromkeys("abc", 0.1)
    makers = [objectives.Pairwise, objectives.CMC, objectives.SigmoidPairwise, objectives.OneVsAll, objectives.Symile]
    for make in [
        *makers,
        lambda tau: objectives.Gram(anchors="all", tau=tau),
        lambda tau: 0.5 * objectives.Pairwise(tau=tau),
    ]:
        assert torch.isfinite(make(tau=each)(emb).total)
        for extra in ("d", ("a", "d"), ("d", "e")):
            with pytest.raises(InputError, match=r"tau names 'd', which z does not have; z has \['a', 'b', 'c'\]"):
                make(tau={**each, extra: 0.2})(emb)
    for key in ((), ("a", "b", "c")):
        with pytest.raises(InputError, match="expected a modality or a pair"):
            objectives.Pairwise(tau={**each, key: 0.1})
