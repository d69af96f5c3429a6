"""Gaussian decompositions: against recorded covariances, closed forms and invariances."""

import numpy as np
import pytest
import torch

from tests.reference import array, each_record
from tuplet.information import gaussian, gaussian_covariance
from tuplet.types import InputError


def parts(pid):
    return np.array([pid.redundancy, pid.unique1, pid.unique2, pid.synergy])


def covariance(seed, sizes):
    rng = np.random.default_rng(seed)
    d = sum(sizes)
    root = rng.normal(size=(d, d + 2))
    return root @ root.T / d


@each_record("gaussian_pid", 8)
def test_recorded_covariances(file, name, recorded):
    sizes = recorded["dm"], recorded["dx"], recorded["dy"]
    found = gaussian_covariance(array(file, name), sizes=sizes)
    np.testing.assert_allclose(parts(found), [recorded[k] for k in ("R", "U_x", "U_y", "S")], atol=1e-3)
    assert found.gap <= 1e-5
    assert found.union <= recorded["union"] + 1e-5  # the recorded optimum is iterative; ours is certified


@pytest.mark.parametrize("seed", range(5))
def test_a_scalar_target_leaves_the_weaker_source_nothing(seed):
    found = gaussian_covariance(covariance(seed, (1, 3, 2)), sizes=(1, 3, 2))
    assert min(found.unique1, found.unique2) == 0
    assert found.redundancy == pytest.approx(min(found.information1, found.information2))
    assert found.gap == 0


@pytest.mark.parametrize("seed", range(5))
def test_coordinates_do_not_matter(seed):
    rng, sizes = np.random.default_rng(seed), (3, 4, 2)
    c = covariance(seed, sizes)
    wanted = parts(gaussian_covariance(c, sizes=sizes, gap=1e-6))
    blocks = [rng.normal(size=(k, k)) + 3 * np.eye(k) for k in sizes]
    mix = np.zeros((9, 9))
    for k, start in zip(range(3), (0, 3, 7), strict=True):
        mix[start : start + sizes[k], start : start + sizes[k]] = blocks[k]
    moved = mix @ c @ mix.T
    np.testing.assert_allclose(parts(gaussian_covariance(moved, sizes=sizes, gap=1e-6)), wanted, atol=2e-6)
    order = [0, 1, 2, 7, 8, 3, 4, 5, 6]
    swapped = gaussian_covariance(c[np.ix_(order, order)], sizes=(3, 2, 4), gap=1e-6)
    np.testing.assert_allclose(parts(swapped), wanted[[0, 2, 1, 3]], atol=2e-6)


def test_independent_coordinates_add_up():
    """A target of independent parts, each seen independently by both sources: each part obeys the scalar law."""
    rng = np.random.default_rng(0)
    snr1, snr2 = rng.uniform(0.1, 4, size=5), rng.uniform(0.1, 4, size=5)
    c = np.eye(15)
    for i in range(5):
        c[i, 5 + i] = c[5 + i, i] = np.sqrt(snr1[i])
        c[i, 10 + i] = c[10 + i, i] = np.sqrt(snr2[i])
        c[5 + i, 10 + i] = c[10 + i, 5 + i] = np.sqrt(snr1[i] * snr2[i])
        c[5 + i, 5 + i], c[10 + i, 10 + i] = 1 + snr1[i], 1 + snr2[i]
    found = gaussian_covariance(c, sizes=(5, 5, 5))
    union = 0.5 * np.log2(1 + np.maximum(snr1, snr2)).sum()
    assert found.union == pytest.approx(union, abs=1e-5)
    assert found.information12 == pytest.approx(0.5 * np.log2(1 + snr1 + snr2).sum())


def test_two_views_of_equal_noise_are_redundant():
    """The search runs to the edge of what is feasible, where the noises become one."""
    eye = np.eye(3)
    c = np.block([[eye, eye, eye], [eye, 2 * eye, eye], [eye, eye, 2 * eye]])
    found = gaussian_covariance(c, sizes=(3, 3, 3))
    np.testing.assert_allclose(parts(found)[:3], [1.5, 0, 0], atol=1e-5)


def test_samples_approach_their_covariance():
    sizes = (2, 3, 2)
    c = covariance(3, sizes)
    rows = torch.from_numpy(np.random.default_rng(0).multivariate_normal(np.zeros(7), c, size=200_000))
    found = gaussian(rows[:, 2:5], rows[:, 5:], rows[:, :2])
    np.testing.assert_allclose(parts(found), parts(gaussian_covariance(c, sizes=sizes)), atol=0.03)
    assert found.samples == 200_000
    assert not found.warnings


def test_constant_columns_and_few_samples():
    rows = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    rows[:, 4] = 1.0
    found = gaussian(rows[:, 1:3], rows[:, 3:], rows[:, 0])
    assert np.isfinite(parts(found)).all()
    assert "40 samples" in found.warnings[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c[:5, :5], "shape"),
        (lambda c: c * np.nan, "finite"),
        (lambda c: c - 10 * np.eye(6), "positive definite"),
        (lambda c: np.triu(c), "symmetric"),
    ],
)
def test_bad_covariances(change, words):
    with pytest.raises(InputError, match=words):
        gaussian_covariance(change(covariance(0, (2, 2, 2))), sizes=(2, 2, 2))
    with pytest.raises(InputError, match="rows of target"):
        gaussian(torch.ones(4, 2), torch.ones(5, 2), torch.ones(5, 1))
