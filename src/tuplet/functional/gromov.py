"""Gromov-Wasserstein distances between kernels, and their barycentre (Peyre, Cuturi and Solomon, 2016).

Kernels are symmetric. Problems are batched along a leading dimension; plans are found in float64 and are constants to
autograd. Rows of mass 0 take no part, which is how kernels of fewer rows join a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional._plans import consensus_kernel, gromov_plan, gromov_value, start_plan
from tuplet.functional._sinkhorn import masses_of
from tuplet.types import InputError, in_range, one_of, positive

Coupling = Literal["gw", "entropic", "identity"]


class Matching(NamedTuple):
    r"""How two kernels match; without the leading dimension if neither had one.

    Attributes:
        value: ``(S,)`` the distance at the plan.
        plan: ``(S, N, P)`` the plan :math:`T`.
        divergence: ``(S,)`` :math:`\epsilon\, \mathrm{KL}(T \| p q^\top)` for ``"entropic"``, else 0. The gradient of
            ``value`` is that of ``value + divergence``, which the plan minimises.
    """

    value: Tensor
    plan: Tensor
    divergence: Tensor


class Barycenter(NamedTuple):
    """A consensus of ``S`` kernels.

    Attributes:
        kernel: ``(N, N)`` consensus :math:`C`.
        plans: ``(S, N, P)`` plans between it and the kernels.
        values: ``(S,)`` distances at these plans.
    """

    kernel: Tensor
    plans: Tensor
    values: Tensor


def gromov_wasserstein(
    Kx: Float[Tensor, "*_ N N"],
    Ky: Float[Tensor, "*_ P P"],
    *,
    p: Float[Tensor, "*_ N"] | None = None,
    q: Float[Tensor, "*_ P"] | None = None,
    coupling: Coupling = "gw",
    start: Float[Tensor, "*_ _ _"] | Literal["pairing", "product"] | None = None,
    epsilon: float = 0.001,
    iterations: int = 200,
    tol: float = 1e-9,
    restarts: int = 0,
) -> Matching:
    r"""Squared-loss Gromov-Wasserstein distance between kernels.

    .. math::
        d = \min_{T \in \Pi(p, q)} \sum_{ijkl} T_{ij} T_{kl} (K^x_{ik} - K^y_{jl})^2
          = p^\top (K^x)^{2} p + q^\top (K^y)^{2} q - 2 \max_T \mathrm{tr}(K^x T K^y T^\top)

    with squares taken element by element.

    Args:
        Kx: ``(N, N)`` or ``(S, N, N)``, symmetric.
        Ky: ``(P, P)`` or ``(S, P, P)``, symmetric.
        p: ``(N,)`` or ``(S, N)`` masses >= 0 that sum to 1; uniform when None.
        q: masses of the rows of ``Ky``.
        coupling: ``"gw"``: conditional gradients with exact assignments; ``"entropic"``: mirror steps on the entropic problem;
            ``"identity"``: row ``i`` with row ``i``, for equal masses.
        start: ``"pairing"`` keeps as much mass as possible on the diagonal, ``"product"`` is :math:`p q^\top`, or a plan.
            None is the pairing for kernels of one size, else the product.
        epsilon: :math:`\epsilon > 0` of ``"entropic"``, in units of squared kernel entries; matches nothing above about the
            variance of the entries over :math:`\log N`.
        iterations: largest number of assignments or mirror steps.
        tol: gain of the distance (``"gw"``) or change of the plan (``"entropic"``) at which to stop.
        restarts: further starts; the best plan of all counts. First the product (the pairing if ``start`` is the product), then
            rows in random orders, the same in every call. For kernels that are not paired: one start may end in a poor optimum.

    Returns:
        The `Matching`; its value is differentiable in both kernels at a fixed plan (the envelope theorem), and without the
        entropy. Except for ``"identity"`` a local optimum, which depends on the start. Cost per step: ``N^3``; assignments
        run on the CPU, and unequal masses need a linear programme instead, which is slower. The entropic plan of a kernel
        with itself is not the identity, so its value is above 0.

    Raises:
        InputError: for a bad option or shape, or ``"identity"`` with unequal masses.

    Source:
        Peyre, Cuturi and Solomon (2016), propositions 1 and 2; Vayer et al. (2019) for conditional gradients. UniOMA
        (Zu et al.), equation 1, prints the trace alone, which is a similarity.

    Example:
        >>> K = torch.tensor([[1.0, 0.9, 0.1], [0.9, 1.0, 0.2], [0.1, 0.2, 1.0]])
        >>> order = torch.tensor([1, 2, 0])
        >>> match = gromov_wasserstein(K, K[order][:, order], start="product")
        >>> round(abs(float(match.value)), 6), match.plan.argmax(dim=0).tolist()
        (0.0, [1, 2, 0])
    """
    in_range("iterations", iterations, 1)
    in_range("restarts", restarts, 0)
    one_of("coupling", coupling, ("gw", "entropic", "identity"))
    positive("epsilon", epsilon)
    single = Kx.ndim == 2 and Ky.ndim == 2
    count = max(len(k) if k.ndim == 3 else 1 for k in (Kx, Ky))
    Kx, Ky = Kx.expand(count, -1, -1), Ky.expand(count, -1, -1)
    a, b = masses_of("p", p, Kx), masses_of("q", q, Ky)
    paired = a.shape == b.shape
    if coupling == "identity":
        if not paired or not (torch.compiler.is_compiling() or torch.allclose(a, b)):
            raise InputError("coupling is 'identity', which needs p equal to q; use 'gw' or 'entropic' for other masses")
        plan = torch.diag_embed(a)
    else:
        if start is None:
            start = "pairing" if paired else "product"
        first = start.detach().double().expand(count, -1, -1) if isinstance(start, Tensor) else start_plan(a, b, start)
        if first.shape[1:] != (a.shape[1], b.shape[1]):
            raise InputError(f"start has shape {tuple(first.shape[1:])}, expected {(a.shape[1], b.shape[1])}")
        smoothing = epsilon * (coupling == "entropic")
        given = Kx.detach().double(), Ky.detach().double(), a, b
        plan = gromov_plan(*given, first, smoothing, iterations, tol)
        for other in _others(a, b, "pairing" if paired and start == "product" else "product", restarts):
            found = gromov_plan(*given, other, smoothing, iterations, tol)
            costs = [gromov_value(*given[:2], t) + smoothing * _divergence(t, a, b) for t in (plan, found)]
            plan = torch.where((costs[1] < costs[0])[:, None, None], found, plan)
    plan = plan.to(Kx.dtype)
    value = gromov_value(Kx, Ky, plan)
    divergence = value.new_zeros(count)
    if coupling == "entropic":
        divergence = epsilon * _divergence(plan, a, b).to(value.dtype)
    return Matching(value[0], plan[0], divergence[0]) if single else Matching(value, plan, divergence)


def _others(p: Tensor, q: Tensor, second: Literal["pairing", "product"], count: int) -> Iterator[Tensor]:
    """Give further starts: a plain one, then rows in random orders that are matched one after the other, by their masses."""
    if not count:
        return
    yield start_plan(p, q, second)
    draw = torch.Generator().manual_seed(0)
    for _ in range(count - 1):
        left, right = (torch.randperm(m.shape[1], generator=draw).to(m.device) for m in (p, q))
        upper, lower = p[:, left].cumsum(dim=1), q[:, right].cumsum(dim=1)
        # mass of a row lies between its cumulated sums; a plan is the overlap of two rows' intervals
        high = torch.minimum(upper[:, :, None], lower[:, None, :])
        low = torch.maximum((upper - p[:, left])[:, :, None], (lower - q[:, right])[:, None, :])
        plan = (high - low).clamp_min(0)
        yield plan[:, left.argsort()][:, :, right.argsort()]


def _divergence(plan: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """Return KL of plans to the product of their masses, ``(S,)``."""
    ratio = torch.where(plan > 0, plan / (p[:, :, None] * q[:, None, :]).clamp_min(1e-30), 1.0)
    return (plan * ratio.log()).sum(dim=(1, 2))


def gromov_barycenter(
    kernels: Float[Tensor, "S P P"] | Sequence[Float[Tensor, "_ _"]],
    *,
    weights: Float[Tensor, " S"] | None = None,
    masses: Float[Tensor, "S P"] | None = None,
    p: Float[Tensor, " N"] | None = None,
    coupling: Coupling = "gw",
    epsilon: float = 0.001,
    rounds: int = 20,
) -> Barycenter:
    r"""Consensus of kernels, :math:`\arg\min_C \sum_s \lambda_s d(C, K_s)`, by turns with the plans.

    Args:
        kernels: ``(S, P, P)`` symmetric kernels of paired rows, or a list of kernels of unequal sizes, of unpaired rows.
        weights: ``(S,)`` weights :math:`\lambda` >= 0, scaled to sum to 1 over the kernels with mass; uniform when None.
        masses: ``(S, P)`` masses of the rows, 0 for missing ones, of total 1 or 0; uniform when None. Not for a list.
        p: ``(N,)`` masses of the rows of the consensus; uniform over ``P`` rows when None.
        coupling: as in `gromov_wasserstein`. ``"identity"`` averages entry by entry, over the kernels that have both rows.
        epsilon: as in `gromov_wasserstein`.
        rounds: largest number of turns, which end where the consensus changes by less than 1e-9.

    Returns:
        The `Barycenter`; constant to autograd. Each turn lowers the objective, by ``S`` solves from the plans of the last
        one. The consensus is defined up to the order of its rows; starting from the pairing of paired rows pins it. A list
        starts from its largest kernel and the product.

    Source:
        Peyre, Cuturi and Solomon (2016), section 4; UniOMA (Zu et al.), equation 2.

    Example:
        >>> K = torch.tensor([[1.0, 0.2], [0.2, 1.0]])
        >>> gromov_barycenter(torch.stack([K, K])).kernel
        tensor([[1.0000, 0.2000],
                [0.2000, 1.0000]])
    """
    in_range("rounds", rounds, 1)
    one_of("coupling", coupling, ("gw", "entropic", "identity"))
    positive("epsilon", epsilon)
    paired = isinstance(kernels, Tensor)
    if not isinstance(kernels, Tensor):
        kernels, masses = _padded(kernels)
    K = kernels.detach().double()
    q = masses_of("masses", masses, K)
    given = torch.ones_like(q[:, 0]) if weights is None else weights.detach().double()
    share = given * (q.sum(dim=1) > 0)
    share = share / share.sum().clamp_min(1e-30)
    target = torch.full_like(q[0], 1 / K.shape[1]) if p is None else p.detach().double()
    if coupling == "identity":  # as below, entry by entry
        mass = q[:, :, None] * q[:, None, :]
        total = torch.einsum("s,sij->ij", share, mass)
        C = torch.einsum("s,sij->ij", share, mass * K) / torch.where(total > 0, total, 1.0)
        values = (mass * (K - C).square()).sum(dim=(1, 2))
        return Barycenter(*(x.to(kernels.dtype) for x in (C, torch.diag_embed(q), values)))
    held = target * (q.sum(dim=1, keepdim=True) > 0)  # a kernel without mass has a plan of 0
    if paired and len(target) == K.shape[1]:
        plans = start_plan(held, q, "pairing")
        C = consensus_kernel(K, plans, weights=share)
    else:
        plans, C = start_plan(held, q, "product"), K[(q > 0).sum(dim=1).argmax()]
        times_over = -(-len(target) // len(C))
        C = C.repeat(times_over, times_over)[: len(target), : len(target)]
    smoothing = epsilon if coupling == "entropic" else 0.0
    for _ in range(rounds):
        plans = gromov_plan(C.expand(len(K), -1, -1).contiguous(), K, held, q, plans, smoothing, 200, 1e-9)
        last, C = C, consensus_kernel(K, plans, weights=share)
        if not torch.compiler.is_compiling() and bool((C - last).square().mean().sqrt() <= 1e-9):
            break
    values = gromov_value(C.expand(len(K), -1, -1), K, plans)
    return Barycenter(*(x.to(kernels.dtype) for x in (C, plans, values)))


def _padded(kernels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack kernels of unequal sizes, with masses of 0 for the rows that they lack."""
    size = max(len(k) for k in kernels)
    padded = [torch.nn.functional.pad(k, (0, size - len(k)) * 2) for k in kernels]
    masses = [torch.nn.functional.pad(k.new_full((len(k),), 1 / len(k)), (0, size - len(k))) for k in kernels]
    return torch.stack(padded), torch.stack(masses)
