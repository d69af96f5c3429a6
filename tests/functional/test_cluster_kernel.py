"""The time series cluster kernel against the authors' outputs, loops from the paper, and what any kernel must obey."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from safetensors.torch import load_file, save_file
from scipy.stats import norm

from tests.oracles import mixture as oracle
from tests.reference import each_case
from tuplet import InputError
from tuplet.functional.cluster_kernel import ClusterKernel
from tuplet.functional.mixture import Mixture, Prior, _powers, _update, fit_mixture

SMALL = {"components": 4, "draws": 4}


def draw(n=12, t=7, v=2, *, missing=0.3, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, t, v, generator=g, dtype=torch.float64)
    return x.masked_fill(torch.rand(n, t, v, generator=g) < missing, torch.nan)


def classes(n=60, t=40, v=2, *, missing=0.0, seed=0):
    """Two classes of noisy sines of different frequency."""
    g = torch.Generator().manual_seed(seed)
    label = torch.arange(n) % 2
    time = torch.linspace(0, 6.28, t, dtype=torch.float64)[None, :, None]
    phase = 0.5 * torch.rand(n, 1, v, generator=g, dtype=torch.float64)
    x = ((1 + 0.5 * label[:, None, None]) * time + phase).sin()
    x = x + torch.randn(n, t, v, generator=g, dtype=torch.float64)
    return x.masked_fill(torch.rand(n, t, v, generator=g) < missing, torch.nan), label


def parameters(c=3, t=7, v=2, *, seed=1):
    g = torch.Generator().manual_seed(seed)
    weight = torch.rand(c, generator=g, dtype=torch.float64).softmax(0)
    mean = torch.randn(c, t, v, generator=g, dtype=torch.float64)
    return Mixture(weight, mean, 0.1 + torch.rand(c, v, generator=g, dtype=torch.float64))


def numpy(*tensors):
    return [x.numpy() for x in tensors]


@each_case("tck")
def test_authors_mixtures_give_authors_kernels(case, data):
    count = sum(k.startswith("Q_") for k in data)
    width = data["X"].shape[2]
    of = [{k: data[f"{k}_{i}"] for k in ("mu", "s2", "theta", "dim_idx", "time_idx", "Q")} for i in range(count)]
    state = {
        "length": torch.tensor(data["X"].shape[1]),
        "location": torch.zeros(width),
        "scale": torch.ones(width),
        "sizes": torch.tensor([(len(m["theta"]), m["time_idx"][0], m["time_idx"][-1] + 1) for m in of]),
        "attributes": torch.stack([torch.isin(torch.arange(width), m["dim_idx"]) for m in of]),
        "weight": torch.cat([m["theta"] for m in of]),
        "mean": torch.cat([m["mu"].permute(2, 0, 1).flatten() for m in of]),
        "variance": torch.cat([m["s2"].mT.flatten() for m in of]),
    }
    raw = ClusterKernel(normalise="raw").load_state_dict(state)
    close = {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(raw.transform(data["X"]), torch.cat([m["Q"] for m in of], dim=1), **close)
    kernel = ClusterKernel(normalise="sum").load_state_dict(state)
    torch.testing.assert_close(kernel(data["X"]), data["K_tr_tr"], **close)
    torch.testing.assert_close(kernel.kernel(data["X"], data["Xte"]), data["K_tr_te"], **close)
    torch.testing.assert_close(kernel(data["Xte"]), data["K_te_te"], **close)
    unit = ClusterKernel().load_state_dict(state)
    torch.testing.assert_close(unit(data["X"]), data["K_tr_tr"] / count, **close)


@pytest.mark.parametrize("floor", ["density", "none"])
def test_log_density_equals_loops(floor):
    x, mixture = 2 * draw(), parameters()
    x[3] = torch.nan
    expected = oracle.log_joint(*numpy(x, *mixture), floor=floor)
    np.testing.assert_allclose(mixture.log_joint(x, floor=floor), expected, rtol=1e-11)
    np.testing.assert_allclose(mixture.log_joint(x, floor=floor)[3], mixture.weight.log(), rtol=1e-12)
    long = x.repeat(1200, 1, 1)  # several blocks
    np.testing.assert_allclose(mixture.log_joint(long, floor=floor), np.tile(expected, (1200, 1)), rtol=1e-11)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_m_step_equals_loops(missing):
    x, mean = draw(missing=missing), parameters().mean
    posterior = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).softmax(1)
    prior = Prior.of(x, smoothness=0.7, amplitude=0.15, strength=0.05)
    seen = _update(_powers(x), posterior, mean, prior)
    expected = oracle.update(*numpy(x, posterior, mean, *prior[:3]), prior.strength)
    for one, other in zip(seen, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_prior_equals_loops_and_adds_the_ridge_where_it_is_due():
    x = draw(t=20)
    for smoothness, ridge in ((0.9, 0.0), (0.01, 0.1)):  # the second is singular to rounding
        prior = Prior.of(x, smoothness=smoothness, amplitude=0.1, strength=0.1)
        for one, other in zip(prior[:3], oracle.prior(x.numpy(), smoothness, 0.1, ridge=ridge), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-15)
    bare = Prior.of(x, smoothness=0.01, amplitude=0.1, strength=0.1, ridge=0.0)
    assert bare.kernel[0, 0] == pytest.approx(0.1)
    assert torch.isfinite(_update(_powers(x), torch.full((12, 2), 0.5, dtype=x.dtype), x[:2].nan_to_num(), bare).mean).all()


def test_prior_of_what_is_not_there():
    x = draw(v=3)
    x[:, 2, 0] = torch.nan
    x[:, :, 1] = torch.nan
    x[:, :, 2] = 0.1
    prior = Prior.of(x, smoothness=1.0, amplitude=0.1, strength=0.1)
    torch.testing.assert_close(prior.mean[2, 0], x[:, :, 0].nanmean())
    assert (prior.mean[:, 1] == 0).all()
    assert prior.deviation[1:].tolist() == [1, 1]


def test_em_never_lowers_the_posterior_of_the_parameters():
    x, _ = classes(n=40, t=12, missing=0.3)
    prior = Prior.of(x, smoothness=0.5, amplitude=0.2, strength=0.1)
    cluster = torch.arange(40) % 3
    heights = []
    for iterations in (1, 2, 3, 5, 8, 12, 20, 30):
        mixture = fit_mixture(x, cluster, prior, components=3, iterations=iterations, floor="none")
        fit = mixture.log_joint(x, floor="none").logsumexp(1).sum()
        penalty = oracle.log_prior(*numpy(mixture.mean, mixture.variance, *prior[:3]), prior.strength)
        heights.append(float(fit) + penalty)
    assert (np.diff(heights) > -1e-8).all(), heights
    assert heights[-1] > heights[0] + 1


def test_mixture_does_not_depend_on_the_order_of_windows():
    x, _ = classes(n=40, t=12, missing=0.3)
    cluster, order = torch.arange(40) % 3, torch.randperm(40, generator=torch.Generator().manual_seed(3))
    prior = Prior.of(x, smoothness=0.5, amplitude=0.2, strength=0.1)
    one = fit_mixture(x, cluster, prior, components=3)
    other = fit_mixture(x[order], cluster[order], prior, components=3)
    torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_kernel_is_a_kernel(missing):
    x, _ = classes(missing=missing)
    fitted = ClusterKernel(**SMALL).fit(x[:40])
    K = fitted(x)
    torch.testing.assert_close(K.diagonal(), torch.ones(60, dtype=x.dtype))
    assert torch.equal(K, K.mT)
    assert torch.linalg.eigvalsh(K)[0] > -1e-10
    assert (K > 0).all()
    F = fitted.transform(x)
    assert F.shape == (60, 4 * (2 + 3 + 4))
    torch.testing.assert_close(F @ F.mT, K)
    torch.testing.assert_close(fitted.kernel(x[:5], x[7:20]), K[:5, 7:20])
    order = torch.randperm(60, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(fitted.transform(x[order]), F[order])
    torch.testing.assert_close(fitted.transform(x[30:31]), F[30:31])  # a batch is a part of the whole


def test_normalisations_agree():
    x, _ = classes(n=30)
    unit, total, raw = (ClusterKernel(normalise=k, **SMALL).fit(x) for k in ("unit", "sum", "raw"))
    torch.testing.assert_close(total(x), 12 * unit(x))  # 4 draws of 2, 3 and 4 components
    F = raw.transform(x)
    starts = np.cumsum([0, *[2] * 4, *[3] * 4, *[4] * 4])
    for first, last in pairwise(starts):
        torch.testing.assert_close(F[:, first:last].sum(1), torch.ones(30, dtype=x.dtype))
    cosines = [torch.nn.functional.normalize(F[:, a:b]) for a, b in pairwise(starts)]
    torch.testing.assert_close(sum(c @ c.mT for c in cosines), total(x))


def test_same_seed_same_kernel_whatever_the_global_generator():
    x, _ = classes(n=30, missing=0.2)
    torch.manual_seed(0)
    one = ClusterKernel(**SMALL, seed=5).fit(x)(x)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    other = ClusterKernel(**SMALL, seed=5).fit(x)(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, other)


@pytest.mark.slow
def test_every_option_of_the_fit_reaches_it():
    x, _ = classes(n=30, missing=0.2)
    base = {**SMALL, "segment": (24, 25)}  # long enough for a covariance that needs the ridge
    one = ClusterKernel(**base).fit(x)(x)
    for change in (
        {"seed": 6},
        {"iterations": 1},
        {"ridge": 0.0},
        {"share": 0.5},
        {"segment": (6, 8)},
        {"floor": "none"},
    ):
        assert (ClusterKernel(**base | change).fit(x)(x) - one).abs().max() > 1e-3, change
    one_each = ClusterKernel(**base, attributes=(1, 1)).fit(x).state_dict()
    assert (one_each["attributes"].sum(1) == 1).all()
    times = one_each["sizes"][:, 2] - one_each["sizes"][:, 1]
    assert set(times.tolist()) <= {24, 25}


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_classes_are_told_apart(missing):
    x, label = classes(n=120, missing=missing)
    fitted = ClusterKernel(components=6, draws=6).fit(x[:80])
    nearest = fitted.kernel(x[80:], x[:80]).argmax(dim=1)
    assert (label[nearest] == label[80:]).double().mean() >= 0.75  # 30 of 40; chance reaches it once in 900 times
    K = fitted(x)
    centred = K - K.mean(0) - K.mean(1, keepdim=True) + K.mean()
    same = (label[:, None] == label).double() - 0.5
    alignment = (centred * same).sum() / centred.norm() / same.norm()
    shuffled = same[torch.randperm(120, generator=torch.Generator().manual_seed(0))]
    assert alignment > 0.2
    assert alignment > 5 * ((centred * shuffled).sum() / centred.norm() / same.norm()).abs()


def test_units_do_not_matter_unless_raw():
    x, _ = classes(n=30, missing=0.2)
    changed = x * torch.tensor([1e4, 1e-3]) + torch.tensor([-5e4, 7.0])
    one = ClusterKernel(**SMALL).fit(x)(x)
    torch.testing.assert_close(ClusterKernel(**SMALL).fit(changed)(changed), one, rtol=1e-5, atol=1e-5)
    raw = {"units": "raw", **SMALL}
    one, other = ClusterKernel(**raw).fit(x)(x), ClusterKernel(**raw).fit(changed)(changed)
    assert (one - other).abs().max() > 1e-2


@pytest.mark.parametrize("floor", ["density", "none"])
def test_long_windows_do_not_underflow(floor):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(12, 2000, 1, generator=g, dtype=torch.float64)
    mean = torch.stack([torch.zeros(2000, 1), torch.full((2000, 1), 3.0)]).double()
    mixture = Mixture(torch.tensor([0.5, 0.5]).double(), mean, torch.ones(2, 1).double())
    seen = mixture.log_joint(x, floor=floor)
    expected = norm.logpdf(x.numpy()[:, None], mean.numpy())
    expected = np.maximum(expected, norm.logpdf(3)) if floor == "density" else expected
    np.testing.assert_allclose(seen, np.log(0.5) + expected.sum((2, 3)), rtol=1e-10)
    assert (seen < -1000).all()  # as a density this is 0
    fitted = ClusterKernel(components=2, draws=2, iterations=3, segment=(300, 400), floor=floor).fit(x)
    assert torch.isfinite(fitted(x)).all()


def test_patterns_of_missing_values():
    x, _ = classes(n=30, missing=0.2)
    fitted = ClusterKernel(**SMALL).fit(x)
    some = x[:4].clone()
    some[0, :, 0] = torch.nan  # an attribute
    some[1, :30] = torch.nan  # most of the time
    some[2] = torch.nan
    some[2, 5, 1] = 0.3  # all but one value
    K = fitted.kernel(some, x)
    assert torch.isfinite(K).all()
    gone = torch.full_like(x, torch.nan)
    gone[:, 0] = x[:, 0]
    assert torch.isfinite(ClusterKernel(**SMALL).fit(gone)(gone)).all()
    hidden = torch.where(x.isnan(), torch.nan, x)
    torch.testing.assert_close(fitted(hidden), fitted(x))


def test_degenerate_windows_stay_finite():
    x, _ = classes(n=30)
    x[:, :, 1] = 4.2  # does not vary
    x[15:] = x[:15]  # and every window twice
    K = ClusterKernel(**SMALL).fit(x)(x)
    assert torch.isfinite(K).all()
    torch.testing.assert_close(K[:15], K[15:])
    assert torch.isfinite(ClusterKernel(draws=2).fit(x[:2, :1])(x[:2, :1])).all()


def test_state_goes_through_a_file(tmp_path):
    x, _ = classes(n=30, missing=0.2)
    fitted = ClusterKernel(**SMALL).fit(x)
    save_file(fitted.state_dict(), tmp_path / "kernel.safetensors")
    back = ClusterKernel(**SMALL).load_state_dict(load_file(tmp_path / "kernel.safetensors"))
    assert torch.equal(back(x), fitted(x))
    assert torch.equal(fitted.to("cpu")(x), back(x))


def test_dtype_of_the_windows_is_kept():
    x, _ = classes(n=30)
    fitted = ClusterKernel(**SMALL).fit(x.float())
    K = fitted(x)
    for dtype, atol in ((torch.float32, 1e-5), (torch.bfloat16, 0.2)):
        windows = x.to(dtype).requires_grad_()
        seen = fitted(windows)
        assert seen.dtype == dtype
        assert not seen.requires_grad
        torch.testing.assert_close(seen.double(), K, atol=atol, rtol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fitted(x), K)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"components": 1}, "components is 1"),
        ({"draws": 0}, "draws is 0"),
        ({"iterations": 0}, "iterations is 0"),
        ({"ridge": -1.0}, "ridge is -1.0"),
        ({"share": 0.0}, "share is 0.0"),
        ({"floor": "normal"}, "floor is 'normal'"),
        ({"units": "metres"}, "units is 'metres'"),
        ({"normalise": "mean"}, "normalise is 'mean'"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises((InputError, TypeCheckError), match=f"{words}|Type-check"):
        ClusterKernel(**options)


def test_windows_that_cannot_be_used():
    x, _ = classes(n=30)
    fitted = ClusterKernel(**SMALL).fit(x)
    none, infinite, attribute = x.clone(), x.clone(), x.clone()
    none[3], infinite[0, 0, 0], attribute[:, :, 1] = torch.nan, torch.inf, torch.nan
    for use in (fitted.fit, fitted.transform, fitted):
        with pytest.raises(InputError, match="no value at all in 1 rows, the first is 3"):
            use(none)
        with pytest.raises(InputError, match="infinite"):
            use(infinite)
        with pytest.raises((InputError, TypeCheckError), match=r"shape \(30, 40\)|Type-check"):
            use(x[:, :, 0])
        with pytest.raises((InputError, TypeCheckError), match=r"int64|Type-check"):
            use(x.long())
    with pytest.raises(InputError, match=r"attributes \[1\]"):
        fitted.fit(attribute)
    assert torch.isfinite(fitted(attribute)).all()
    for other in (x[:, 1:], x[:, :, :1]):
        with pytest.raises(InputError, match=r"expected \(N, 40, 2\) as in fit"):
            fitted.transform(other)
    with pytest.raises(InputError, match="3 rows, expected at least components=4"):
        fitted.fit(x[:3])
    with pytest.raises(InputError, match="expected at least components=2"):
        ClusterKernel().fit(x[:1])
    with pytest.raises(InputError, match=r"segment is \(6, 41\)"):
        ClusterKernel(segment=(6, 41)).fit(x)
    with pytest.raises(InputError, match=r"attributes is \(3, 2\)"):
        ClusterKernel(attributes=(3, 2)).fit(x)
    with pytest.raises(InputError, match="call fit on training windows"):
        ClusterKernel()(x)


def test_state_that_does_not_fit():
    x, _ = classes(n=30)
    state = ClusterKernel(**SMALL).fit(x).state_dict()
    with pytest.raises(InputError, match="state has"):
        ClusterKernel().load_state_dict({k: v for k, v in state.items() if k != "mean"})
    with pytest.raises(InputError, match=r"state\['mean'\]"):
        ClusterKernel().load_state_dict(state | {"mean": state["mean"][1:]})


def test_empty_components_stay_at_the_prior():
    x = draw(missing=0.0)
    prior = Prior.of(x, smoothness=1.0, amplitude=0.1, strength=0.1)
    mixture = fit_mixture(x, torch.zeros(12, dtype=torch.int64), prior, components=2)
    assert mixture.weight.tolist() == [1, 0]
    torch.testing.assert_close(mixture.mean[1], prior.mean)
    torch.testing.assert_close(mixture.variance[1], prior.deviation.square())
    assert isinstance(prior, Prior)
