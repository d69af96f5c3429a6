"""Retrieval metrics against brute force over every order of the ties."""

import sys
from itertools import pairwise, permutations
from math import comb

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from tests.contract.cases import CASES, embeddings
from tuplet import Embeddings, InputError
from tuplet.evaluate import mean_cosine, rank_metrics, retrieve
from tuplet.objectives import Pairwise

module = sys.modules["tuplet.evaluate.retrieval"]


def brute(row, truth, ties, cutoffs=(1, 5, 10)):
    """Average the plain metrics over all orders of the candidates that the scores allow."""
    found = []
    for order in permutations(range(len(row))):
        if all(row[a] >= row[b] for a, b in pairwise(order)):
            hits = [bool(truth[i]) for i in order]
            first = hits.index(True) + 1
            precision = np.mean([sum(hits[: i + 1]) / (i + 1) for i, h in enumerate(hits) if h])
            gain = sum(h / np.log2(i + 2) for i, h in enumerate(hits[:10]))
            best = sum(1 / np.log2(i + 2) for i in range(min(10, sum(hits))))
            metrics = {"MdR": first, "mAP": precision, "MRR": 1 / first, "nDCG@10": gain / best}
            found.append({f"R@{k}": float(first <= k) for k in cutoffs} | metrics)
    pick = {"expected": np.mean, "optimistic": max, "pessimistic": min}[ties]
    worse = {"expected": np.mean, "optimistic": min, "pessimistic": max}[ties]
    return {k: (worse if k == "MdR" else pick)([f[k] for f in found]) for k in found[0]}


def dense(scores, relevant, cutoffs):
    """Write the metrics down for all queries at once, place by place of the sorted list, averaged over the ties."""
    order = np.argsort(-scores, axis=1, kind="stable")
    values = {f"R@{k}": [] for k in cutoffs} | {"MdR": [], "MRR": [], "mAP": [], "nDCG@10": []}
    for row, places, truth in zip(scores, order, relevant, strict=True):
        ordered, hits = row[places], truth[places]
        share, sofar = np.zeros(len(row)), np.zeros(len(row))  # that a place is relevant; those before it, if it is
        for level in np.unique(ordered):
            tie = ordered == level
            n, r = tie.sum(), (hits & tie).sum()
            share[tie] = r / n
            sofar[tie] = hits[ordered > level].sum() + np.arange(n) * (r - 1) / max(n - 1, 1)
        rank = np.arange(1, len(row) + 1)
        values["mAP"].append((share * (sofar + 1) / rank).sum() / truth.sum())
        discount = np.where(rank <= 10, 1 / np.log2(rank + 1), 0)
        values["nDCG@10"].append((share * discount).sum() / discount[: truth.sum()].sum())
        level = row[truth].max()
        before, n, r = (row > level).sum(), (row == level).sum(), (truth & (row == level)).sum()
        first = [comb(n - x - 1, r - 1) / comb(n, r) for x in range(n - r + 1)]  # that x others of the tie come first
        values["MRR"].append(sum(p / (before + x + 1) for x, p in enumerate(first)))
        values["MdR"].append(before + (n + 1) / (r + 1))
        for k in cutoffs:
            values[f"R@{k}"].append(sum(p for x, p in enumerate(first) if before + x < k))
    return {k: np.array(v) for k, v in values.items()}


@pytest.mark.slow
def test_metrics_equal_brute_force_over_tie_orders():
    rng = np.random.default_rng(0)
    for ties in ("expected", "optimistic", "pessimistic"):
        for several in (False, True):
            scores = rng.integers(0, 4, size=(30, 7)).astype(float)
            relevant = rng.random((30, 7)) < 0.3 if several else np.zeros((30, 7), bool)
            relevant[np.arange(30), rng.integers(0, 7, 30)] = True
            items, tied = rank_metrics(scores, relevant, ties=ties, cutoffs=(1, 3, 10))
            for q in range(30):
                expected = brute(scores[q], relevant[q], ties, (1, 3, 10))
                assert set(expected) | {"MnR"} == set(items)
                for k, v in expected.items():
                    assert items[k][q] == pytest.approx(v), (ties, q, k)
            levels = [max(s[r]) for s, r in zip(scores, relevant, strict=True)]
            assert tied == sum(((s == v) & ~r).any() for s, r, v in zip(scores, relevant, levels, strict=True))


@pytest.mark.slow
def test_streaming_in_blocks_equals_the_whole_list(monkeypatch):
    g = torch.Generator().manual_seed(0)
    n = 41
    grids = {k: torch.randint(-1, 2, (n, 2), generator=g).double() for k in "abc"}  # ties everywhere, exact products
    present = {"a": torch.rand(n, generator=g) < 0.9, "b": torch.rand(n, generator=g) < 0.9}
    label = torch.randint(0, 5, (n,), generator=g)
    emb = Embeddings.of(grids, present=present, group=torch.arange(n) // 3, target={"label": label})

    def product(query, candidates):
        return sum(q @ c.mT for q in query.values() for c in candidates.values())

    for query, candidates in ((("a",), ("b",)), (("a", "c"), ("b",)), (("b",), ("a", "c"))):
        here = present["a"] & present["b"]
        z = {k: v[here] for k, v in grids.items()}
        scores = product({k: z[k] for k in query}, {k: z[k] for k in candidates}).numpy()
        for relevance, ids in (("instance", torch.arange(n)), ("group", emb.group), ("label", label)):
            relevant = (ids[here][:, None] == ids[here]).numpy()
            for ties in ("expected", "optimistic", "pessimistic"):
                seen = []
                for block, panel in ((3, 1), (7, 200), (960, 2**21)):
                    monkeypatch.setattr(module, "BLOCK", block)
                    monkeypatch.setattr(module, "PANEL", panel)
                    seen.append(
                        retrieve(
                            emb,
                            query,
                            candidates,
                            score=product,
                            relevance=relevance,
                            ties=ties,
                            cutoffs=(1, 4, 25),
                        )
                    )
                found = seen[-1]
                assert (found.queries, found.dropped) == (int(here.sum()), n - int(here.sum()))
                for other in seen[:-1]:
                    assert other.values == found.values
                    assert other.tied == found.tied
                    assert all((other.items[k] == v).all() for k, v in found.items.items())
                blind = dense(np.zeros(scores.shape), relevant, (1, 4, 25))
                for k, v in blind.items():
                    middle = np.median if k == "MdR" else np.mean
                    assert found.chance[k] == pytest.approx(middle(v), rel=1e-12), (relevance, k)
                if ties == "expected":
                    for k, v in dense(scores, relevant, (1, 4, 25)).items():
                        np.testing.assert_allclose(found.items[k], v, rtol=1e-11, atol=1e-13, err_msg=f"{relevance} {k}")
                else:
                    nudged = scores + (0.5 if ties == "optimistic" else -0.5) * relevant
                    for k, v in dense(nudged, relevant, (1, 4, 25)).items():
                        if relevance == "instance":
                            np.testing.assert_allclose(found.items[k], v, rtol=1e-11, err_msg=f"{ties} {k}")


def test_equal_rows_tie_and_collapse_is_chance():
    z = torch.randn(1, 33, generator=torch.Generator().manual_seed(0))
    for n in (5, 50, 1000):
        emb = Embeddings.of({"a": z.repeat(n, 1), "b": z.flip(1).repeat(n, 1)})
        for score in (mean_cosine, Pairwise().score):
            found = retrieve(emb, ("a",), ("b",), score=score)
            assert found.values == found.chance
            assert found.tied == n


def test_scores_of_objectives_do_not_depend_on_the_other_rows():
    for name, case in CASES.items():
        for m in (size for size in case.sizes if case.scores):
            objective, z = case.build(m, dim=16), embeddings(m, size=30, dim=16, seed=m).z
            sides = [({"m0": z["m0"]}, {k: v for k, v in z.items() if k != "m0"})]
            sides += [sides[0][::-1]]
            for query, candidates in sides:
                with torch.no_grad():
                    whole = objective.score(query, candidates)
                    part = objective.score({k: v[3:10] for k, v in query.items()}, {k: v[11:30] for k, v in candidates.items()})
                torch.testing.assert_close(part, whole[3:10, 11:30], rtol=1e-9, atol=1e-11, msg=name)


def test_bad_arguments_are_one_line():
    emb = embeddings(3, size=8)
    for arguments, message in (
        ({"cutoffs": ()}, "cutoffs is"),
        ({"cutoffs": (0,)}, "cutoffs is"),
        ({"cutoffs": (1.5,)}, "cutoffs is"),
        ({"ties": "worst"}, "ties is 'worst'"),
        ({"score": lambda q, c: torch.zeros(3, 2)}, r"score gave shape \(3, 2\)"),
    ):
        with pytest.raises((InputError, TypeCheckError), match=f"{message}|Type-check error"):
            retrieve(emb, ("m0",), ("m1",), **arguments)
    for sides, message in (
        ((("m0",), ("m9",)), "candidates names"),
        (((), ("m1",)), "query is empty"),
        ((("m0",), ("m0", "m1")), "share"),
    ):
        with pytest.raises(InputError, match=message):
            retrieve(emb, *sides)


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
    values = {r: retrieve(emb, ("m0",), ("m1",), score=mean_cosine, relevance=r) for r in ("instance", "group", "label")}
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
