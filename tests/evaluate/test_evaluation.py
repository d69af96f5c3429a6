"""Evaluating with and without targets, on any part, and the summary of it."""

import numpy as np
import pytest
import torch

from tuplet import AlignmentModel, InputError
from tuplet.data import from_arrays
from tuplet.evaluate import embed, evaluate, summary
from tuplet.objectives import Pairwise, Supervised


def source(*, targets=None, shuffled=False):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    return from_arrays({"a": x, "b": x[rng.permutation(200)] if shuffled else x}, targets=targets)


def same_encoder():
    """Embed both modalities by one and the same map, so that pairs are found without training."""
    torch.manual_seed(0)
    shared = torch.nn.Linear(4, 6)
    return AlignmentModel({k: torch.nn.Identity() for k in "ab"}, dict.fromkeys("ab", shared))


def test_without_a_target_retrieval_and_space_remain():
    results = evaluate(same_encoder(), Pairwise(), source())
    assert {r.metric.split("/")[0] for r in results} == {"retrieval", "space"}
    assert next(r.value for r in results if r.metric == "retrieval/own/R@1") > 0.9


def test_one_target_is_found_and_several_are_asked_about():
    y = np.arange(200) % 2
    assert {r.metric for r in evaluate(same_encoder(), None, source(targets={"grip": y}))} >= {"probe/linear"}
    with pytest.raises(InputError, match="name one of them"):
        evaluate(same_encoder(), None, source(targets={"grip": y, "other": y}))


def test_the_part_chooses_the_rows():
    pools = {part: {r.pool for r in evaluate(same_encoder(), None, source(), part=part)} for part in ("train", "val", "test")}
    assert pools == {"train": {120}, "val": {40}, "test": {40}}


def test_shuffled_rows_are_suspected_and_paired_ones_are_not():
    assert "same thing in every array" not in " ".join(summary(evaluate(same_encoder(), Pairwise(), source())).split())
    said = summary(evaluate(same_encoder(), Pairwise(), source(shuffled=True)))
    assert "same thing in every array" in " ".join(said.split())  # wherever lines break


def test_objectives_without_a_score_are_left_out():
    results = evaluate(same_encoder(), Supervised(8, 2), source())
    assert not [r for r in results if r.metric.startswith("retrieval/own")]


def test_embedding_leaves_every_module_in_its_mode_and_refuses_nan():
    model = same_encoder()
    model.encoders["a"].eval()
    embed(model, source().test)
    assert model.training
    assert not model.encoders["a"].training
    torch.nn.init.constant_(model.projections["a"].weight, torch.nan)
    with pytest.raises(InputError, match="NaN or infinite"):
        embed(model, source().test)
