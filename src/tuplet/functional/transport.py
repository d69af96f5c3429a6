"""Entropic optimal transport between weighted rows, and barycentres of them (Cuturi, 2013; Cuturi and Doucet, 2014).

Problems are batched along a leading dimension and solved in float64 on the device of the cost.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional._sinkhorn import LIGHT, Potentials, half_squared, masses_of
from tuplet.functional.rows import unit
from tuplet.types import in_range, one_of, positive


class Transport(NamedTuple):
    """Entropic plans of ``S`` problems; without the leading dimension if the cost had none.

    Attributes:
        plan: ``(S, N, N')`` plan :math:`T`; exactly 0 where a mass is 0.
        log_plan: ``(S, N, N')`` its logarithm, which keeps its digits where the plan is tiny.
        value: ``(S,)`` the entropic cost :math:`W`.
        error: ``(S,)`` sum of absolute errors of the masses of the columns; what the solver stopped at.
    """

    plan: Tensor
    log_plan: Tensor
    value: Tensor
    error: Tensor


def sinkhorn(
    cost: Float[Tensor, "*S N P"],
    *,
    epsilon: float,
    a: Float[Tensor, "*_ _"] | None = None,
    b: Float[Tensor, "*_ _"] | None = None,
    tol: float = 1e-9,
) -> Transport:
    r"""Entropic optimal transport.

    .. math::
        W = \min_{T \in \Pi(a, b)} \langle T, C \rangle + \epsilon\, \mathrm{KL}(T \,\|\, a b^\top)

    Args:
        cost: ``(N, P)`` or ``(S, N, P)`` costs :math:`C`, finite.
        epsilon: :math:`\epsilon > 0`, in units of the cost.
        a: ``(N,)`` or ``(S, N)`` masses >= 0 of the rows; uniform when None. Rows of mass 0 take no part.
        b: masses of the columns, of the same total.
        tol: largest summed error of the masses at which to stop, for every problem; after at most 100 rounds of 20 sweeps.

    Returns:
        The `Transport`. All its parts are differentiable in ``cost``, at the solution: the value by the envelope theorem, the
        plan by the implicit function theorem. ``error`` certifies the solution. Sweeps are absorbed into the potentials in
        the log domain, so that a small ``epsilon`` does not underflow. Newton steps join where sweeps alone are slow. Cost:
        ``S N^2 (P + 20)`` per round, ``S N^3`` in the backward of a plan.

    Raises:
        InputError: if ``epsilon`` is not positive or masses do not match the cost.

    Source:
        Cuturi (2013), Sinkhorn distances; Schmitzer (2019) for the stabilisation.

    Example:
        >>> sinkhorn(1 - torch.eye(2), epsilon=0.1).plan.round(decimals=4)
        tensor([[0.5000, 0.0000],
                [0.0000, 0.5000]])
    """
    positive("epsilon", epsilon)
    shape, batched = cost.shape, cost.reshape(-1, *cost.shape[-2:])
    rows, columns = masses_of("a", a, batched, -2), masses_of("b", b, batched, -1)
    held = (rows > 0)[:, :, None] & (columns > 0)[:, None, :]
    batched = torch.where(held, batched, 0.0)
    heavy, wide = rows.clamp_min(LIGHT), columns.clamp_min(LIGHT)
    f, g, error = Potentials.apply(batched.double(), heavy, wide, epsilon, tol)
    log_plan = (f[:, :, None] + g[:, None, :] - batched.double()) / epsilon
    plan = torch.where(held, log_plan.exp(), 0.0)
    fixed = plan.detach()
    relative = log_plan.detach() - heavy.log()[:, :, None] - wide.log()[:, None, :]
    value = (fixed * batched + epsilon * fixed * relative).sum(dim=(1, 2))
    return Transport(
        plan.reshape(shape).to(cost.dtype),
        log_plan.reshape(shape).to(cost.dtype),
        value.reshape(shape[:-2]).to(cost.dtype),
        error.reshape(shape[:-2]).to(cost.dtype),
    )


def wasserstein_barycenter(
    points: Float[Tensor, "S N D"],
    start: Float[Tensor, "P D"],
    *,
    epsilon: float,
    masses: Float[Tensor, "S N"] | None = None,
    p: Float[Tensor, " P"] | None = None,
    weights: Float[Tensor, " S"] | None = None,
    steps: int = 10,
    support: Literal["free", "sphere"] = "free",
) -> Float[Tensor, "P D"]:
    r"""Move ``P`` points of fixed mass towards the barycentre of ``S`` clouds.

    .. math:: Y \leftarrow \mathrm{diag}(p)^{-1} \sum_s \lambda_s T_s^\top X_s

    where :math:`T_s` is the entropic plan of the costs :math:`|x - y|^2 / 2`.

    Args:
        points: ``(S, N, D)`` clouds.
        start: ``(P, D)`` initial points.
        epsilon: as in `sinkhorn`, for half squared distances (1 - cosine, on unit rows).
        masses: ``(S, N)`` masses of the rows, summing to 1 per cloud; uniform when None. A cloud of mass 0 takes no part.
        p: ``(P,)`` masses of the points; uniform when None.
        weights: ``(S,)`` weights :math:`\lambda` >= 0, scaled to sum to 1 over the clouds that take part.
        steps: number of updates >= 0, each with new plans.
        support: ``"free"`` points, or points kept on the unit ``"sphere"``.

    Returns:
        ``(P, D)``, differentiable in ``points`` and ``start``. A local solution: which one depends on ``start``.

    Source:
        Cuturi and Doucet (2014), Fast computation of Wasserstein barycenters, algorithm 2.

    Example:
        >>> clouds = torch.tensor([[[0.0], [10.0]], [[12.0], [2.0]]])
        >>> wasserstein_barycenter(clouds, clouds[0], epsilon=0.1)
        tensor([[ 1.],
                [11.]])
    """
    in_range("steps", steps, 0)
    one_of("support", support, ("free", "sphere"))
    a = points.new_full(points.shape[:2], 1 / points.shape[1]) if masses is None else masses
    b = start.new_full((len(start),), 1 / len(start)) if p is None else p
    share = (a.sum(dim=1) > 0).to(a.dtype) * (1.0 if weights is None else weights)
    share = share / share.sum().clamp_min(LIGHT)
    for _ in range(steps):
        cost = half_squared(points, start.expand(len(points), -1, -1))
        plans = sinkhorn(cost, epsilon=epsilon, a=a, b=b.expand(len(points), -1)).plan
        start = torch.einsum("s,snp,snd->pd", share, plans, points) / b.clamp_min(LIGHT)[:, None]
        start = unit(start) if support == "sphere" else start
    return start
