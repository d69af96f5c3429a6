"""Two-stage search against an exhaustive one, against loops, and what is refused."""

import pytest
import torch

from tests.contract.cases import embeddings
from tuplet import Embeddings, InputError
from tuplet.evaluate import mean_cosine, rerank, retrieve
from tuplet.functional.rows import unit
from tuplet.objectives import Cone, OneVsAll


def space(n=70, m=4, noise=1.5):
    return embeddings(m, size=n, noise=noise)


def test_a_shortlist_of_all_rows_is_the_exhaustive_search():
    emb = space()
    for query, candidates, score in (
        (("m0",), ("m1", "m2", "m3"), Cone().score),
        (("m0", "m3"), ("m1",), mean_cosine),
        (("m2",), ("m0", "m1"), OneVsAll().score),
    ):
        found = rerank(emb, query, candidates, score=score, shortlist=70, keep=70)
        exact = retrieve(emb, query, candidates, score=score)
        for k in (1, 5, 10):
            assert found.recall(k) == pytest.approx(exact.values[f"R@{k}"])
        assert found.sizes.tolist() == [70] * 70
        z = {k: v.double() for k, v in emb.z.items()}
        full = score({k: z[k] for k in query}, {k: z[k] for k in candidates})
        torch.testing.assert_close(found.scores, full.sort(dim=1, descending=True).values)
        torch.testing.assert_close(full.gather(1, found.found), found.scores)


@pytest.mark.slow
def test_the_union_over_members_is_scored_and_nothing_else():
    n = 4
    emb = Embeddings.of({k: z * torch.linspace(0.2, 5, 70)[:, None] for k, z in space().z.items()})  # rows of other lengths
    found = rerank(emb, ("m0",), ("m1", "m2", "m3"), score=Cone().score, shortlist=n, keep=5)
    exact = rerank(emb, ("m0",), ("m1", "m2", "m3"), score=Cone().score, shortlist=70, keep=5)
    full = Cone().score({"m0": emb.z["m0"]}, {k: emb.z[k] for k in ("m1", "m2", "m3")})
    hits = 0
    for i in range(70):
        listed = set()
        for k in ("m1", "m2", "m3"):
            listed |= set((unit(emb.z[k]) @ unit(emb.z["m0"][i])).topk(n).indices.tolist())
        ranked = sorted(listed, key=lambda j: -float(full[i, j]))
        assert found.sizes[i] == len(listed)
        assert [j for j in found.found[i].tolist() if j >= 0] == ranked[:5]
        assert float(found.ranks[i]) == (ranked.index(i) + 1 if i in listed else float("inf"))
        hits += len(set(ranked[:5]) & set(exact.found[i].tolist()))
    assert found.agreement(exact, 5) == pytest.approx(hits / 350)
    assert 0.3 < found.agreement(exact, 5) < 1
    assert exact.agreement(exact, 5) == 1


def test_blocks_do_not_change_what_is_found(monkeypatch):
    emb = space(23)
    arguments = {"score": Cone().score, "shortlist": 3, "keep": 4}
    whole = rerank(emb, ("m0",), ("m1", "m2"), **arguments)
    monkeypatch.setattr("tuplet.evaluate.shortlist.PANEL", 50)
    parts = rerank(emb, ("m0",), ("m1", "m2"), **arguments)
    assert torch.equal(whole.found, parts.found)
    assert torch.equal(whole.ranks, parts.ranks)


def test_rows_without_a_modality_ties_and_short_lists():
    e = torch.eye(6, dtype=torch.float64)
    there = torch.tensor([True, True, False, True, True, False])
    emb = Embeddings.of({"a": e, "b": e, "c": e.flip(0)}, present={"c": there})
    found = rerank(emb, ("a",), ("b",), score=mean_cosine, shortlist=1, keep=3)
    assert found.found[:, 0].tolist() == list(range(6))
    assert (found.found[:, 1:] == -1).all()
    assert (found.scores[:, 1:] == -torch.inf).all()
    some = rerank(emb, ("a",), ("b", "c"), score=mean_cosine, shortlist=4, keep=9)
    assert some.rows.tolist() == [0, 1, 3, 4]
    assert some.found.shape == (4, 4)
    same = rerank(Embeddings.of({"a": e * 0 + 1, "b": e * 0 + 1}), ("a",), ("b",), score=mean_cosine, shortlist=6)
    assert same.ranks.tolist() == [3.5] * 6
    assert same.recall(3) == 0
    assert same.recall(4) == 1


def test_what_is_refused():
    emb = space(5)
    none = Embeddings.of(emb.z, present={"m1": torch.zeros(5, dtype=torch.bool)})
    for given, sides, options, said in (
        (emb, ("m0", "m1"), {"shortlist": 0}, "shortlist"),
        (emb, ("m0", "m1"), {"keep": 0}, "keep"),
        (emb, ("m0", "m9"), {}, "m9"),
        (emb, ("m0", "m0"), {}, "share"),
        (none, ("m0", "m1"), {}, "no row has all"),
        (emb, ("m0", "m1"), {"score": lambda q, c: torch.full((1, 5), torch.nan)}, "not finite"),
        (emb, ("m0", "m1"), {"score": lambda q, c: torch.ones(5)}, "shape"),
    ):
        with pytest.raises(InputError, match=said):
            rerank(given, (sides[0],), (sides[1],), **{"score": mean_cosine} | options)
    whole = rerank(emb, ("m0",), ("m1",), score=mean_cosine)
    with pytest.raises(InputError, match="other rows"):
        whole.agreement(rerank(space(4), ("m0",), ("m1",), score=mean_cosine), 1)
    with pytest.raises(InputError, match="k is"):
        whole.agreement(whole, 6)
