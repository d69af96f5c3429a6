"""Entropic transport against POT, exact assignments and what defines a solution."""

from itertools import pairwise

import numpy as np
import ot
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from tests.oracles import transport as oracle
from tuplet import InputError
from tuplet.functional._sinkhorn import half_squared
from tuplet.functional.transport import sinkhorn, wasserstein_barycenter


def draw(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def masses(n, seed):
    a = draw(n, seed=seed) + 0.1
    return a / a.sum()


@pytest.mark.parametrize(("n", "m"), [(6, 6), (5, 9), (1, 4)])
@pytest.mark.parametrize("epsilon", [0.5, 0.05])
def test_plan_equals_pot(n, m, epsilon):
    cost, a, b = draw(n, m), masses(n, 1), masses(m, 2)
    seen = sinkhorn(cost, epsilon=epsilon, a=a, b=b, tol=1e-12)
    expected = ot.sinkhorn(a.numpy(), b.numpy(), cost.numpy(), epsilon, numItermax=50_000, stopThr=1e-13)
    np.testing.assert_allclose(seen.plan.numpy(), expected, rtol=1e-7, atol=1e-12)
    value = (expected * cost.numpy()).sum() + epsilon * oracle.divergence(expected, a.numpy(), b.numpy())
    assert float(seen.value) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("epsilon", [1.0, 1e-1, 1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("kind", ["random", "nearly a permutation", "flat"])
def test_solution_has_the_form_and_the_masses_that_define_it(epsilon, kind):
    n = 40
    cost = {"random": draw(n, n), "nearly a permutation": 1 - 0.9 * torch.eye(n), "flat": torch.ones(n, n)}[kind].double()
    a, b = masses(n, 1), masses(n, 2)
    seen = sinkhorn(cost, epsilon=epsilon, a=a, b=b, tol=1e-9)
    assert float(seen.error) <= 1e-9
    torch.testing.assert_close(seen.plan.sum(1), a, rtol=0, atol=1e-9)
    torch.testing.assert_close(seen.plan.sum(0), b, rtol=0, atol=1e-9)
    potential = epsilon * seen.log_plan + cost  # f + g: its double differences vanish
    mixed = potential - potential[:1] - potential[:, :1] + potential[0, 0]
    assert mixed.abs().max() < 1e-9


def test_small_epsilon_gives_the_exact_assignment():
    cost = draw(12, 12)
    rows, columns = linear_sum_assignment(cost.numpy())
    exact = cost.numpy()[rows, columns].mean()
    seen = sinkhorn(cost, epsilon=1e-4)
    assert (seen.plan.argmax(dim=1).numpy() == columns).all()
    assert float(seen.value) == pytest.approx(exact, abs=1e-4 * np.log(12) + 1e-9)
    assert float(seen.value) >= exact - 1e-9


def test_batch_equals_single_problems():
    cost, a = draw(3, 5, 4), torch.stack([masses(5, k) for k in range(3)])
    together = sinkhorn(cost, epsilon=0.1, a=a)
    for k in range(3):
        alone = sinkhorn(cost[k], epsilon=0.1, a=a[k])
        torch.testing.assert_close(together.plan[k], alone.plan, rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(together.value[k], alone.value)


def test_rows_without_mass_take_no_part():
    cost, a = draw(6, 5), torch.tensor([0.25, 0, 0.25, 0.25, 0, 0.25], dtype=torch.float64)
    cost.requires_grad_()
    seen, kept = sinkhorn(cost, epsilon=0.1, a=a), a > 0
    torch.testing.assert_close(seen.plan[kept], sinkhorn(cost[kept], epsilon=0.1).plan)
    assert not seen.plan[~kept].any()
    (grad,) = torch.autograd.grad(seen.plan.square().sum() + seen.value, cost)
    assert not grad[~kept].any()
    assert grad[kept].any()


@pytest.mark.parametrize("epsilon", [0.5, 0.05, 0.01])
def test_gradients_of_value_and_plan(epsilon):
    cost, weight = draw(2, 4, 3).requires_grad_(), draw(2, 4, 3, seed=1)
    assert torch.autograd.gradcheck(lambda c: sinkhorn(c, epsilon=epsilon, tol=1e-13).value, (cost,), atol=1e-6)
    assert torch.autograd.gradcheck(
        lambda c: (sinkhorn(c, epsilon=epsilon, tol=1e-13).plan * weight).sum(dim=(1, 2)), (cost,), atol=1e-5
    )


def test_permuted_copies_cost_nothing_and_their_plans_close_a_loop():
    g = torch.Generator().manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(8, 6, generator=g, dtype=torch.float64), dim=1)
    clouds = [x, *(x[torch.randperm(8, generator=g)] for _ in range(2))]

    def plan(i, j):
        return sinkhorn(half_squared(clouds[i][None], clouds[j][None])[0], epsilon=1e-3).plan

    for i, j in ((0, 1), (1, 2), (2, 0)):
        cost = half_squared(clouds[i][None], clouds[j][None])[0]
        assert float((plan(i, j) * cost).sum()) == pytest.approx(0, abs=1e-12)
    loop = (8 * plan(0, 1)) @ (8 * plan(1, 2)) @ (8 * plan(2, 0))
    torch.testing.assert_close(loop, torch.eye(8, dtype=torch.float64), rtol=0, atol=1e-8)


def test_float32_is_solved_in_float64():
    cost = draw(6, 6)
    seen = sinkhorn(cost.float(), epsilon=0.01)
    assert seen.plan.dtype == torch.float32
    torch.testing.assert_close(seen.plan.double(), sinkhorn(cost.float().double(), epsilon=0.01).plan, rtol=1e-5, atol=1e-7)


def test_barycenter_of_gaussian_samples_in_one_dimension_averages_the_quantiles():
    a, b = draw(30).sort()[0], (3 + 2 * draw(30, seed=1)).sort()[0]
    shuffled = b[torch.randperm(30, generator=torch.Generator().manual_seed(0))]
    points = torch.stack([a, shuffled])[:, :, None]
    seen = wasserstein_barycenter(points, points[0], epsilon=1e-5, steps=3)
    torch.testing.assert_close(seen[:, 0].sort()[0], (a + b) / 2, rtol=0, atol=2e-2)
    weighted = wasserstein_barycenter(
        points, points[0], epsilon=1e-5, steps=3, weights=torch.tensor([3.0, 1.0], dtype=torch.float64)
    )
    torch.testing.assert_close(weighted[:, 0].sort()[0], (3 * a + b) / 4, rtol=0, atol=2e-2)


def test_every_update_of_the_barycenter_lowers_its_cost():
    points = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for support in ("free", "sphere"):
        clouds = torch.nn.functional.normalize(points, dim=2) if support == "sphere" else points
        costs = []
        for steps in range(5):
            y = wasserstein_barycenter(clouds, clouds[0], epsilon=0.1, steps=steps, support=support)
            costs.append(float(sinkhorn(half_squared(clouds, y.expand(3, -1, -1)), epsilon=0.1).value.mean()))
        assert all(later <= earlier + 1e-9 for earlier, later in pairwise(costs))
        assert costs[-1] < costs[0]


def test_bad_options_are_refused():
    with pytest.raises(InputError, match=r"epsilon is 0"):
        sinkhorn(torch.ones(2, 2), epsilon=0.0)
    with pytest.raises(InputError, match=r"^a has shape \(3,\), expected \(2,\)"):
        sinkhorn(torch.ones(2, 4), epsilon=0.1, a=torch.ones(3) / 3)
    with pytest.raises(InputError, match=r"^b has shape"):
        sinkhorn(torch.ones(2, 4), epsilon=0.1, b=torch.ones(3) / 3)


def test_several_threads_solve_what_one_does():
    """Batched LU of large systems fails in oneMKL with several threads; the solver must not depend on it."""
    g = torch.Generator().manual_seed(0)
    shared = torch.randn(512, 32, generator=g, dtype=torch.float64)
    x = [torch.nn.functional.normalize(shared + torch.randn(512, 32, generator=g), dim=1) for _ in range(4)]
    cost = torch.stack([1 - x[0] @ x[k].mT for k in (1, 2, 3)])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        plans = sinkhorn(cost, epsilon=0.05, tol=1e-3)
    finally:
        torch.set_num_threads(threads)
    assert torch.allclose(plans.plan.sum(dim=1), torch.full((3, 512), 1 / 512, dtype=torch.float64), atol=1e-3)
