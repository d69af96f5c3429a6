"""The linear baseline on data whose shared part is known, and on data it has to refuse."""

import numpy as np
import pytest
import torch

from tuplet import InputError
from tuplet.catalog import SOURCES
from tuplet.data import from_arrays
from tuplet.evaluate import embed, evaluate, linear_baseline


def found(source, model):
    return {r.metric: r for r in evaluate(model, None, source) if r.detail in ("", "mean")}


def test_retrieves_digits_better_than_chance_by_far():
    source = SOURCES["digits"]().select(["fourier", "karhunen", "zernike"])
    result = found(source, linear_baseline(source, dim=32))["retrieval/cosine/R@1"]
    assert 0.19 < result.value < 0.25  # pairwise contrastive training from scratch reaches 0.09 to 0.14
    assert result.chance == pytest.approx(1 / 400)


def test_shared_factors_are_found_in_pictures_series_and_with_missing_rows():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(600, 4))
    views = {"photo": (3, 6, 6), "walk": (20, 2), "force": (7,)}
    arrays = {
        k: (factors @ rng.normal(size=(4, int(np.prod(shape)))) + 0.3 * rng.normal(size=(600, int(np.prod(shape))))).reshape(
            600, *shape
        )
        for k, shape in views.items()
    }
    whole = from_arrays(arrays)
    assert found(whole, linear_baseline(whole, dim=8))["retrieval/cosine/R@1"].value > 0.8
    present = {k: rng.random(600) > 0.3 for k in views}
    partly = from_arrays(arrays, present=present)
    model = linear_baseline(partly, dim=8)
    assert found(partly, model)["retrieval/cosine/R@1"].value > 0.7
    emb = embed(model, partly.test)
    assert bool((emb.z["photo"][~emb.present["photo"]] == 0).all())


def test_is_the_same_twice_and_takes_no_random_numbers():
    source = SOURCES["digits"]().select(["fourier", "zernike"])
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    a, b = (linear_baseline(source, dim=100) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_a_constant_modality_is_left_at_zero_and_two_are_refused():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3))
    still = np.ones((60, 2))
    source = from_arrays({"a": x, "b": x @ rng.normal(size=(3, 3)), "still": still})
    assert bool((embed(linear_baseline(source, dim=4), source.test).h["still"] == 0).all())
    with pytest.raises(InputError, match=r"constant modalities \['still'\]"):
        linear_baseline(from_arrays({"a": x, "still": still}))


def test_refuses_rows_that_never_meet():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 3))
    first = np.arange(60) % 2 == 0
    with pytest.raises(InputError, match="0 training rows with two modalities"):
        linear_baseline(from_arrays({"a": x, "b": x}, present={"a": first, "b": ~first}))
    with pytest.raises(InputError, match="dim"):
        linear_baseline(from_arrays({"a": x, "b": x}), dim=0)


def test_the_closed_form_takes_raw_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 5, size=(120, 4))
    raw = {"a": x, "b": x[:, ::-1] + 0.1 * rng.normal(size=x.shape)}
    source = from_arrays(raw)
    model = linear_baseline(source, dim=4)
    rows = source.split.test
    z = model.encode({k: v[rows] for k, v in raw.items()})
    own = embed(model, source.test).z
    assert all(np.allclose(z[k], own[k], atol=1e-6) for k in z)
    assert (z["a"] @ z["b"].T).argmax(axis=1).tolist() == list(range(len(rows)))
