"""Retrieval metrics against brute force over every order of the ties."""

from itertools import pairwise, permutations

import numpy as np
import pytest
import torch

from tests.contract.cases import embeddings
from tuplet import Embeddings, InputError
from tuplet.evaluate import mean_cosine, rank_metrics, retrieve
from tuplet.objectives import Pairwise


def brute(row, truth, ties):
    """Average the plain metrics over all orders of the candidates that the scores allow."""
    found = []
    for order in permutations(range(len(row))):
        if all(row[a] >= row[b] for a, b in pairwise(order)):
            hits = [bool(truth[i]) for i in order]
            first = hits.index(True) + 1
            precision = np.mean([sum(hits[: i + 1]) / (i + 1) for i, h in enumerate(hits) if h])
            found.append({f"R@{k}": float(first <= k) for k in (1, 5, 10)} | {"MdR": first, "mAP": precision})
    pick = {"expected": np.mean, "optimistic": max, "pessimistic": min}[ties]
    worse = {"expected": np.mean, "optimistic": min, "pessimistic": max}[ties]
    return {k: (worse if k == "MdR" else pick)([f[k] for f in found]) for k in found[0]}


@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic"])
@pytest.mark.parametrize("several", [False, True])
def test_metrics_equal_brute_force_over_tie_orders(ties, several):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, size=(30, 7)).astype(float)
    relevant = rng.random((30, 7)) < 0.3 if several else np.zeros((30, 7), bool)
    relevant[np.arange(30), rng.integers(0, 7, 30)] = True
    items, tied = rank_metrics(scores, relevant, ties=ties)
    for q in range(30):
        expected = brute(scores[q], relevant[q], ties)
        for k, v in expected.items():
            assert items[k][q] == pytest.approx(v), (q, k)
    levels = [max(s[r]) for s, r in zip(scores, relevant, strict=True)]
    assert tied == sum(((s == v) & ~r).any() for s, r, v in zip(scores, relevant, levels, strict=True))


def test_a_constant_score_is_chance_and_not_a_perfect_diagonal():
    found = retrieve(embeddings(3, size=20), ("m0",), ("m1",), score=lambda q, c: torch.zeros(20, 20))
    assert found.values == found.chance
    assert found.values["R@1"] == pytest.approx(1 / 20)
    assert found.values["R@5"] == pytest.approx(5 / 20)
    assert found.values["MdR"] == pytest.approx(10.5)
    assert found.values["mAP"] == pytest.approx(np.mean(1 / np.arange(1, 21)))
    assert (found.tied, found.pool, found.queries) == (20, 20, 20)


def test_relevance_by_instance_group_and_label():
    emb = embeddings(2, size=12, noise=5.0)
    label = torch.arange(12) % 3
    emb = Embeddings.of(emb.z, group=torch.arange(12) // 2, target={"label": label, "xy": torch.rand(12, 2)})
    values = {
        r: retrieve(emb, ("m0",), ("m1",), score=mean_cosine, relevance=r) for r in ("instance", "group", "label")
    }
    assert values["instance"].chance["R@1"] == pytest.approx(1 / 12)
    assert values["group"].chance["R@1"] == pytest.approx(2 / 12)
    assert values["label"].chance["R@1"] == pytest.approx(4 / 12)
    assert values["label"].values["R@5"] >= values["instance"].values["R@5"]
    with pytest.raises(InputError, match="relevance is 'xy'"):
        retrieve(emb, ("m0",), ("m1",), score=mean_cosine, relevance="xy")
    with pytest.raises(InputError, match="no group"):
        retrieve(embeddings(2), ("m0",), ("m1",), score=mean_cosine, relevance="group")


def test_missing_rows_are_dropped_and_counted():
    emb = embeddings(3, size=10, noise=0.1)
    mask = torch.arange(10) > 2
    emb = Embeddings.of(emb.z, present={"m1": mask})
    found = retrieve(emb, ("m0",), ("m1", "m2"), score=Pairwise().score)
    assert (found.pool, found.queries, found.dropped) == (7, 7, 3)
    assert found.values["R@1"] == 1.0
    assert retrieve(emb, ("m0",), ("m2",), score=mean_cosine).pool == 10
    gone = Embeddings.of(emb.z, present={"m1": torch.zeros(10, dtype=torch.bool)})
    with pytest.raises(InputError, match="no row has all"):
        retrieve(gone, ("m0",), ("m1",), score=mean_cosine)
    with pytest.raises(InputError, match="not finite"):
        retrieve(emb, ("m0",), ("m1",), score=lambda q, c: torch.full((7, 7), torch.nan))


def test_mean_cosine_is_the_mean_over_pairs():
    z = embeddings(4, size=5).z
    pairs = [z[a] @ z[b].T for a in ("m0", "m1") for b in ("m2", "m3")]
    seen = mean_cosine({"m0": 3 * z["m0"], "m1": z["m1"]}, {"m2": z["m2"], "m3": z["m3"]})
    torch.testing.assert_close(seen, torch.stack(pairs).mean(0))
