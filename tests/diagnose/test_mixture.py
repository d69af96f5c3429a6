"""Mixtures that are known by construction, against loops, and with absent members."""

from itertools import combinations

import pytest
import torch

from tests.contract.cases import embeddings
from tests.oracles.objectives import conic
from tuplet import Embeddings, InputError
from tuplet.diagnose import mixture
from tuplet.functional.rows import unit
from tuplet.objectives import Cone


def test_a_query_made_of_two_members_has_their_weights_alone():
    g = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(50, 9, 5, generator=g, dtype=torch.float64))[0].mT
    a, b = basis[:, 0], unit(basis[:, 0] + basis[:, 1])  # two members 45 degrees apart
    aside = basis[:, 2]
    behind = unit(0.3 * basis[:, 3] - basis[:, 0] - basis[:, 1])
    for ratio in (1.0, 3.0):
        q = unit(ratio * a + b)
        emb = Embeddings.of({"q": 7 * q, "a": a, "b": 0.1 * b, "aside": aside, "behind": behind})
        found = mixture(emb, query="q")["q"]
        assert found.members == ("a", "aside", "b", "behind")
        expected = torch.tensor([ratio, 0, 1, 0], dtype=torch.float64) / (1 + ratio)
        torch.testing.assert_close(found.share, expected.expand(50, 4), atol=1e-12, rtol=0)
        assert found.active.tolist() == [2] * 50
        summary = found.summary()
        assert summary["used|a"] == summary["used|b"] == summary["active|2"] == 1
        assert summary["used|aside"] == summary["used|behind"] == summary["active|1"] == 0
        assert summary["score"] == pytest.approx(1) == summary["span"]
        assert summary["gain"] == pytest.approx(1 - float((q * a).sum(1).maximum((q * b).sum(1)).mean()))
        assert "a: share" in str(found)
        assert "2: 100%" in str(found)


def test_a_query_behind_all_members_takes_the_best_single_one():
    e = torch.eye(3, dtype=torch.float64)
    q = unit(-e[:1] - 2 * e[1:2])
    found = mixture(Embeddings.of({"q": q, "a": e[:1], "b": e[1:2]}), query="q")["q"]
    assert found.weights.tolist() == [[1.0, 0.0]]
    assert float(found.score) == float(found.single) == pytest.approx(-(5**-0.5))
    assert float(found.span) == pytest.approx(1)


def brute(q, members):
    """Try every set of members: normal equations on it, kept where no weight is negative."""
    best, weights = -2.0, None
    for size in range(1, len(members) + 1):
        for kept in combinations(range(len(members)), size):
            c = torch.stack([members[j] for j in kept])
            a = torch.linalg.solve(c @ c.T, c @ q) if size > 1 else torch.ones(1, dtype=q.dtype)
            if bool((a < 0).any()):
                continue
            b = a / (a @ c).norm()
            if float(q @ (b @ c)) > best:
                best, weights = float(q @ (b @ c)), torch.zeros(len(members), dtype=q.dtype)
                weights[list(kept)] = b
    return best, weights


def test_equals_loops_with_absent_members():
    used = set()
    for m, noise in ((2, 1.0), (3, 0.5), (4, 3.0), (6, 1.0)):
        emb = embeddings(m, size=12, noise=noise)
        present = {k: torch.rand(12, generator=torch.Generator().manual_seed(j)) > 0.3 for j, k in enumerate(emb.z)}
        for case in (emb, Embeddings.of(emb.z, present=present)):
            found = mixture(case)
            assert tuple(found) == case.modalities
            for name, seen in found.items():
                both = [i for i in range(12) if case.present[name][i] and any(case.present[k][i] for k in seen.members)]
                assert seen.rows.tolist() == both
                for n, i in enumerate(both):
                    there = [j for j, k in enumerate(seen.members) if case.present[k][i]]
                    q, c = case.z[name][i], [case.z[seen.members[j]][i] for j in there]
                    score, b = brute(q, c)
                    weights = torch.zeros(m - 1, dtype=torch.float64)
                    weights[there] = b
                    torch.testing.assert_close(seen.weights[n], weights, atol=1e-9, rtol=1e-9)
                    assert float(seen.score[n]) == pytest.approx(score) == conic(q.numpy(), [x.numpy() for x in c])
                    assert float(seen.single[n]) == pytest.approx(max(float(q @ x) for x in c))
                    assert seen.single[n] <= seen.score[n] + 1e-12
                    assert seen.score[n] <= seen.span[n] + 1e-9
                    used.add(int(seen.active[n]))
                share = sum(float(seen.share[n, 0]) for n, i in enumerate(both) if seen.present[n, 0])
                mean = share / max(int(seen.present[:, 0].sum()), 1)
                assert seen.summary()[f"share|{seen.members[0]}"] == pytest.approx(mean)
    assert {1, 2, 3} <= used


def test_the_score_is_the_one_of_the_objective():
    emb = embeddings(4, size=9, noise=1.0)
    for name, seen in mixture(emb).items():
        sides = {name: emb.z[name]}, {k: emb.z[k] for k in seen.members}
        torch.testing.assert_close(seen.score, Cone().score(*sides).diagonal())


def test_what_cannot_be_explained_is_refused():
    e = torch.eye(4)
    none = torch.zeros(4, dtype=torch.bool)
    half = torch.tensor([True, True, False, False])
    apart = Embeddings.of({"a": e, "b": e, "c": e}, present={"a": half, "b": ~half, "c": none})
    for emb, query, said in (
        (Embeddings.of({"a": e}), None, "only 'a'"),
        (Embeddings.of({"a": e, "b": e}), "d", "query is 'd'"),
        (apart, None, "no row has two modalities"),
        (apart, "c", "no row has 'c'"),
    ):
        with pytest.raises(InputError, match=said):
            mixture(emb, query=query)
    some = mixture(Embeddings.of({"a": e, "b": e, "c": e}, present={"c": none}))
    assert tuple(some) == ("a", "b")
    assert some["a"].share.tolist() == [[1.0, 0.0]] * 4
