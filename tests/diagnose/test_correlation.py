"""Total and dual total correlation: against the formula of a known covariance, and the identities of the paper."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from tuplet import Embeddings, InputError
from tuplet.diagnose import dependence


def drawn(covariance, n, sizes, seed):
    x = np.random.default_rng(seed).multivariate_normal(np.zeros(len(covariance)), covariance, size=n)
    edges = np.cumsum([0, *sizes])
    return Embeddings.of({f"m{k}": torch.from_numpy(x[:, a:b]) for k, (a, b) in enumerate(pairwise(edges))})


def expected(s, sizes):
    """From entropies of blocks, one by one."""
    edges = np.cumsum([0, *sizes])
    blocks = [list(range(a, b)) for a, b in pairwise(edges)]

    def h(which):
        return 0.5 * np.log2(np.linalg.det(s[np.ix_(which, which)]))

    every = list(range(edges[-1]))
    total = sum(map(h, blocks)) - h(every)
    conditional = [h(every) - h([i for i in every if i not in b]) for b in blocks]
    return total, h(every) - sum(conditional)


@pytest.mark.slow
def test_means_over_draws_are_those_of_the_covariance():
    rng = np.random.default_rng(3)
    for sizes in ((2, 2), (2, 2, 2), (1, 1, 1, 1)):
        a = rng.normal(size=(sum(sizes), sum(sizes)))
        s = a @ a.T + np.eye(len(a))
        found = [dependence(drawn(s, 40, sizes, seed), dims=sizes[0]) for seed in range(150)]
        for name, value in zip(("total", "dual"), expected(s, sizes), strict=True):
            values = [getattr(f, name) for f in found]
            assert abs(np.mean(values) - value) < 4 * np.std(values) / np.sqrt(len(values)), (sizes, name)


def test_identities_and_the_sandwich():
    a = np.random.default_rng(0).normal(size=(6, 6))
    found = dependence(drawn(a @ a.T + 0.1 * np.eye(6), 4000, (2, 2, 2), 0), dims=2)
    assert found.total + found.dual == pytest.approx(sum(found.one_vs_all.values()))
    assert found.lower <= found.dual <= found.upper
    assert (found.rows, found.dims) == (4000, 2)
    two = dependence(drawn(a[:4, :4] @ a[:4, :4].T + np.eye(4), 500, (2, 2), 0))
    assert two.total == pytest.approx(two.dual)  # of two, both are the mutual information
    assert two.lower == pytest.approx(two.upper)


def test_turning_and_scaling_change_nothing_and_independence_reads_zero():
    torch.manual_seed(0)
    base = torch.randn(300, 3, dtype=torch.float64)
    emb = {"a": base, "b": base + torch.randn(300, 3), "c": torch.randn(300, 3, dtype=torch.float64)}
    turned = emb | {"a": 7 * base @ torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q + 4}
    one, two = (dependence(Embeddings.of(z), dims=3) for z in (emb, turned))
    assert one.total == pytest.approx(two.total)
    assert one.one_vs_all["c"] < 0.1 < 0.5 < one.one_vs_all["a"]


def test_too_few_rows_and_flat_modalities_are_one_line():
    x = torch.randn(20, 4)
    flat = Embeddings.of({"a": x, "b": torch.ones(20, 4)})
    for call, said in (
        (lambda: dependence(Embeddings.of({"a": x})), "two modalities"),
        (lambda: dependence(Embeddings.of({"a": x, "b": x}), dims=5), "lower dims"),
        (lambda: dependence(Embeddings.of({"a": x[:9], "b": x[:9]}), dims=4), "lower dims"),
        (lambda: dependence(flat, dims=1), "'b' varies in fewer than 1"),
        (lambda: dependence(Embeddings.of({"a": x, "b": x.clone()}), dims=2), "leave out copies"),
        (
            lambda: dependence(Embeddings.of({"a": x[:, :2], "b": x[:, 2:], "c": x[:, :2] + x[:, 2:]}), dims=2),
            "leave out copies",
        ),
    ):
        with pytest.raises(InputError, match=said):
            call()
