"""Kernel densities, uniformity and the Hoelder divergence against loops, closed forms and float64."""

import itertools

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from tests.oracles import uniformity as oracle
from tests.reference import each_case, leaves
from tuplet import InputError
from tuplet.functional.density import log_density, median_distance, squared_distance
from tuplet.functional.divergence import holder_divergence, holder_sweep, uniformity


def rows(n, d, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(n, d, generator=g, dtype=torch.float64), dim=1).to(dtype)


@pytest.mark.parametrize("geometry", ["euclidean", "geodesic"])
@pytest.mark.parametrize("reduction", ["row", "global"])
@pytest.mark.parametrize("tau", [0.2, 1.0])
def test_uniformity_equals_loops(geometry, reduction, tau):
    z = rows(7, 3)
    seen = uniformity(z, tau=tau, geometry=geometry, reduction=reduction)
    expected = oracle.uniformity(z.numpy(), tau=tau, geometry=geometry, reduction=reduction)
    assert float(seen) == pytest.approx(expected, rel=1e-10)


@each_case("align_uniform")
def test_global_uniformity_equals_the_authors_program_in_value_and_gradient(case, data):
    z = leaves(data)
    values = torch.stack([uniformity(v, tau=0.5, reduction="global") for v in z])
    np.testing.assert_allclose(values.detach(), data["uniform_t2"], rtol=1e-9)
    wide = [float(uniformity(v.detach(), tau=1.0, reduction="global")) for v in z]
    np.testing.assert_allclose(wide, data["uniform_t05"], rtol=1e-9)
    values.sum().backward()
    for k, v in enumerate(z):
        np.testing.assert_allclose(v.grad, data[f"grad_uniform_t2_z{k}"], rtol=1e-9, atol=1e-12)
    for v in z:  # Jensen: the mean of logarithms is at most the logarithm of the mean
        assert uniformity(v, tau=0.5) < uniformity(v, tau=0.5, reduction="global")
    pairs = itertools.combinations(z, 2)
    np.testing.assert_allclose(
        [float(squared_distance(a, b).mean().detach()) for a, b in pairs], data["align_alpha2"], rtol=1e-9
    )


def test_two_rows_have_the_closed_form():
    z = rows(2, 5)
    expected = -float((z[0] - z[1]).square().sum()) / (2 * 0.3**2)
    for reduction in ("row", "global"):
        assert float(uniformity(z, tau=0.3, reduction=reduction)) == pytest.approx(expected)


def test_gradient_is_the_symmetric_one_and_not_the_printed_one():
    n, tau = 8, 0.4
    z = rows(n, 4).requires_grad_()
    uniformity(z, tau=tau).backward()
    k = torch.exp(-torch.cdist(z.detach(), z.detach()).square() / (2 * tau**2)).fill_diagonal_(0)
    p = k / k.sum(dim=1, keepdim=True)
    apart = z.detach()[:, None] - z.detach()
    true = -((p + p.T)[:, :, None] * apart).sum(dim=1) / (n * tau**2)
    printed = -(p[:, :, None] * apart).sum(dim=1) / tau**2
    torch.testing.assert_close(z.grad, true, rtol=1e-9, atol=1e-12)
    assert (z.grad - printed).norm() > 0.1 * printed.norm()


@pytest.mark.parametrize("tau", [0.07, 0.01])
@pytest.mark.parametrize("geometry", ["euclidean", "geodesic"])
def test_float32_does_not_underflow(tau, geometry):
    z = rows(32, 64, dtype=torch.float32)
    values, grads = [], []
    for v in (z, z.double()):
        leaf = v.clone().requires_grad_()
        values.append(uniformity(leaf, tau=tau, geometry=geometry))
        values[-1].backward()
        along = (leaf.grad * v).sum(dim=1, keepdim=True) * v  # what a unit row can follow is across it
        grads.append((leaf.grad - along).double())
    assert torch.exp(-torch.tensor(2.0) / (2 * tau**2)) == 0 or tau == 0.07  # what a plain sum would take the log of
    assert float(values[0].detach()) == pytest.approx(float(values[1].detach()), rel=1e-5)
    assert torch.nn.functional.cosine_similarity(grads[0].flatten(), grads[1].flatten(), dim=0) > 0.9999


@pytest.mark.parametrize("angle", [1e-7, 1e-5, 9e-3, 0.3, 1.5, 3.0, 3.14159])
def test_geodesic_distance_equals_the_arc_cosine_and_survives_the_ends(angle):
    a = torch.tensor(angle, dtype=torch.float64)
    for dtype, tol in ((torch.float64, 1e-8), (torch.float32, 2e-4)):
        x = torch.tensor([[1.0, 0.0]], dtype=dtype, requires_grad=True)
        y = torch.stack([a.cos(), a.sin()])[None].to(dtype)
        distance = squared_distance(x, y, geometry="geodesic")
        distance.sum().backward()
        assert torch.isfinite(x.grad).all()
        assert float(distance.detach().sqrt()) == pytest.approx(angle, rel=tol)
        assert float(x.grad[0, 1]) == pytest.approx(-2 * angle, rel=max(tol, 1e-6), abs=tol)  # across x: -2 angle
    kernel = []
    for dtype in (torch.float64, torch.float32):
        x = torch.tensor([[1.0, 0.0]], dtype=dtype, requires_grad=True)
        value = log_density(x, torch.stack([a.cos(), a.sin()])[None].to(dtype), tau=1.0, geometry="geodesic")
        value.sum().backward()
        assert torch.isfinite(x.grad).all()
        kernel.append((float(value.detach()), float(x.grad[0, 1])))
    assert kernel[0][0] == pytest.approx(-(angle**2) / 2, rel=1e-5, abs=1e-14)
    exact = 1e-7 if 1e-4 < angle < 3.1 else 1e-5  # chords of unit rows keep no more digits at the ends
    assert kernel[0][1] == pytest.approx(angle, rel=exact)
    assert kernel[1][0] == pytest.approx(kernel[0][0], rel=2e-3, abs=1e-6)


def test_angles_of_equal_opposite_and_zero_rows_have_finite_gradients():
    for y in ([1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]):
        for x in ([1.0, 0.0], [0.0, 0.0]):
            a, b = torch.tensor([x], requires_grad=True), torch.tensor([y], requires_grad=True)
            (squared_distance(a, b, geometry="geodesic") + log_density(a, b, tau=1.0, geometry="geodesic")).backward()
            assert torch.isfinite(a.grad).all()
            assert torch.isfinite(b.grad).all()


def test_geodesic_kernel_has_its_own_gradient():
    leaf = (1.3 * rows(5, 4)).requires_grad_()

    def value(z):
        return uniformity(torch.nn.functional.normalize(z, dim=1), tau=0.7, geometry="geodesic")

    assert torch.autograd.gradcheck(value, (leaf,))


@pytest.mark.parametrize("geometry", ["euclidean", "geodesic"])
@pytest.mark.parametrize("reduction", ["row", "global"])
def test_masks_groups_blocks_and_processes(geometry, reduction):
    z = rows(9, 4)
    valid = torch.ones(9, dtype=torch.bool)
    valid[[1, 5]] = False
    options = {"tau": 0.5, "geometry": geometry, "reduction": reduction}
    kept = uniformity(z[valid], **options)
    torch.testing.assert_close(uniformity(z, valid=valid, **options), kept)
    shares = [uniformity(z, valid=valid, rows=slice(3 * r, 3 * r + 3), block_size=2, **options) for r in range(3)]
    torch.testing.assert_close(torch.stack(shares).mean(), kept)
    group = torch.tensor([0, 0, 1, 2, 3, 4, 5, 6, 7])
    apart = torch.cdist(z, z)
    squares = apart.square() if geometry == "euclidean" else (2 * (apart / 2).clamp(max=1).asin()).square()
    kernels = torch.exp(-squares / 0.5) * (group[:, None] != group)
    means = kernels.sum(dim=1) / (group[:, None] != group).sum(dim=1)
    expected = means.log().mean() if reduction == "row" else means.mean().log()
    torch.testing.assert_close(uniformity(z, group=group, **options), expected)
    nothing = uniformity(z, group=torch.zeros(9, dtype=torch.long), **options)
    assert nothing == 0
    assert uniformity(z, valid=torch.zeros(9, dtype=torch.bool), **options) == 0


def test_duplicates_feel_no_force_from_each_other():
    z = rows(1, 4).repeat(3, 1).requires_grad_()
    value = uniformity(z, tau=0.07)
    value.backward()
    assert abs(float(value.detach())) < 1e-12
    assert z.grad.abs().max() < 1e-9


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("mode", ["plugin", "loo_both"])
def test_holder_equals_loops(m, mode):
    sets = [rows(6, 4, seed=k) for k in range(m)]
    z = [v.numpy() for v in sets]
    one = holder_divergence(sets, tau=0.6, mode=mode, block_size=4)
    assert float(one) == pytest.approx(oracle.holder(z, tau=0.6, mode=mode), rel=1e-9)
    every = holder_divergence(sets, tau=0.6, mode=mode, anchor="average")
    assert float(every) == pytest.approx(oracle.holder(z, tau=0.6, mode=mode, anchors=range(m)), rel=1e-9)
    turned = holder_divergence(sets[1:] + sets[:1], tau=0.6, mode=mode, anchor="average")
    torch.testing.assert_close(turned, every)
    if m > 2:  # anchored at the first set, it depends on which that is
        assert not torch.allclose(holder_divergence(sets[1:] + sets[:1], tau=0.6, mode=mode), one)


@pytest.mark.parametrize("m", [2, 3, 5])
@pytest.mark.parametrize("tau", [0.01, 0.07, 0.5])
def test_identical_sets_have_no_divergence(m, tau):
    for dtype in (torch.float32, torch.float64):
        z = rows(16, 8, dtype=dtype)
        for mode in ("plugin", "loo_both"):
            value = float(holder_divergence([z] * m, tau=tau, mode=mode))
            assert value == pytest.approx(0, abs=1e-9 if dtype == torch.float64 else 2e-3)


def test_two_sets_give_the_cauchy_schwarz_divergence():
    x, y = rows(12, 5), rows(12, 5, seed=1)

    def inner(a, b):  # of the mean embeddings
        return torch.exp(-torch.cdist(a, b).square() / (2 * 0.4**2)).mean()

    expected = -torch.log(inner(x, y) / (inner(x, x) * inner(y, y)).sqrt())
    torch.testing.assert_close(holder_divergence([x, y], tau=0.4), expected)
    assert expected > 0


def test_order_of_rows_matters_only_to_leave_one_out_of_both():
    sets = [rows(10, 4, seed=k) for k in range(3)]
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    for mode in ("plugin", "loo_both"):
        value = holder_divergence(sets, tau=0.5, mode=mode)
        torch.testing.assert_close(holder_divergence([z[order] for z in sets], tau=0.5, mode=mode), value)
    mixed = [sets[0], sets[1][order], sets[2]]
    torch.testing.assert_close(holder_divergence(mixed, tau=0.5), holder_divergence(sets, tau=0.5))
    loo = [holder_divergence(s, tau=0.5, mode="loo_both") for s in (sets, mixed)]
    assert not torch.allclose(*loo)


def test_constants_cancel_for_equal_bandwidths_and_are_kept_for_others():
    sets = [rows(8, 3, seed=k) for k in range(3)]
    torch.testing.assert_close(holder_divergence(sets, tau=[0.5] * 3), holder_divergence(sets, tau=0.5))
    taus = (0.4, 0.5, 0.6)
    with pytest.warns(UserWarning, match="no divergence"):
        seen = holder_divergence(sets, tau=taus)

    def density(x, k):
        squared = torch.cdist(x, sets[k]).square()
        return (torch.exp(-squared / (2 * taus[k] ** 2)) / (2 * torch.pi * taus[k] ** 2) ** 1.5).mean(dim=1)

    spread = torch.stack([density(z, k).square().mean().log() for k, z in enumerate(sets)]).mean()
    joint = (density(sets[0], 1) * density(sets[0], 2)).mean().log()
    torch.testing.assert_close(seen, spread - joint)


@pytest.mark.parametrize("tau", [0.07, 0.01])
def test_the_divergence_stays_finite_in_float32(tau):
    sets = [rows(24, 32, seed=k, dtype=torch.float32) for k in range(3)]
    for mode in ("plugin", "loo_both"):
        leaf = [z.clone().requires_grad_() for z in sets]
        value = holder_divergence(leaf, tau=tau, mode=mode, anchor="average")
        value.backward()
        exact = holder_divergence([z.double() for z in sets], tau=tau, mode=mode, anchor="average")
        assert float(value.detach()) == pytest.approx(float(exact), rel=1e-5, abs=1e-2)
        assert all(torch.isfinite(z.grad).all() for z in leaf)


def test_leaving_matches_out_compares_distributions():
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(200, 4, generator=g) for _ in range(2))

    def divergence(y, tau, mode="loo_both"):
        return float(holder_divergence([x, y], tau=tau, mode=mode, anchor="average"))

    assert all(divergence(y + 1.5, tau) > divergence(y, tau) + 0.1 for tau in (0.5, 1.0))
    assert abs(divergence(y, 1.0)) < 0.1
    swept = holder_sweep([x, y])
    assert list(swept)[:3] == [0.265, 0.5, 1.0]
    assert list(swept)[3] == pytest.approx(median_distance(torch.cat([x, y])))
    assert swept[0.5] == pytest.approx(divergence(y, 0.5))
    assert divergence(y, 0.265, mode="plugin") > 1  # pairing, not distribution


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda z: holder_divergence([z], tau=1.0), "sets holds 1 tensor"),
        (lambda z: holder_divergence([z, z], tau=[1.0]), "1 bandwidths for 2 sets"),
        (lambda z: holder_divergence([z, z[:2]], tau=1.0, mode="loo_both"), "equal numbers of rows"),
        (lambda z: holder_divergence([z, z], tau=1.0, mode="loo"), "mode is 'loo'"),
        (lambda z: uniformity(z, tau=0.0), "tau is 0"),
        (lambda z: uniformity(z, tau=1.0, geometry="sphere"), "geometry is 'sphere'"),
        (lambda z: uniformity(z, tau=1.0, reduction="mean"), "reduction is 'mean'"),
        (lambda z: uniformity(z, tau=1.0, block_size=0), "block_size is 0"),
    ],
)
def test_bad_options_are_named(make, message):
    with pytest.raises((InputError, TypeCheckError), match=f"{message}|Expected type: typing"):
        make(rows(4, 3))


@pytest.mark.parametrize("geometry", ["euclidean", "geodesic"])
@pytest.mark.parametrize("masked", [False, True])
def test_densities_of_many_rows_are_those_of_few(geometry, masked):
    g = torch.Generator().manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(600, 5, generator=g, dtype=torch.float64), dim=1)
    kept = torch.rand(600, 600, generator=g) < 0.5
    kept[3] = False  # a row without centres
    found = []
    for step in (600, 100):  # in one piece, and in pieces that are too short for the other way
        rows = x.clone().requires_grad_()
        parts = [slice(i, i + step) for i in range(0, 600, step)]
        keep = [(lambda rows, p=p: kept[p][rows]) if masked else None for p in parts]
        options = {"tau": 0.3, "geometry": geometry}
        density = torch.cat(
            [log_density(rows[p], rows, own=p.start, keep=k, **options) for p, k in zip(parts, keep, strict=True)]
        )
        (density * torch.linspace(-1, 2, 600, dtype=torch.float64)).sum().backward()
        found.append((density.detach(), rows.grad))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    assert found[0][0].std() > 0.01
