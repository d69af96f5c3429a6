"""The closed form as a model's start: what it gives, which rows it may read, what it refuses."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from tests.functional.test_gcca import covariance
from tuplet import AlignmentModel, InputError, TrainConfig, fit, load
from tuplet.catalog import SOURCES
from tuplet.data import Split, from_arrays
from tuplet.evaluate import embed, linear_baseline, mean_cosine, retrieve
from tuplet.functional.gcca import Moments, shared_directions
from tuplet.model import ClosedFormError, linear_maps
from tuplet.objectives import Cone


def views(n=300, *, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 4))
    make = {"force": (6,), "picture": (1, 5, 5), "trace": (10, 2)}
    return {
        k: (shared @ rng.normal(size=(4, int(np.prod(s)))) + 0.3 * rng.normal(size=(n, int(np.prod(s)))) + shift)
        .reshape(n, *s)
        .astype(np.float32)
        for k, s in make.items()
    }


def split(n=300):
    rows = np.random.default_rng(3).permutation(n)
    return Split(rows[: n // 2], rows[n // 2 : 3 * n // 4], rows[3 * n // 4 :])


def test_the_start_gives_what_the_closed_form_gives_for_every_kind_of_row():
    source = from_arrays(views(), split=split(), kinds={"picture": "image", "trace": "padded"})
    model, linear = AlignmentModel.for_source(source, dim=8, start="gcca"), linear_baseline(source, dim=8)
    one, two = embed(model, source.test), embed(linear, source.test)
    for k in one.z:
        torch.testing.assert_close(one.z[k], two.z[k], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(one.h[k], two.h[k], rtol=1e-5, atol=1e-6)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    fit(model, Cone(), train=source.train, config=TrainConfig(epochs=2, batch_size=32))
    still = [k for k, v in model.state_dict().items() if torch.equal(v, before[k])]
    assert not still, still  # the map, the network and its last layer all learn


def test_two_modalities_are_regularised_cca():
    """Against the eigenproblem of the regularised correlation operator, by another route."""
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(400, 2))
    x, y = (shared @ rng.normal(size=(2, d)) + rng.normal(size=(400, d)) for d in (5, 7))
    x, y = x - x.mean(0), y - y.mean(0)
    for ridge in (0.01, 0.1, 1.0):
        cov = covariance([torch.from_numpy(x), torch.from_numpy(y)])
        (a, b), strength = shared_directions(cov, [5, 7], ridge=ridge, dim=3)
        # one side's variate is, up to scale, the ridge regression of the other side's onto it
        for one, two, mine, theirs in ((x, y, a, b), (y, x, b, a)):
            penalty = ridge * np.trace(one.T @ one / 400) / one.shape[1] * 400
            fitted = Ridge(alpha=penalty, fit_intercept=False).fit(one, two @ theirs.numpy()).coef_.T
            for i in range(3):
                np.testing.assert_allclose(fitted[:, i], float(strength[i]) * mine.numpy()[:, i], atol=1e-8)


def test_two_modalities_are_scikit_learns_cca_without_a_ridge():
    from sklearn.cross_decomposition import CCA

    rng = np.random.default_rng(2)
    shared = rng.normal(size=(500, 2))
    x, y = (shared @ rng.normal(size=(2, d)) + rng.normal(size=(500, d)) for d in (4, 5))
    (a, b), strength = shared_directions(covariance([torch.from_numpy(x), torch.from_numpy(y)]), [4, 5], ridge=0.0, dim=2)
    u, v = CCA(n_components=2, scale=False, max_iter=20_000, tol=1e-12).fit_transform(x, y)
    theirs = [np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(2)]
    np.testing.assert_allclose(strength.numpy(), theirs, atol=1e-5)
    for mine, their in ((x @ a.numpy(), u), (y @ b.numpy(), v)):
        assert min(abs(np.corrcoef(mine[:, i], their[:, i])[0, 1]) for i in range(2)) > 1 - 1e-6


def test_shares_of_rows_add_up_with_missing_ones():
    rng = np.random.default_rng(0)
    parts = [torch.from_numpy(rng.normal(size=(90, d))) for d in (3, 4, 2)]
    present = [torch.from_numpy(rng.random(90) < 0.7) for _ in parts]
    whole = covariance(parts, present)
    moments = Moments([3, 4, 2])
    for rows in torch.arange(90).split(17):
        moments.add([p[rows] for p in parts], [m[rows] for m in present])
    torch.testing.assert_close(moments.covariance(), whole)
    # an independent oracle: each block by NumPy, over the rows that have both
    blocks = [
        [
            ((a - a[m].mean(0))[m & n].T @ (b - b[n].mean(0))[m & n] / max(int((m & n).sum()), 1)).numpy()
            for b, n in zip(parts, present, strict=True)
        ]
        for a, m in zip(parts, present, strict=True)
    ]
    values, vectors = np.linalg.eigh(np.block(blocks))
    np.testing.assert_allclose(whole.numpy(), (vectors * values.clip(min=0)) @ vectors.T, atol=1e-10)


def test_only_training_rows_give_the_maps_and_validation_rows_the_ridge():
    x, rows = views(), split()
    maps = linear_maps(from_arrays(x, split=rows), dim=8, ridge=0.1)
    for part, same in (("test", True), ("val", True), ("train", False)):
        other = {k: v.copy() for k, v in x.items()}
        other["force"][getattr(rows, part)] = other["force"][getattr(rows, part)][::-1]
        again = linear_maps(from_arrays(other, split=rows), dim=8, ridge=0.1)
        assert torch.allclose(maps["picture"].weight, again["picture"].weight) == same, part


def test_missing_rows_and_numbers_far_from_zero_are_no_loss():
    x = views(shift=1e4)
    clean = linear_baseline(from_arrays(views(), split=split()), dim=8)
    source = from_arrays(x, split=split())
    far = linear_baseline(source, dim=8)

    def recall(model, rows):
        emb = embed(model, rows)
        return retrieve(emb, ("force",), ("picture", "trace"), score=mean_cosine).values["R@1"]

    whole = recall(clean, from_arrays(views(), split=split()).test)
    assert whole > 0.5
    assert abs(recall(far, source.test) - whole) < 0.1
    rng = np.random.default_rng(5)
    for k in x:
        x[k][rng.random(300) < 0.2] = np.nan
    holey = from_arrays(x, split=split())
    assert recall(linear_baseline(holey, dim=8), from_arrays(views(shift=1e4), split=split()).test) > whole - 0.25


def test_a_started_model_is_kept_and_loaded(tmp_path):
    source = from_arrays(views(), split=split())
    config = TrainConfig(epochs=1, batch_size=32, out=tmp_path / "run")
    model = AlignmentModel.for_source(source, dim=8, start="gcca")
    run = fit(model, Cone(), train=source.train, val=source.val, config=config)
    one, two = embed(run.model, source.test), embed(load(tmp_path / "run"), source.test)
    assert all(torch.equal(one.z[k], two.z[k]) for k in one.z)


def test_fit_builds_a_started_model_and_resumes_no_other(tmp_path):
    source = from_arrays(views(), split=split())
    config = TrainConfig(epochs=1, batch_size=32, out=tmp_path / "run", start="gcca", seed=3)
    run = fit(None, Cone(), train=source.train, config=config)
    assert run.model.start == "gcca"
    torch.manual_seed(3)
    own = AlignmentModel.for_source(source, start="gcca")
    again = fit(own, Cone(), train=source.train, config=TrainConfig(epochs=1, batch_size=32, seed=3))
    assert all(torch.equal(v, run.model.state_dict()[k]) for k, v in again.model.state_dict().items())
    with pytest.raises(InputError, match="start = gcca, this one has start = random"):
        fit(None, Cone(), train=source.train, config=replace(config, start="random"))
    with pytest.raises(InputError, match="start is 'gcca', which is for a model that fit builds"):
        fit(AlignmentModel.for_source(source), Cone(), train=source.train, config=replace(config, out=None))
    with pytest.raises(InputError, match="start is 'cca', expected 'random' or 'gcca'"):
        TrainConfig(start="cca")
    assert fit(None, Cone(), train=source.train, config=TrainConfig(epochs=1)).model.start == "random"


def test_refuses_what_has_no_closed_form():
    x = views()
    for change, said in (
        ({"force": np.ones_like(x["force"])}, r"'force'.*constant"),
        ({"force": np.where(np.arange(300)[:, None] < 299, np.nan, x["force"])}, "force"),
    ):
        with pytest.raises(InputError, match=said):
            AlignmentModel.for_source(from_arrays(x | change, split=split()), start="gcca")
    alone = {"a": np.where(np.arange(40) % 2 == 0, np.nan, 1.0), "b": np.where(np.arange(40) % 2 == 1, np.nan, 1.0)}
    with pytest.raises(InputError, match="training rows with two modalities"):
        AlignmentModel.for_source(from_arrays({k: v[:, None] for k, v in alone.items()}), start="gcca")
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="ridge"):
            AlignmentModel.for_source(from_arrays(x), start="gcca", ridge=bad)
    with pytest.raises(InputError, match="start is 'cca', expected"):
        AlignmentModel.for_source(from_arrays(x), start="cca")


def test_only_data_without_a_closed_form_begin_at_random_in_a_command():
    """Whatever else is wrong is refused, and not taken for a reason to begin at random."""
    x = views()
    with pytest.raises(ClosedFormError) as found:
        AlignmentModel.for_source(from_arrays(x | {"force": np.ones_like(x["force"])}, split=split()), start="gcca")
    assert found.value.why.endswith("constant in the training rows")
    assert pickle.loads(pickle.dumps(found.value)).why == found.value.why  # workers hand it back
    for wrong in ({"ridge": -1.0}, {"dim": 0}, {"start": "cca"}):
        with pytest.raises(InputError) as other:
            AlignmentModel.for_source(from_arrays(x, split=split()), **({"start": "gcca"} | wrong))
        assert not isinstance(other.value, ClosedFormError), wrong


def test_digits_start_retrieves_as_the_closed_form_does():
    source = SOURCES["digits"]().select(["fourier", "karhunen", "zernike"])
    model = AlignmentModel.for_source(source, dim=32, start="gcca")
    emb = embed(model, source.test)
    found = [
        retrieve(emb, (k,), tuple(j for j in emb.modalities if j != k), score=mean_cosine).values["R@1"] for k in emb.modalities
    ]
    assert np.mean(found) > 0.15  # chance 0.0025
