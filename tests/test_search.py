"""Search over a store: the answers of brute force in float64 for every score, filters, two stages, and what is refused."""

import sys
from itertools import chain, combinations, product

import numpy as np
import pytest
import torch

from tuplet import Embeddings, InputError, store
from tuplet.evaluate import retrieve
from tuplet.functional.rows import unit
from tuplet.objectives import CoMM, Cone, Gram, OneVsAll, Pairwise, Structure, Symile, Triangle, UniAlign
from tuplet.objectives.published import PUBLISHED
from tuplet.store import _exact, _near, search
from tuplet.store._folder import write_index

from .test_store import space


class Farthest(Pairwise):
    """Says that its score is an inner product, which it no longer is."""

    def score(self, query, candidates):
        return 2 - super().score(query, candidates)


SCORES = (
    Farthest(),
    Pairwise(),
    Symile(),
    Cone(),
    OneVsAll(),
    Gram(),
    UniAlign(score_by="volume"),
    Triangle(),
    0.5 * Structure() + Cone(),
)


def brute(emb, objective, query, into, k):
    """All scores at once in float64: rows and scores of the first k."""
    here = torch.stack([emb.present[m] for m in into]).all(dim=0).nonzero()[:, 0]
    scores = objective.score(query, {m: emb.z[m][here].double() for m in into})
    order = np.argsort(-scores.numpy(), axis=1, kind="stable")[:, :k]
    return here.numpy()[order], np.take_along_axis(scores.numpy(), order, axis=1)


@pytest.mark.parametrize("objective", SCORES, ids=lambda o: type(o).__name__)
def test_exact_search_is_brute_force_from_any_modalities(tmp_path, monkeypatch, objective):
    monkeypatch.setattr(_exact, "BYTES", 8 * 8 * 60)  # some dozen blocks, the last one smaller
    monkeypatch.setattr(_exact, "SCORES", 90)
    monkeypatch.setattr(_exact, "SPARE", 3)
    emb = space(113)
    index = store.index(store.write(tmp_path / "emb.safetensors", emb), objective=objective)
    other = store.index(tmp_path / "emb.safetensors", objective=objective, kept=4 * 8 * 250)  # two or three sets fit
    g = torch.Generator().manual_seed(1)
    fresh = {m: torch.randn(5, 8, generator=g, dtype=torch.float64) for m in "abc"}
    fresh = {m: torch.nn.functional.normalize(z, dim=1) for m, z in fresh.items()}
    for asked in chain.from_iterable(combinations("abc", r) for r in (1, 2)):
        into = tuple(m for m in "abc" if m not in asked)
        query = {m: fresh[m] for m in asked}
        rows, scores = brute(emb, objective, query, into, 7)
        found = index.search(query, 7)
        assert np.array_equal(found.rows, rows), asked
        assert np.allclose(found.scores, scores, atol=1e-13), asked
        assert np.array_equal(found.ids, rows)
        assert found.pool == int(torch.stack([emb.present[m] for m in into]).all(dim=0).sum())
        assert found.recall == 1
        if objective.inner:  # others are not kept
            for _ in range(2):
                assert np.array_equal(other.search(query, 7).rows, rows), asked
            some = {"k": 5, "where": {"label": [0, 3]}, "without": int(rows[0, 0])}
            found, wanted = other.search(query, **some), index.search(query, **some)
            assert np.array_equal(found.rows, wanted.rows)
            assert np.array_equal(found.scores, wanted.scores)
            assert rows[0, 0] not in found.rows
            assert sum(4 * z.numel() for _, z in other._kept.held.values()) <= 4 * 8 * 250
        one = index.search({m: z[3].numpy() for m, z in query.items()}, 7)
        assert np.array_equal(one.rows[0], rows[3])


def test_a_search_for_each_row_counts_what_retrieve_counts(tmp_path):
    emb = space(60)
    for objective in (Pairwise(), Cone()):
        expected = retrieve(emb, ("a",), ("b", "c"), score=objective.score).values["R@5"]
        both = torch.stack([emb.present[m] for m in "abc"]).all(dim=0).nonzero()[:, 0]
        index = store.index(store.write(tmp_path / "emb.parquet", emb), objective=objective)
        rows = index.search({"a": emb.z["a"][both]}, int(emb.present["b"].sum())).rows.tolist()
        first = [[i for i in row if i in set(both.tolist())][:5] for row in rows]  # retrieve asks for all modalities
        assert np.mean([q in row for q, row in zip(both.tolist(), first, strict=True)]) == expected


def test_equal_scores_come_in_order_of_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(_exact, "SPARE", 2)
    emb = space(200, absent=False)
    for z in emb.z.values():
        z[50:150] = z[50]  # a hundred copies: float32 leaves a doubt, float64 decides
    index = store.index(store.write(tmp_path / "emb.npz", emb))
    assert index.search({"a": emb.z["b"][50] + emb.z["c"][50]}, 10).rows.tolist() == [list(range(50, 60))]


def test_what_float32_cannot_tell_apart_is_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(_exact, "SPARE", 2)
    emb = space(200, dtype=torch.float64, absent=False)
    query = emb.z["b"][50] + emb.z["c"][50]
    for z in (emb.z["b"], emb.z["c"]):
        z[50:150] = z[50] + torch.arange(100)[:, None] * 1e-11 * query  # ever nearer to the query, the best one last
    index = store.index(store.write(tmp_path / "emb.safetensors", emb))
    rows, _ = brute(emb, Pairwise(), {"a": query[None]}, ("b", "c"), 10)
    assert rows.tolist() == [list(range(149, 139, -1))]
    assert np.array_equal(index.search({"a": query}, 10).rows, rows)
    monkeypatch.setattr(_exact, "_scan", None)  # where there is no doubt, nothing is scanned in float64
    plain = space(200, absent=False)
    index = store.index(store.write(tmp_path / "plain.safetensors", plain))
    rows, _ = brute(plain, Pairwise(), {"a": plain.z["a"].double()}, ("b", "c"), 10)
    monkeypatch.setattr(_exact, "SPARE", 32)
    assert np.array_equal(index.search({"a": plain.z["a"]}, 10).rows, rows)


@pytest.mark.parametrize("objective", [o for o in SCORES if not o.inner], ids=lambda o: type(o).__name__)
def test_a_scan_in_float32_suffices_where_candidates_differ(tmp_path, monkeypatch, objective):
    emb = space(200, absent=False)
    index = store.index(store.write(tmp_path / "emb.npz", emb), objective=objective)
    wanted = {q: brute(emb, objective, {m: emb.z[m].double() for m in q}, into, 10) for q, into in (("a", "bc"), ("bc", "a"))}
    monkeypatch.setattr(_exact, "_scan", None)
    slack, rough = [], _exact.Rough
    monkeypatch.setattr(_exact, "Rough", lambda *given: slack.append(given[2]) or rough(*given))
    for q, (rows, scores) in wanted.items():
        found = index.search({m: emb.z[m] for m in q}, 10)
        assert np.array_equal(found.rows, rows), q
        assert np.allclose(found.scores, scores, atol=1e-13), q
    assert min(slack) > 2 * 8 * 2**-24  # a sum of eight products, each rounded


@pytest.mark.parametrize("objective", [o for o in SCORES if not o.inner], ids=lambda o: type(o).__name__)
def test_candidates_without_length_and_hardly_different_ones_are_ranked_as_in_float64(tmp_path, monkeypatch, objective):
    monkeypatch.setattr(_exact, "SPARE", 2)
    zero, near = (space(200, dtype=torch.float64, absent=False) for _ in range(2))
    for name, step in (("b", 50), ("a", 40), ("c", 30)):
        zero.z[name][step // 2 :: step] = 0
    g = torch.Generator().manual_seed(3)
    for z in near.z.values():  # they differ by less than what float32 rounds away
        z[100:180] = torch.nn.functional.normalize(z[100] + 1e-8 * torch.randn(80, 8, generator=g, dtype=torch.float64), dim=1)
    for emb, (q, into) in product((zero, near), (("a", "bc"), ("bc", "a"))):
        index = store.index(store.write(tmp_path / "emb.safetensors", emb), objective=objective)
        query = {m: emb.z[m][[3, 101, 150, 8]] for m in q}
        rows, scores = brute(emb, objective, query, into, 10)
        found = index.search(query, 10)
        assert np.allclose(found.scores, scores, rtol=0, atol=1e-13), q
        assert (found.rows == rows).mean() > 0.9, q  # scores of equal rows may differ in the last digit


def test_modalities_and_filters(tmp_path):
    emb = space(60)
    words = np.array(["dog", "cat", "owl"])[np.arange(60) % 3]
    index = store.index(store.write(tmp_path / "emb.npz", emb, columns={"animal": words}))
    a = emb.z["a"][emb.present["a"]][:2]
    for where, allowed in (
        ({"animal": "dog"}, words == "dog"),
        ({"animal": ["dog", "owl"], "label": 3}, (words != "cat") & (np.arange(60) % 5 == 3)),
        ({"label": "3"}, np.arange(60) % 5 == 3),
        ({"flag": "false"}, np.arange(60) <= 3),
    ):
        pool = np.flatnonzero(allowed & emb.present["b"].numpy())
        found = index.search({"a": a}, len(pool), modalities=("b",), where=where)
        assert sorted(found.rows[0].tolist()) == pool.tolist()
        assert (np.diff(found.scores, axis=1) <= 0).all()
    for objective, best in ((Pairwise(), 1), (Gram(), 0)):  # a modality may be searched with itself
        own = store.index(tmp_path / "emb.npz", objective=objective).search({"a": a}, 1, modalities=["a"])
        assert np.allclose(own.scores, best, atol=1e-6)
    everything = {m: emb.z[m][:1] + 1 for m in "abc"}
    assert index.search(everything, 3).pool == int(torch.stack(list(emb.present.values())).all(dim=0).sum())


def test_bad_queries_are_one_line(tmp_path):
    pytest.importorskip("pyarrow")
    emb = space(30)
    file = store.write(tmp_path / "emb.npz", emb)
    index, a = store.index(file), torch.ones(8)
    fused = store.index(file, objective=CoMM(tuple("abc"), 8))
    for call, message in (
        (lambda: index.search({"smell": a}), "smell"),
        (lambda: index.search({}), "empty"),
        (lambda: index.search({"a": a[:4]}), r"\(8,\)"),
        (lambda: index.search({"a": a * torch.nan}), "NaN"),
        (lambda: index.search({"a": a * 0}), "zeros"),
        (lambda: index.search({"a": ["x"]}), "array"),
        (lambda: index.search({"a": torch.ones(2, 8), "b": a}), "one number for all"),
        (lambda: index.search({"a": a}, 0), "k is 0"),
        (lambda: index.search({"a": a}, 31), "at most"),
        (lambda: index.search({"a": a}, modalities=()), "nothing"),
        (lambda: index.search({"a": a}, modalities=("b", "x")), "x"),
        (lambda: index.search({"a": a}, where={"colour": 1}), "colour"),
        (lambda: index.search({"a": a}, where={"label": 77}), "no item has"),
        (lambda: index.search({"a": a}, where={"label": "dog"}), "number"),
        (lambda: fused.search({"a": a}, modalities=("a",)), "share"),
        (lambda: store.index(file, objective=Structure()), "score"),
    ):
        with pytest.raises(InputError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
    content = dict(np.load(file))
    content["vector"][3, 2] = np.nan
    np.savez(file, **content)
    with pytest.raises(InputError, match="NaN"):
        store.index(file).search({"b": a}, 1, modalities=("a",))


def test_what_an_objective_stores_gives_its_score_or_finds_what_it_ranks():
    g = torch.Generator().manual_seed(0)
    z = {m: torch.nn.functional.normalize(torch.randn(9, 8, generator=g), dim=1) for m in "abc"}
    seen = 0
    for name, row in PUBLISHED.items():
        if row.small is None or (objective := row.built(("a", "b", "c"), 8, settings=dict(row.small)).eval()).score is None:
            continue
        for query, into in (("a", "bc"), ("ab", "c")):
            left, right = ({m: z[m] for m in side} for side in (query, into))
            vectors = [objective.vectors(side) for side in (left, right)]
            assert [v.shape[::2] for v in vectors] == [(9, 8), (9, 8)], name
            if objective.inner:
                seen += 1
                assert torch.allclose(vectors[0][:, 0] @ vectors[1][:, 0].mT, objective.score(left, right), atol=1e-6), name
    assert seen >= 6
    basis = OneVsAll().vectors({"b": z["b"], "c": z["c"]})
    projected = torch.einsum("nkd,nd->nk", basis, z["a"]).square().sum(dim=1).sqrt()
    assert torch.allclose(projected, OneVsAll().score({"a": z["a"]}, {"b": z["b"], "c": z["c"]}).diagonal(), atol=1e-6)


def test_two_stages_rank_exactly_and_say_what_they_miss(tmp_path, monkeypatch):
    file = store.write(tmp_path / "emb.safetensors", space(400, absent=False))
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"tuplet\[search\]"):
        store.index(file, "faiss")
    monkeypatch.undo()
    pytest.importorskip("faiss")
    emb = space(400, absent=False)
    query = {"a": emb.z["b"][:20] + emb.z["c"][:20]}
    for objective, least in ((Pairwise(), 0.97), (OneVsAll(), 0.7), (Cone(), 0.9), (Gram(), 0.3)):
        index, truth = store.index(file, "faiss", objective=objective, shortlist=60), store.index(file, objective=objective)
        found, exact = index.search(query, 10), truth.search(query, 10)
        kept = (exact.rows[:, :, None] == found.rows[:, None, :]).any(axis=2)
        assert kept.mean() >= least, type(objective).__name__
        assert np.allclose(found.scores[:, 0][kept[:, 0]], exact.scores[:, 0][kept[:, 0]], atol=1e-7)
        assert least - 0.1 <= found.recall <= 1
        with monkeypatch.context() as patched:  # what is known is not measured again, however it is asked for
            patched.setattr(search, "exact", lambda *given: pytest.fail("measured again"))
            assert index.recall(("a",)) == index.recall(["a"], modalities=("c", "b")) == found.recall
            index.search(query, 10)
        anew = store.index(file, "faiss", objective=objective, shortlist=60)
        assert index.recall(("a",), modalities=("b",)) == anew.recall(("a",), modalities=("b",))
        if objective.traits.sign_blind:
            assert np.array_equal(index.search({"a": -query["a"]}, 10).rows, found.rows)
        assert np.array_equal(index.search(query, 5, where={"label": 1}).rows, truth.search(query, 5, where={"label": 1}).rows)
        assert 9 in index.search({"a": emb.z["b"][9] + emb.z["c"][9]}, 10).rows
        assert 9 not in index.search({"a": emb.z["b"][9] + emb.z["c"][9]}, 10, without=9).rows
        wide = store.index(file, "faiss", objective=objective, shortlist=400).search(query, 10)
        assert wide.recall == 1
        assert np.array_equal(wide.rows, exact.rows)
        short = store.index(file, "faiss", objective=objective, shortlist=1).search({"a": emb.z["b"][9]}, 3, without=9)
        assert (short.rows >= 0).all()  # one more is listed, as the first is taken out
        few = [i.search({"a": emb.z["a"][:1]}, 399, without=9).rows for i in (index, truth)]
        assert np.array_equal(*few)


@pytest.mark.parametrize(("width", "objective"), [(24, Pairwise()), (7, Cone()), (24, OneVsAll())])
def test_codes_bring_near_what_is_near(tmp_path, monkeypatch, width, objective):
    """Codes, which stand for vectors from 5,000 on: of widths that do not halve, of several vectors, read back from a file."""
    faiss = pytest.importorskip("faiss")
    monkeypatch.setattr(_near, "FEW", 700)
    g = torch.Generator().manual_seed(0)
    common = torch.randn(1000, width, generator=g)
    emb = Embeddings.of({k: unit(common + 0.3 * torch.randn(1000, width, generator=g)) for k in "abc"})
    file, folder = store.write(tmp_path / "emb.safetensors", emb), tmp_path / "coded"
    name = {Pairwise: "pairwise", Cone: "cone", OneVsAll: "one_vs_all"}[type(objective)]
    write_index(file, folder, backend="faiss", objective=name, sides=[("b", "c")], force=False)
    (written,) = folder.glob("*.faiss")
    assert written.stat().st_size < 1000 * objective.vectors({k: emb.z[k][:1] for k in "bc"}).shape[1] * width * 4 / 2
    query, exact = {"a": emb.z["a"][:50]}, store.index(file, objective=objective)
    for index in (store.index(folder, shortlist=100), store.index(file, "faiss", objective=objective, shortlist=100)):
        found, truth = index.search(query, 10), exact.search(query, 10)
        assert found.recall > 0.93
        kept = (truth.rows[:, :, None] == found.rows[:, None, :]).any(axis=2)
        assert kept.mean() > 0.93
        assert np.allclose(found.scores[:, 0][kept[:, 0]], truth.scores[:, 0][kept[:, 0]], atol=1e-7)
    graph = faiss.IndexHNSWFlat(width, 8, faiss.METRIC_INNER_PRODUCT)
    graph.add(np.eye(width, dtype=np.float32))
    faiss.write_index(graph, str(written))
    with pytest.raises(InputError, match="of another version of tuplet; run `tuplet index` again"):
        store.index(folder).search(query, 10)
