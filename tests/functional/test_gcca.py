"""Canonical correlations against scikit-learn, cca-zoo and a dense generalised eigenproblem of SciPy."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import block_diag, eigh
from sklearn.cross_decomposition import CCA

from tuplet import InputError
from tuplet.functional.gcca import Moments, principal_axes, shared_directions

ZOO = Path(__file__).parents[1] / "reference" / "closed_form" / "cca_zoo.npz"


def covariance(parts, present=None):
    """The joint covariance of rows in memory, each modality centred by its present rows first."""
    masks = [torch.ones(len(parts[0]), dtype=torch.bool)] * len(parts) if present is None else present
    weights = [m.double()[:, None] for m in masks]
    means = [(p.double() * w).sum(dim=0) / w.sum().clamp_min(1) for p, w in zip(parts, weights, strict=True)]
    moments = Moments([p.shape[1] for p in parts])
    moments.add([p.double() - mean for p, mean in zip(parts, means, strict=True)], masks)
    return moments.covariance()


def planted(rng, n, widths, shared=2, noise=0.5):
    """Views that share a few factors, each through its own random mixing."""
    factors = rng.normal(size=(n, shared))
    views = [factors @ rng.normal(size=(shared, w)) + noise * rng.normal(size=(n, w)) for w in widths]
    return factors, [torch.from_numpy(v) for v in views]


def dense(views, ridge):
    """The same problem written down literally: one covariance, one block diagonal, one call of SciPy."""
    x = np.concatenate([v - v.mean(0) for v in map(np.asarray, views)], axis=1)
    c = x.T @ x / len(x)
    ends = np.cumsum([0, *(v.shape[1] for v in views)])
    own = [c[a:b, a:b] for a, b in pairwise(ends)]
    added = block_diag(*[ridge * np.trace(o) / len(o) * np.eye(len(o)) for o in own])
    values, vectors = eigh(c + added, block_diag(*own) + added)
    return values[::-1] - 1, vectors[:, ::-1]


def test_two_modalities_are_scikit_learns_cca():
    rng = np.random.default_rng(0)
    _, (a, b) = planted(rng, 400, (5, 3))
    cca = CCA(n_components=3, max_iter=5000, tol=1e-12).fit(a.numpy(), b.numpy())
    scores = cca.transform(a.numpy(), b.numpy())
    expected = [np.corrcoef(u, v)[0, 1] for u, v in zip(scores[0].T, scores[1].T, strict=True)]
    (wa, wb), strength = shared_directions(covariance([a, b]), [5, 3], ridge=0.0, dim=3)
    np.testing.assert_allclose(strength, expected, atol=1e-5)
    ours = [np.corrcoef(u, v)[0, 1] for u, v in zip((a @ wa).T.numpy(), (b @ wb).T.numpy(), strict=True)]
    np.testing.assert_allclose(ours, expected, atol=1e-5)  # with the right sign, too


def test_regularised_directions_are_those_of_cca_zoo():
    """Directions up to a factor: cca-zoo scales them in its own way."""
    with np.load(ZOO) as kept:
        cases = {name.split("/")[0] for name in kept.files}
        assert len(cases) == 4
        for case in cases:
            ridge = float(kept[f"{case}/ridge"])
            views = [torch.from_numpy(kept[k]) for k in sorted(kept.files) if k.startswith(f"{case}/view")]
            weights = [kept[k] for k in sorted(kept.files) if k.startswith(f"{case}/weights")]
            sizes = [v.shape[1] for v in views]
            found, _ = shared_directions(covariance(views), sizes, ridge=ridge, dim=2)
            ours, theirs = torch.cat(found).numpy(), np.concatenate(weights)
            factor = (ours * theirs).sum(0) / (theirs**2).sum(0)
            np.testing.assert_allclose(ours, factor * theirs, atol=1e-7, err_msg=case)


def test_any_number_of_modalities_is_the_dense_eigenproblem():
    rng = np.random.default_rng(1)
    for widths, ridge in (((4, 3), 0.3), ((4, 3, 6), 0.01), ((2, 5, 3, 4), 1.0)):
        _, views = planted(rng, 300, widths)
        found, strength = shared_directions(covariance(views), widths, ridge=ridge, dim=3)
        values, vectors = dense(views, ridge)
        np.testing.assert_allclose(strength, values[:3], rtol=1e-8)
        w = torch.cat(found).numpy()
        signs = np.sign((w * vectors[:, :3]).sum(0))
        np.testing.assert_allclose(w * signs, vectors[:, :3], atol=1e-8)


def test_planted_factors_come_back_and_other_directions_have_no_strength():
    rng = np.random.default_rng(2)
    factors, views = planted(rng, 4000, (6, 5, 4), noise=0.1)
    found, strength = shared_directions(covariance(views), (6, 5, 4), ridge=0.01, dim=8)
    assert strength[1] > 1.9  # of at most M - 1 = 2
    assert strength[2] < 0.2
    for view, w in zip(views, found, strict=True):
        fitted = np.linalg.lstsq((view @ w[:, :2]).numpy(), factors, rcond=None)
        assert fitted[1].sum() < 0.05 * len(factors) * 2  # residual sum of squares


def test_columns_that_the_data_cannot_fill_are_zero():
    rng = np.random.default_rng(3)
    _, views = planted(rng, 50, (3, 2))
    found, strength = shared_directions(covariance(views), (3, 2), ridge=0.1, dim=9)
    assert [tuple(w.shape) for w in found] == [(3, 9), (2, 9)]
    assert bool((strength[2:] == 0).all())
    assert bool((torch.cat(found)[:, 2:] == 0).all())


def test_missing_rows_use_what_is_there():
    rng = np.random.default_rng(4)
    _, views = planted(rng, 6000, (4, 3, 5))
    whole = shared_directions(covariance(views), (4, 3, 5), dim=2)[1]
    present = [torch.from_numpy(rng.random(6000) > 0.3) for _ in views]
    holes = [torch.where(m[:, None], v, 1e3) for m, v in zip(present, views, strict=True)]  # absent rows hold anything
    partly = covariance(holes, present)
    assert torch.equal(partly, partly.mT) or torch.allclose(partly, partly.mT)
    np.testing.assert_allclose(shared_directions(partly, (4, 3, 5), dim=2)[1], whole, rtol=0.05)
    a, b = (v[present[0] & present[1]] - v0 for v, v0 in ((views[i], views[i][present[i]].mean(0)) for i in (0, 1)))
    np.testing.assert_allclose(partly[:4, 4:7], a.mT @ b / len(a), atol=1e-6)
    nowhere = [torch.arange(10) < 5, torch.arange(10) >= 5]
    assert bool((covariance([torch.randn(10, 2)] * 2, nowhere)[:2, 2:] == 0).all())


def test_blocks_that_contradict_each_other_become_a_covariance():
    x = torch.tensor([[1.0], [-1.0]] * 6)
    a, b, c = x.clone(), x.clone(), x.clone()
    present = [torch.tensor([True] * 8 + [False] * 4), torch.tensor([True] * 4 + [False] * 4 + [True] * 4)]
    present.append(torch.tensor([False] * 4 + [True] * 8))
    c[8:] *= -1  # a = b, a = c, b = -c: no covariance has all three
    assert float(torch.linalg.eigvalsh(covariance([a, b, c], present))[0]) > -1e-12
    assert float(shared_directions(covariance([a, b, c], present), [1, 1, 1], ridge=0.0)[1].max()) <= 2 + 1e-9


def test_principal_axes_of_many_rows_come_from_evenly_spaced_ones(monkeypatch):
    monkeypatch.setattr("tuplet.functional.gcca.EXACT", 6)
    x = torch.randn(20, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, axes = principal_axes(x, count=2)
    _, _, v = np.linalg.svd((x - x.mean(0))[[0, 3, 7, 11, 15, 19]].numpy())
    np.testing.assert_allclose(mean, x.mean(0))
    np.testing.assert_allclose(np.abs((axes.mT.numpy() * v[:2]).sum(1)), 1, atol=1e-6)


def test_principal_axes_of_tall_and_wide_rows():
    rng = np.random.default_rng(5)
    for shape in ((200, 7), (20, 300)):
        x = torch.from_numpy(rng.normal(3, 1, size=shape))
        mean, axes = principal_axes(x, count=5)
        _, _, v = np.linalg.svd((x - x.mean(0)).numpy(), full_matrices=False)
        np.testing.assert_allclose(np.abs((axes.mT.numpy() * v[:5]).sum(1)), 1, atol=1e-6)
        np.testing.assert_allclose(mean, x.mean(0))
    assert principal_axes(torch.full((9, 4), 1e30))[1].shape == (4, 0)
    assert principal_axes(torch.randn(5, 40), count=100)[1].shape == (40, 4)  # five centred rows span four directions
    assert principal_axes(torch.full((9, 2), 1 / 3, dtype=torch.float64))[1].shape == (2, 0)  # its mean is rounded
    assert principal_axes(torch.randn(50, 3) * torch.tensor([1, 1e-4, 1e-6]))[1].shape == (3, 2)
    tiny = principal_axes(torch.randn(50, 3, dtype=torch.float64) * 1e-200)[1]
    assert torch.allclose(tiny.mT @ tiny, torch.eye(3, dtype=torch.float64))


def test_mixtures_of_columns_change_nothing_without_a_ridge():
    _, (a, b) = planted(np.random.default_rng(6), 200, (3, 2))
    once = shared_directions(covariance([a, b]), (3, 2), ridge=0.0, dim=2)[1]
    copied = covariance([a @ torch.randn(3, 40, generator=torch.Generator().manual_seed(0), dtype=a.dtype), b])
    np.testing.assert_allclose(shared_directions(copied, (40, 2), ridge=0.0, dim=2)[1], once, rtol=1e-11)


def test_refuses_what_does_not_fit():
    c = torch.eye(3)
    for call, word in (
        (lambda: shared_directions(c, [1, 1]), "sizes"),
        (lambda: shared_directions(c, [1, 2], ridge=-1.0), "ridge"),
        (lambda: shared_directions(c, [1, 2], dim=0), "dim"),
    ):
        with pytest.raises(InputError, match=word):
            call()
