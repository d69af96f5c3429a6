"""Similarity metrics against recorded outputs, against NumPy with whole matrices, and against what must not change them."""

import re

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from tests.reference import array, each_record
from tuplet.diagnose.similarity import (
    Moments,
    cka,
    cknna,
    cycle_knn,
    lcs_knn,
    mutual_knn,
    neighbours,
    prepared,
    similarity,
    svcca,
)
from tuplet.suites.scaling import peak_memory
from tuplet.types import InputError

REFUSED = (InputError, TypeCheckError)
ROWS = {"raw": "raw", "l2": "unit", "clamp95_l2": "clipped"}  # name in the records -> ours
KNN = {"mutual_knn": mutual_knn, "cycle_knn": cycle_knn, "cknna": cknna, "lcs_knn": lcs_knn}
TINY = 1e-6  # the recorded programs add this to the denominator of CKA and CKNNA


def pair(file, name):
    return [array(file, f"{name}__{side}") for side in "AB"]


def normal(n, *widths, seed=0):
    g = np.random.default_rng(seed)
    return [g.normal(size=(n, d)) for d in widths]


# oracles: whole matrices, no code shared with the library


def hsic(K, L, unbiased):
    n = len(K)
    if not unbiased:
        H = np.eye(n) - 1 / n
        return np.trace(K @ H @ L @ H)
    K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    one = np.ones(n)
    found = np.trace(K @ L) + (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ K @ L @ one)
    return found / (n * (n - 3))


def gram(x, sigma=None):
    if sigma is None:
        return x @ x.T
    return np.exp(-((x[:, None] - x[None]) ** 2).sum(2) / (2 * sigma**2))


def ranked(x, k):
    """Neighbours of each row by inner product, sorted in exact decimals so that ties are ties, then by index."""
    scores = np.round(x @ x.T, 12)
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def mask(index):
    found = np.zeros((len(index),) * 2)
    np.put_along_axis(found, index, 1.0, axis=1)
    return found


def cka_oracle(x, y, *, unbiased, sigma=None, tiny=0.0):
    K, L = gram(x, sigma), gram(y, sigma)
    return hsic(K, L, unbiased) / (np.sqrt(hsic(K, K, unbiased) * hsic(L, L, unbiased)) + tiny)


def cknna_oracle(x, y, k, tiny=0.0):
    K, L, p, q = gram(x), gram(y), mask(ranked(x, k)), mask(ranked(y, k))
    own = hsic(p * K, p * K, True) * hsic(q * L, q * L, True)
    return hsic(p * q * K, p * q * L, True) / (np.sqrt(own) + tiny)


# recorded outputs of the authors' programs


@pytest.mark.slow
@each_record("similarity", 7)
def test_recorded_neighbours(file, name, found):
    a, b = pair(file, name)
    compared = [(rows, key) for rows in ROWS for key in found[rows] if key.rpartition("_k")[0] in KNN]
    assert {rows for rows, _ in compared} == set(ROWS)
    for rows, key in compared:
        metric, _, k = key.rpartition("_k")
        ours = float(KNN[metric](a, b, k=int(k), rows=ROWS[rows], shuffles=0))
        if metric == "cknna":  # put the authors' 1e-6 back
            x, y = (prepared(torch.from_numpy(v), rows=ROWS[rows]).numpy() for v in (a, b))
            ours *= cknna_oracle(x, y, int(k), TINY) / cknna_oracle(x, y, int(k))
        assert ours == pytest.approx(found[rows][key], abs=1e-6), (rows, key)


@pytest.mark.slow
@each_record("similarity", 7)
def test_recorded_cka(file, name, found):
    a, b = pair(file, name)
    for rows, how in ROWS.items():
        x, y = (prepared(torch.from_numpy(v), rows=how).numpy() for v in (a, b))
        keys = [k for k in found[rows] if "cka_" in k]
        assert keys
        for key in keys:
            unbiased, sigma = key.startswith("unbiased"), key.partition("sigma")[2]
            width = float(sigma) if sigma else None
            options = {"kernel": "rbf", "sigma": width} if sigma else {}
            ours = float(cka(x, y, unbiased=unbiased, **options))
            tiny = cka_oracle(x, y, unbiased=unbiased, sigma=width, tiny=TINY)
            exact = cka_oracle(x, y, unbiased=unbiased, sigma=width)
            assert ours == pytest.approx(exact, abs=1e-9), (rows, key)
            assert ours * tiny / exact == pytest.approx(found[rows][key], abs=1e-6), (rows, key)


@each_record("similarity", 7)
def test_recorded_svcca(file, name, found):
    a, b = pair(file, name)
    keys = [k for k in found["google_svcca"] if k.startswith("svcca_mean_coef_k")]
    assert keys
    for key in keys:
        k = int(key.rpartition("_k")[2])
        assert float(svcca(a, b, components=k)) == pytest.approx(found["google_svcca"][key], abs=1e-5)
    if a.shape[1] <= b.shape[1]:
        everything = svcca(a, b, components=1.0)
        assert float(everything) == pytest.approx(np.mean(found["google_svcca"]["cca_coef_raw"]), abs=1e-5)


# whole matrices in NumPy


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("widths", [(5, 7), (40, 3), (60, 50)])  # 30 rows: in one pass, and from tiles where n < d
def test_linear_cka_is_the_matrix_form(widths, unbiased):
    x, y = normal(30, *widths)
    y[:, :3] += x[:, :3]
    expected = cka_oracle(x, y, unbiased=unbiased)
    y += 1e3
    assert float(cka(x, y, unbiased=unbiased)) == pytest.approx(expected, abs=1e-9)
    assert float(cka(x, y, unbiased=unbiased, block_size=7)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("unbiased", [True, False])
def test_rbf_cka_takes_each_sides_median_distance(unbiased):
    x, y = normal(43, 4, 6)
    y = 5 * np.concatenate([x[:, :2], y], axis=1)
    K, L = (gram(v, np.sqrt(np.median(((v[:, None] - v[None]) ** 2).sum(2)[~np.eye(43, dtype=bool)]))) for v in (x, y))
    expected = hsic(K, L, unbiased) / np.sqrt(hsic(K, K, unbiased) * hsic(L, L, unbiased))
    assert float(cka(x, y, kernel="rbf", unbiased=unbiased, block_size=6)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("components", [3, 0.6, 1.0])
def test_svcca_is_the_two_step_form(components):
    x, y = normal(60, 6, 5)
    y = y + x[:, :5] * np.arange(5) + 100
    kept = []
    for v in (x, y):
        u, s, _ = np.linalg.svd(v - v.mean(0), full_matrices=False)
        share = np.cumsum(s**2) / np.sum(s**2)
        kept.append(u[:, : components if isinstance(components, int) else np.sum(share < components - 1e-12) + 1])
    expected = np.linalg.svd(kept[0].T @ kept[1], compute_uv=False)
    found = svcca(x, y, components=components)
    assert found.k == len(expected)
    assert float(found) == pytest.approx(expected.mean(), abs=1e-9)


@pytest.mark.parametrize("block_size", [None, 1, 37])
def test_neighbours_are_a_stable_sort_ties_included(block_size):
    g = np.random.default_rng(1)
    x = torch.from_numpy(g.integers(0, 3, size=(90, 3)).astype(float))  # many equal inner products
    for k in (1, 4, 89):
        assert neighbours(x, k=k, block_size=block_size).index.tolist() == ranked(x.numpy(), k).tolist()
    some = torch.tensor([3, 70, 4])
    assert neighbours(x, k=4, queries=some).index.tolist() == ranked(x.numpy(), 4)[[3, 70, 4]].tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neighbours_among_many_rows_are_a_stable_sort(dtype):
    g = torch.Generator().manual_seed(0)
    bits = torch.randint(0, 2, (900, 12), generator=g)  # two levels of search, copies of rows, ties at the edge
    normal_rows = torch.randn(901, 9, generator=g, dtype=torch.float64)
    for x in (bits.double(), normal_rows):
        x = prepared(x).to(dtype)
        found = neighbours(x, k=2)
        scores = torch.round(x.double() @ x.double().mT, decimals=6 if dtype == torch.float32 else 12)
        scores.fill_diagonal_(-torch.inf)
        best, index = scores.sort(dim=1, descending=True, stable=True)
        torch.testing.assert_close(found.score.double(), best[:, :2], rtol=0, atol=2e-6)
        if x.shape[1] == 12:
            assert torch.equal(found.index, index[:, :2])
            assert found.tied > 0.3


@pytest.mark.parametrize("k", [2, 7])
def test_neighbour_metrics_are_their_definitions(k):
    x, y = normal(50, 4, 6)
    y[:, :4] += x
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y)]
    p, q = (ranked(v, k) for v in unit)
    assert float(mutual_knn(x, y, k=k)) == pytest.approx((mask(p) * mask(q)).sum() / (50 * k))
    cycle = [any(i in p[j] for j in q[i]) for i in range(50)]
    assert float(cycle_knn(x, y, k=k)) == pytest.approx(np.mean(cycle))
    assert float(cknna(x, y, k=k)) == pytest.approx(cknna_oracle(*unit, k), abs=1e-9)

    def longest(s, t):
        table = np.zeros((k + 1, k + 1), dtype=int)
        for i in range(k):
            for j in range(k):
                table[i + 1, j + 1] = table[i, j] + 1 if s[i] == t[j] else max(table[i, j + 1], table[i + 1, j])
        return table[-1, -1]

    assert float(lcs_knn(x, y, k=k)) == pytest.approx(np.mean([longest(s, t) for s, t in zip(p, q, strict=True)]))


# what must not change anything

METRICS = {**KNN, "cka": cka, "svcca": svcca, "rbf": lambda a, b, **o: cka(a, b, kernel="rbf", **o)}


@pytest.mark.parametrize("name", METRICS)
def test_invariances(name):
    x, y = normal(80, 6, 6)
    y = y + x
    g = np.random.default_rng(5)
    turn = np.linalg.qr(g.normal(size=(6, 6)))[0]
    order = g.permutation(80)
    value = float(METRICS[name](x, y, shuffles=0))
    assert float(METRICS[name](3 * x @ turn, 0.1 * y, shuffles=0)) == pytest.approx(value, abs=1e-9)
    assert float(METRICS[name](x[order], y[order], shuffles=0)) == pytest.approx(value, abs=1e-9)
    if name not in ("cycle_knn", "cknna"):
        assert float(METRICS[name](y, x, shuffles=0)) == pytest.approx(value, abs=1e-9)
    if name != "cycle_knn":
        top = 10 if name == "lcs_knn" else 1
        assert float(METRICS[name](x, x @ turn, shuffles=0)) == pytest.approx(top, abs=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_chance_is_the_mean_over_shuffles(name):
    x, y = normal(60, 5, 4)
    y = y + x[:, :4]
    found = METRICS[name](x, y, shuffles=300)
    null = found.null
    width = (null.high - null.low) / 300**0.5
    if name == "svcca":
        assert 0.8 * found.chance < null.mean <= found.chance
    else:
        assert null.mean == pytest.approx(found.chance, abs=width)
    assert null.low < null.mean < null.high
    assert null.p >= 1 / 301
    assert null.p < 0.05  # cycle-kNN is near its ceiling


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_chance_of_biased_cka_is_the_mean_over_shuffles(kernel):
    x, y = normal(40, 9, 7)
    found = cka(x, y, kernel=kernel, unbiased=False, shuffles=300)
    assert found.chance > 0.05
    assert found.null.mean == pytest.approx(found.chance, abs=(found.null.high - found.null.low) / 300**0.5)


@pytest.mark.parametrize("name", METRICS)
def test_a_null_is_the_metric_of_shuffled_rows(name):
    x, y = normal(60, 5, 4)
    found = METRICS[name](x, y, shuffles=5, seed=3).null
    g = torch.Generator().manual_seed(3)
    values = [float(METRICS[name](x, y[torch.randperm(60, generator=g).numpy()], shuffles=0)) for _ in range(5)]
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)


@pytest.mark.slow
def test_unrelated_spaces_read_chance():
    p = {name: [] for name in METRICS}
    for seed in range(40):
        x, y = normal(48, 6, 6, seed=seed)
        for name, metric in METRICS.items():
            p[name].append(metric(x, y, k=5, shuffles=19).null.p if name in KNN else metric(x, y, shuffles=19).null.p)
    for name, found in p.items():
        assert np.mean(np.array(found) <= 0.05) <= 0.175, name  # 2 of 40 expected, 8 has probability 0.0004
        assert 0.3 < np.mean(found) < 0.75, name  # 0.525 expected, 5 standard deviations


def test_biased_cka_of_unrelated_wide_spaces_is_high_and_unbiased_is_not():
    x, y = normal(30, 300, 300)
    biased = cka(x, y, unbiased=False)
    assert float(biased) > 0.8
    assert abs(float(biased) - biased.chance) < 0.02
    assert "unbiased" in biased.warnings[0]
    assert abs(float(cka(x, y))) < 0.1
    assert cka(x, y).warnings == ()


# streams, samples, sizes


def test_a_stream_is_the_whole():
    x, y = normal(1000, 7, 5)
    x, y = x + 1e4, y + x[:, :5] - 3e5
    stream = Moments()
    for rows in np.split(np.arange(1000), [1, 17, 500]):
        stream.update(x[rows], y[rows])
    assert stream.n == 1000
    for unbiased in (True, False):
        expected = cka_oracle(x - 1e4, y + 3e5, unbiased=unbiased)
        assert float(stream.cka(unbiased=unbiased)) == pytest.approx(expected, abs=1e-9)
    assert float(stream.svcca(components=3)) == pytest.approx(float(svcca(x, y, components=3)), abs=1e-9)
    with pytest.raises(InputError, match="columns"):
        stream.update(x[:, :3], y)
    with pytest.raises(InputError, match="0 rows"):
        Moments().cka()


def test_some_queries_estimate_all():
    x, y = normal(600, 5, 5)
    y = y + x
    whole = float(mutual_knn(x, y, shuffles=0))
    found = [mutual_knn(x, y, queries=100, shuffles=0, seed=s) for s in range(60)]
    values = np.array([float(f) for f in found])
    covered = np.mean([f.interval[0] <= whole <= f.interval[1] for f in found])
    assert covered >= 0.85  # 0.95 expected
    assert values.mean() == pytest.approx(whole, abs=4 * values.std() / 60**0.5)
    one = mutual_knn(x, y, queries=100, shuffles=200)
    assert one.null.mean == pytest.approx(one.chance, abs=0.01)
    assert mutual_knn(x, y, queries=600, shuffles=0).interval is None


def test_similarity_is_every_metric_with_one_search():
    x, y = normal(100, 6, 3)
    found = similarity(x, y, k=7, components=2, shuffles=20)
    assert set(found) == {"cka", "svcca", *KNN}
    for name, metric in KNN.items():
        assert found[name] == metric(x, y, k=7, shuffles=20)
    assert found["cka"] == cka(x, y, shuffles=20)
    assert found["svcca"] == svcca(x, y, components=2, shuffles=20)
    text = str(found)
    assert text.count("shuffled") == 6
    assert "k = 7" in text
    assert all(score.null is None for score in similarity(x, y, shuffles=0).values())


# spaces that hold nothing, and bad input


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_collapsed_space_is_undefined_and_says_so(value):
    (x,) = normal(50, 3)
    flat = np.full((50, 4), value)
    for score in (cka(x, flat), cka(flat, x, unbiased=False), cka(x, flat, kernel="rbf"), svcca(x, flat, shuffles=3)):
        assert np.isnan(float(score))
        assert "undefined" in score.warnings[0]
    wide = cka(np.ones((3, 5)), np.ones((3, 5)), unbiased=False)
    assert np.isnan(float(wide))
    assert "tied" in mutual_knn(x, flat).warnings[0]
    both = similarity(flat, flat, shuffles=3)
    assert set(both) == {"cka", "svcca", *KNN}
    assert all(score.warnings for score in both.values())


def test_svcca_says_when_rows_cannot_tell():
    x, y = normal(12, 9, 9)
    found = svcca(x, y, components=9)
    assert float(found) > 0.8
    assert "whatever the rows hold" in found.warnings[0]
    low = svcca(x[:, :1] * np.ones(5), y, components=4)
    assert low.k == 1
    assert "by rank" in low.warnings[0]


@pytest.mark.parametrize("metric", [cka, svcca, mutual_knn, cknna, cycle_knn, lcs_knn, similarity])
def test_bad_rows_are_refused(metric):
    x, y = normal(20, 3, 3)
    with pytest.raises(InputError, match=r"b has 19 rows, expected 20"):
        metric(x, y[:19])
    with pytest.raises(InputError, match=r"a has shape \(20,\)"):
        metric(x[:, 0], y)
    y[3, 1] = np.nan
    with pytest.raises(InputError, match="b has NaN or infinite values in 1 of 20"):
        metric(x, y)
    with pytest.raises(InputError, match="rows, expected at least"):
        metric(x[:1], x[:1])


def test_bad_options_are_refused():
    x, y = normal(20, 3, 3)
    for call, match in (
        (lambda: mutual_knn(x, y, k=20), "k is 20, expected 1 to 19"),
        (lambda: mutual_knn(x, y, k=0), "k is 0"),
        (lambda: mutual_knn(x, y, rows="cosine"), "rows is 'cosine'"),
        (lambda: mutual_knn(x, y, shuffles=-1), "shuffles is -1"),
        (lambda: mutual_knn(x, y, queries=1), "queries is 1"),
        (lambda: cka(x, y, kernel="poly"), "kernel is 'poly'"),
        (lambda: cka(x, y, kernel="rbf", sigma=0.0), "sigma is 0"),
        (lambda: cka(x, y, kernel="rbf", sigma="mean"), "sigma is 'mean'"),
        (lambda: cka(x, y, block_size=0), "block_size is 0"),
        (lambda: svcca(x, y, components=0), "components is 0"),
        (lambda: svcca(x, y, components=1.5), r"components is 1.5"),
        (lambda: cka(x * 1j, y), "dtype"),
    ):
        with pytest.raises(REFUSED) as refused:  # the type-checked run refuses other words first
            call()
        assert isinstance(refused.value, TypeCheckError) or re.search(match, str(refused.value))


@pytest.mark.parametrize("name", KNN)
def test_ties_make_no_unrelated_spaces_similar(name):
    p, values, loose = [], [], []
    for seed in range(30):
        g = np.random.default_rng(seed)
        x, y = g.integers(0, 2, size=(2, 120, 3))  # 8 different rows
        found = KNN[name](x, y, k=5, shuffles=19, seed=seed)
        assert "tied" in found.warnings[0]
        p.append(found.null.p)
        values.append(float(found) - found.null.mean)
        loose.append(float(found.warnings[0].split("value is ")[1].split(",")[0]) - found.null.mean)
    assert np.mean(np.array(p) <= 0.05) <= 0.2  # 1.5 of 30 expected, 7 has probability 0.0006
    assert 0.25 < np.mean(p) < 0.8
    assert abs(np.mean(loose)) < 4 * np.std(loose) / 30**0.5
    if name == "mutual_knn":
        assert np.mean(values) > 0.03  # by index on both sides, unrelated spaces agree
        assert float(mutual_knn(x, x, k=5, shuffles=0)) == 1.0


def test_half_precision_and_whole_numbers_are_taken():
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    assert float(cka(x.bfloat16(), x)) > 0.99
    assert float(mutual_knn(x.half(), x, k=5)) > 0.9
    bits = (x > 0).long()
    assert float(cka(bits, bits.bool())) == pytest.approx(1.0)


@pytest.mark.slow
def test_many_rows_need_no_matrix_of_rows_by_rows():
    x = torch.randn(14_000, 8, generator=torch.Generator().manual_seed(0))
    mutual_knn(x[:3000], x[:3000], shuffles=1)  # what is loaded once is not counted
    extra = peak_memory(lambda: mutual_knn(x, x + 1, shuffles=1))
    assert extra is None or extra < 400  # MiB; one matrix of inner products has 748
