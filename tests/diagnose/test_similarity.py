"""Similarity metrics against recorded outputs, against NumPy with whole matrices, and against what must not change them."""

import json

import numpy as np
import pytest
import torch

from tests.conftest import REFERENCE
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
from tuplet.types import InputError

FOLDER = REFERENCE / "information"
CASES = [(s, name) for s in (0, 1) for name in json.loads((FOLDER / f"similarity_s{s}.json").read_text())]
KNN = {"mutual_knn": mutual_knn, "cycle_knn": cycle_knn, "cknna": cknna, "lcs_knn": lcs_knn}
TINY = 1e-6  # the recorded programs add this to the denominator of CKA and CKNNA


def recorded(seed, name):
    with np.load(FOLDER / f"similarity_s{seed}.npz", allow_pickle=False) as stored:
        pair = stored[f"{name}__A"], stored[f"{name}__B"]
    return pair, json.loads((FOLDER / f"similarity_s{seed}.json").read_text())[name]


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


@pytest.mark.parametrize(("seed", "name"), CASES)
@pytest.mark.parametrize("rows", ["raw", "l2", "clamp95_l2"])
def test_recorded_neighbours(seed, name, rows):
    (a, b), found = recorded(seed, name)
    how = {"raw": "raw", "l2": "unit", "clamp95_l2": "clipped"}[rows]
    seen = 0
    for key, value in found[rows].items():
        metric, _, k = key.rpartition("_k")
        if metric not in KNN:
            continue
        ours = float(KNN[metric](a, b, k=int(k), rows=how, shuffles=0))
        if metric == "cknna":  # put the authors' 1e-6 back
            x, y = (prepared(torch.from_numpy(v), rows=how).numpy() for v in (a, b))
            ours *= cknna_oracle(x, y, int(k), TINY) / cknna_oracle(x, y, int(k))
        assert ours == pytest.approx(value, abs=1e-6), key
        seen += 1
    assert seen


@pytest.mark.parametrize(("seed", "name"), CASES)
@pytest.mark.parametrize("rows", ["raw", "l2", "clamp95_l2"])
def test_recorded_cka(seed, name, rows):
    (a, b), found = recorded(seed, name)
    how = {"raw": "raw", "l2": "unit", "clamp95_l2": "clipped"}[rows]
    x, y = (prepared(torch.from_numpy(v), rows=how).numpy() for v in (a, b))
    seen = 0
    for key, value in found[rows].items():
        if "cka_" not in key:
            continue
        unbiased, sigma = key.startswith("unbiased"), key.partition("sigma")[2]
        width = float(sigma) if sigma else None
        options = {"kernel": "rbf", "sigma": width} if sigma else {}
        ours = float(cka(x, y, unbiased=unbiased, **options))
        tiny = cka_oracle(x, y, unbiased=unbiased, sigma=width, tiny=TINY)
        exact = cka_oracle(x, y, unbiased=unbiased, sigma=width)
        assert ours == pytest.approx(exact, abs=1e-9), key
        assert ours * tiny / exact == pytest.approx(value, abs=1e-6), key
        seen += 1
    assert seen


@pytest.mark.parametrize(("seed", "name"), CASES)
def test_recorded_svcca(seed, name):
    (a, b), found = recorded(seed, name)
    keys = [k for k in found["google_svcca"] if k.startswith("svcca_mean_coef_k")]
    assert keys
    for key in keys:
        k = int(key.rpartition("_k")[2])
        assert float(svcca(a, b, components=k)) == pytest.approx(found["google_svcca"][key], abs=1e-5)
    if a.shape[1] <= b.shape[1]:
        everything = svcca(a, b, components=1.0)
        assert float(everything) == pytest.approx(np.mean(found["google_svcca"]["cca_coef_raw"]), abs=1e-5)
