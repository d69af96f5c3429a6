"""Distances of generated pictures to real ones, against plain loops and known values."""

import numpy as np
import pytest
import torch

from tuplet import InputError
from tuplet.evaluate.generated import diversity, fid, kid, mmd


def pairs(f, x, y, same):
    values = [f(a, b) for i, a in enumerate(x) for j, b in enumerate(y) if not (same and i == j)]
    return sum(values) / len(values)


def test_unbiased_estimates_equal_plain_loops():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(5, 3)) + 1
    gap = sorted(np.linalg.norm(a - b) for i, a in enumerate(x) for b in x[:i])
    width = gap[(len(gap) - 1) // 2]
    kernels = {
        "mmd": lambda a, b: np.exp(-np.square(a - b).sum() / (2 * width**2)),
        "kid": lambda a, b: (a @ b / 3 + 1) ** 3,
    }
    for name, k in kernels.items():
        expected = pairs(k, x, x, True) + pairs(k, y, y, True) - 2 * pairs(k, x, y, False)
        tx, ty = torch.from_numpy(x), torch.from_numpy(y)
        found = mmd(tx, ty) if name == "mmd" else kid(tx, ty)[0]
        assert found == pytest.approx(expected), name


@pytest.mark.slow
def test_the_same_distribution_reads_zero_and_a_shift_its_size():
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2000, 3, generator=rng) for _ in range(2))
    assert abs(mmd(x[:1000], y[:1000])) < 0.003
    value, error = kid(x, y)
    assert abs(value) < 4 * error
    assert kid(x, y + 1)[0] > 20 * error
    shifted = 2 * y + torch.tensor([1.0, 0.0, 0.0])
    name, value = fid(x, shifted, extractor="plain")
    assert name == "fid[plain,n=2000]"
    assert value == pytest.approx(1 + 3, rel=0.1)  # |m|^2 + sum (2 - 1)^2
    assert diversity(x) == pytest.approx(diversity(2 * x) / 2)


def test_errors_are_those_of_repeated_draws():
    for n, shift in ((60, 0.5), (200, 0.5), (60, 0.0)):
        rng = torch.Generator().manual_seed(n)
        pairs_of = [(torch.randn(n, 4, generator=rng), torch.randn(n + 20, 4, generator=rng) + shift) for _ in range(40)]
        values, errors = np.array([kid(x, y) for x, y in pairs_of]).T
        assert 0.7 < np.mean(errors) / np.std(values) < (1.4 if shift else 1.8), (n, shift)


def test_too_few_rows_are_one_line():
    x = torch.randn(5, 8)
    for call, said in (
        (lambda: fid(x, x, extractor="a"), "singular"),
        (lambda: mmd(x, x[:, :2]), "one extractor"),
        (lambda: kid(x[:3], x), "four rows"),
        (lambda: kid(x / 0, x), "real or fake has features that are not finite"),
        (lambda: kid(x, x / 0), "real or fake has features that are not finite"),
    ):
        with pytest.raises(InputError, match=said):
            call()
