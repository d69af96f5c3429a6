"""Gromov-Wasserstein distances against POT's outputs, brute force and the identities that hold for any solver."""

from itertools import pairwise, permutations, product

import numpy as np
import ot
import pytest
import torch

from tests.oracles import transport as oracle
from tests.reference import each_case
from tuplet import InputError
from tuplet.functional._plans import consensus_kernel, gromov_value, start_plan, vertices
from tuplet.functional.gromov import gromov_barycenter, gromov_wasserstein
from tuplet.functional.kernels import rbf


def stacked(data):
    return torch.stack([data[f"K{m}"] for m in range(len(data["lambdas"]))])


def kernels(count, n, *, seed=0, noise=0.5):
    g = torch.Generator().manual_seed(seed)
    shared = torch.randn(n, 5, generator=g, dtype=torch.float64)
    return torch.stack([rbf(shared + noise * torch.randn(n, 5, generator=g, dtype=torch.float64)) for _ in range(count)])


@each_case("gw")
def test_values_plans_and_gradients_of_pot(case, data):
    K = stacked(data)
    for m in range(1, len(K)):
        x, y = K[0].clone().requires_grad_(), K[m].clone().requires_grad_()
        match = gromov_wasserstein(x, y, start="product")
        torch.testing.assert_close(match.value, data[f"gw_0_{m}"], rtol=1e-6, atol=1e-12)
        torch.testing.assert_close(match.value, data[f"const_0_{m}"] - 2 * data[f"trace_0_{m}"], rtol=1e-6, atol=1e-12)
        torch.testing.assert_close(match.plan, data[f"gw_T_0_{m}"], rtol=1e-6, atol=1e-12)
        match.value.backward()
        torch.testing.assert_close(x.grad, data[f"gw_gradK0_0_{m}"], rtol=1e-6, atol=1e-12)
        torch.testing.assert_close(y.grad, data[f"gw_gradK{m}_0_{m}"], rtol=1e-6, atol=1e-12)
        paired = gromov_wasserstein(K[0], K[m])
        torch.testing.assert_close(paired.value, data[f"gw_idinit_0_{m}"], rtol=1e-6, atol=1e-12)
        torch.testing.assert_close(paired.plan, data[f"gw_T_idinit_0_{m}"], rtol=1e-6, atol=1e-12)


@pytest.mark.slow
@each_case("gw")
def test_entropic_values_of_pot(case, data):
    K = stacked(data)
    for epsilon, m in product(("0.05", "0.01"), range(1, len(K))):
        T = data[f"egw{epsilon}_T_0_{m}"]
        match = gromov_wasserstein(
            K[0], K[m], coupling="entropic", start="product", epsilon=float(epsilon), iterations=3000, tol=1e-8
        )
        # POT stopped with marginals that are off by this much, and its values are off in proportion
        off = float((T.sum(0) - data["p"]).abs().sum() + (T.sum(1) - data["p"]).abs().sum())
        assert float(match.value) == pytest.approx(float(data[f"egw{epsilon}_0_{m}"]), rel=1e-6 + 20 * off)
        torch.testing.assert_close(match.plan, T, rtol=0, atol=1e-6 + 20 * off)
        torch.testing.assert_close(match.plan.sum(dim=1), data["p"], rtol=0, atol=1e-9)


@each_case("gw")
def test_consensus_at_the_plans_of_pot(case, data):
    K = stacked(data)
    for kind in ("bary", "ebary0.05"):
        plans = torch.stack([data[f"{kind}_T{m}"] for m in range(len(K))])
        seen = consensus_kernel(K, plans, weights=data["lambdas"])
        torch.testing.assert_close(seen, data[f"{kind}_C"], rtol=1e-6, atol=1e-9)


@each_case("gw")
def test_permuted_copy_is_found_from_the_start_of_pot(case, data):
    K = stacked(data)
    order = data["perm"]
    match = gromov_wasserstein(K[0], K[0][order][:, order], start="product")
    assert abs(float(match.value)) < 1e-12
    assert (match.plan.argmax(dim=0) == order).all()


@pytest.mark.parametrize("coupling", ["gw", "entropic", "identity"])
def test_value_equals_the_sum_over_quadruples(coupling):
    Kx, Ky = kernels(2, 5)
    match = gromov_wasserstein(Kx, Ky, coupling=coupling)
    assert float(match.value) == pytest.approx(oracle.gromov(Kx.numpy(), Ky.numpy(), match.plan.numpy()), rel=1e-10)
    if coupling == "identity":
        assert float(match.value) == pytest.approx(float((Kx - Ky).square().mean()))


def test_distance_is_bounded_by_every_start_and_above_the_best_permutation():
    for seed in range(5):
        Kx, Ky = kernels(2, 6, seed=seed, noise=2.0)
        best = min(float((Kx - Ky[list(s)][:, list(s)]).square().mean()) for s in permutations(range(6)))
        for start in ("pairing", "product"):
            match = gromov_wasserstein(Kx, Ky, start=start)
            first = start_plan(torch.full((1, 6), 1 / 6), torch.full((1, 6), 1 / 6), start).double()
            assert best - 1e-12 <= float(match.value) <= float(gromov_value(Kx[None], Ky[None], first)) + 1e-12


@pytest.mark.slow
def test_restarts_come_nearer_to_the_best_permutation_and_keep_masses():
    gaps = []
    for seed in range(3):
        K, L = kernels(2, 5, seed=seed, noise=5.0)
        best = min(float((K - L[list(o)][:, list(o)]).square().mean()) for o in permutations(range(5)))
        one, many = (float(gromov_wasserstein(K, L, restarts=r).value) for r in (0, 8))
        assert best - 1e-9 <= many <= one + 1e-12
        gaps.append((one - best, many - best))
    assert sum(m for _, m in gaps) < 0.5 * sum(o for o, _ in gaps)
    p, q = torch.tensor([0.5, 0.3, 0.2, 0.0]).double(), torch.tensor([0.1, 0.6, 0.3]).double()
    K, L = kernels(2, 4)[0], kernels(2, 3, seed=1)[1]
    for coupling in ("gw", "entropic"):
        found = [gromov_wasserstein(K, L, p=p, q=q, coupling=coupling, epsilon=0.02, restarts=r) for r in (0, 3, 3)]
        for match in found:
            torch.testing.assert_close(match.plan.sum(dim=1), p)
            torch.testing.assert_close(match.plan.sum(dim=0), q)
        assert found[1].value + found[1].divergence <= found[0].value + found[0].divergence + 1e-9
        torch.testing.assert_close(found[2].plan, found[1].plan)


def test_distance_is_zero_from_itself_and_symmetric():
    Kx, Ky = kernels(2, 12)
    assert abs(float(gromov_wasserstein(Kx, Kx).value)) < 1e-14
    forth, back = gromov_wasserstein(Kx, Ky, start="product"), gromov_wasserstein(Ky, Kx, start="product")
    assert float(forth.value) == pytest.approx(float(back.value), rel=1e-9)
    assert float(forth.value) > 0


def test_kernels_that_are_not_positive_are_matched_too():
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    distances = torch.cdist(x, x) - 1.5  # indefinite, so that the trace is concave along some lines
    for sign in (1, -1):
        for start in ("pairing", "product"):
            other = sign * distances.flip(0, 1)
            match = gromov_wasserstein(distances, other, start=start, iterations=400)
            p = np.full(8, 1 / 8)
            G0 = np.diag(p) if start == "pairing" else np.outer(p, p)
            args = (distances.numpy(), other.numpy(), p, p, "square_loss")
            expected = ot.gromov.gromov_wasserstein2(*args, G0=G0, max_iter=400)
            assert float(match.value) == pytest.approx(float(expected), rel=1e-5)
            torch.testing.assert_close(match.plan.sum(dim=0), torch.full((8,), 1 / 8, dtype=torch.float64))


def test_unequal_sizes_and_masses_equal_pot():
    Kx, Ky = kernels(1, 6)[0], kernels(1, 8, seed=1)[0]
    p = torch.tensor([0.1, 0.1, 0.2, 0.3, 0.2, 0.1], dtype=torch.float64)
    for a in (None, p):
        match = gromov_wasserstein(Kx, Ky, p=a)
        args = (Kx.numpy(), Ky.numpy(), ot.unif(6) if a is None else a.numpy(), ot.unif(8), "square_loss")
        assert float(match.value) == pytest.approx(float(ot.gromov.gromov_wasserstein2(*args)), rel=1e-6)
    copies = gromov_wasserstein(Kx, Kx.repeat(2, 2), start="product")  # every row twice: nothing to pay
    assert float(copies.value) <= float(gromov_value(Kx[None], Kx.repeat(2, 2)[None], copies.plan[None])) + 1e-12
    assert copies.plan.shape == (6, 12)


@pytest.mark.parametrize(("n", "m"), [(6, 6), (4, 8), (6, 9), (5, 7)])
def test_vertices_are_those_of_the_transport_problem(n, m):
    gain = torch.randn(2, n, m, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p, q = torch.full((2, n), 1 / n, dtype=torch.float64), torch.full((2, m), 1 / m, dtype=torch.float64)
    seen = vertices(gain, p, q)
    torch.testing.assert_close(seen.sum(dim=2), p)
    torch.testing.assert_close(seen.sum(dim=1), q)
    for G, T in zip(gain.numpy(), seen.numpy(), strict=True):
        best = (ot.emd(ot.unif(n), ot.unif(m), -G) * G).sum()
        assert (T * G).sum() == pytest.approx(best, rel=1e-9)


def test_a_hint_saves_work_and_never_changes_the_best():
    gain = torch.randn(1, 9, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p = torch.full((1, 9), 1 / 9, dtype=torch.float64)
    best = vertices(gain, p, p)
    torch.testing.assert_close(vertices(gain, p, p, near=best), best)
    torch.testing.assert_close(vertices(gain, p, p, near=best.flip(1)), best)


def test_rows_without_mass_are_as_good_as_absent():
    Kx, Ky = kernels(2, 8)
    kept = torch.tensor([True, False, True, True, True, False, True, True])
    mass = kept.double() / kept.sum()
    for coupling in ("gw", "entropic"):
        padded = gromov_wasserstein(Kx, Ky, p=mass, q=mass, coupling=coupling)
        cut = gromov_wasserstein(Kx[kept][:, kept], Ky[kept][:, kept], coupling=coupling)
        torch.testing.assert_close(padded.value, cut.value, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(padded.plan[kept][:, kept], cut.plan, rtol=1e-7, atol=1e-10)
        assert not padded.plan[~kept].any()


def test_gradient_is_that_of_the_minimum():
    Kx, Ky = (K.clone().requires_grad_() for K in kernels(2, 4))

    def value(x, y, coupling, epsilon):
        match = gromov_wasserstein((x + x.mT) / 2, (y + y.mT) / 2, coupling=coupling, epsilon=epsilon, tol=1e-12)
        return match.value + match.divergence

    for coupling, epsilon in (("gw", 1.0), ("identity", 1.0), ("entropic", 0.002)):
        assert torch.autograd.gradcheck(lambda x, y: value(x, y, coupling, epsilon), (Kx, Ky), atol=1e-6)  # noqa: B023


def test_batch_equals_single_problems():
    K = kernels(4, 7)
    for coupling in ("gw", "entropic", "identity"):
        together = gromov_wasserstein(K[0], K[1:], coupling=coupling)
        for m in range(3):
            alone = gromov_wasserstein(K[0], K[m + 1], coupling=coupling)
            torch.testing.assert_close(together.value[m], alone.value, rtol=1e-7, atol=1e-10)


def test_barycenter_of_one_kernel_or_of_equal_kernels_is_that_kernel():
    K = kernels(1, 9)
    for coupling in ("gw", "identity"):
        for stack in (K, K.expand(3, -1, -1)):
            seen = gromov_barycenter(stack, coupling=coupling)
            torch.testing.assert_close(seen.kernel, K[0], rtol=1e-12, atol=1e-12)
            assert seen.values.abs().max() < 1e-12


def test_barycenter_minimises_over_kernels_and_falls_with_every_round():
    K, w = kernels(3, 10, noise=1.5), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    objective = [float((w * gromov_barycenter(K, weights=w, rounds=r).values).sum()) for r in (1, 2, 3, 20)]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(objective))
    best = gromov_barycenter(K, weights=w)
    identity = gromov_barycenter(K, weights=w, coupling="identity")
    assert objective[-1] <= float((w * identity.values).sum()) + 1e-12
    C = best.kernel.clone().requires_grad_()  # at its plans no other kernel is better
    (grad,) = torch.autograd.grad((w * gromov_value(C.expand(3, -1, -1), K, best.plans)).sum(), C)
    assert grad.abs().max() < 1e-12


def test_barycenter_does_not_depend_on_the_order_of_kernels():
    K, w = kernels(3, 8), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    order = torch.tensor([2, 0, 1])
    for coupling in ("gw", "entropic", "identity"):
        one = gromov_barycenter(K, weights=w, coupling=coupling).kernel
        other = gromov_barycenter(K[order], weights=w[order], coupling=coupling).kernel
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("coupling", ["gw", "entropic"])
def test_barycenter_of_unequal_sizes(coupling):
    K = [kernels(1, n, seed=n)[0] for n in (6, 8, 5)]
    seen = gromov_barycenter(K, coupling=coupling)
    assert seen.kernel.shape == (8, 8)
    for k, T in zip(K, seen.plans, strict=True):
        torch.testing.assert_close(T.sum(dim=0)[: len(k)], torch.full((len(k),), 1 / len(k), dtype=torch.float64))
        assert not T[:, len(k) :].any()
    assert torch.isfinite(seen.values).all()


def test_a_kernel_without_mass_has_no_say():
    K = kernels(3, 6)
    masses = torch.full((3, 6), 1 / 6, dtype=torch.float64)
    masses[1] = 0
    for coupling in ("gw", "entropic", "identity"):
        seen = gromov_barycenter(K, masses=masses, coupling=coupling)
        torch.testing.assert_close(seen.kernel, gromov_barycenter(K[[0, 2]], coupling=coupling).kernel)
        assert seen.values[1] == 0


def test_paired_kernels_have_a_better_consensus_than_pot_finds():
    K = kernels(3, 32, noise=0.3)
    ours = gromov_barycenter(K)
    args = ([k.numpy() for k in K], [ot.unif(32)] * 3, ot.unif(32), [1 / 3] * 3, "square_loss")
    C = ot.gromov.gromov_barycenters(32, *args, random_state=0)
    pot = [ot.gromov.gromov_wasserstein2(C, k.numpy(), ot.unif(32), ot.unif(32), "square_loss") for k in K]
    assert float(ours.values.mean()) < np.mean(pot)


def test_bad_options_are_refused():
    K = torch.eye(3)
    with pytest.raises(InputError, match=r"epsilon is 0"):
        gromov_wasserstein(K, K, epsilon=0.0)
    with pytest.raises(InputError, match=r"identity.*equal"):
        gromov_wasserstein(K, K, coupling="identity", p=torch.tensor([0.5, 0.5, 0.0]))
    with pytest.raises(InputError, match=r"'pairing' for 3 and 2"):
        gromov_wasserstein(K, torch.eye(2), start="pairing")
    with pytest.raises(InputError, match=r"start has shape \(2, 2\), expected \(3, 3\)"):
        gromov_wasserstein(K, K, start=torch.eye(2))
