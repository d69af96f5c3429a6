"""Gromov-Wasserstein distances between kernels, and their barycentre (Peyre, Cuturi and Solomon, 2016).

Kernels are symmetric. Problems are batched along a leading dimension; plans are found in float64 and are constants to
autograd. Rows of mass 0 take no part, which is how kernels of fewer rows join a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional._plans import gromov_plan, times
from tuplet.types import InputError, in_range, one_of

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
        coupling: ``"gw"`` finds a local optimum by conditional gradients with exact assignments and line search;
            ``"entropic"`` a stationary point of the entropic problem by mirror steps; ``"identity"`` keeps row ``i``
            with row ``i``, for paired rows of equal masses.
        start: where the search starts: ``"pairing"`` keeps as much mass as possible on the diagonal, ``"product"`` is
            :math:`p q^\top`, or a plan. None is the pairing for kernels of one size, else the product.
        epsilon: :math:`\epsilon > 0` of ``"entropic"``, in units of squared kernel entries. Above about the variance of
            the entries over :math:`\log N` the plan is the product of the masses, which matches nothing.
        iterations: largest number of assignments or mirror steps.
        tol: gain of the distance (``"gw"``) or change of the plan (``"entropic"``) at which to stop.

    Returns:
        The `Matching`; its value is differentiable in both kernels at a fixed plan (the envelope theorem). The value
        of ``"entropic"`` is the distance at its plan, without the entropy.

    Raises:
        InputError: if an option is misspelt or out of range, a shape does not match, or ``"identity"`` meets
            unequal masses.

    Notes:
        Except for ``"identity"`` a local optimum, which depends on the start. For positive semi-definite kernels of one
        size every step of ``"gw"`` is a whole permutation. Cost per step: ``N^3``. Assignments run on the CPU, also for
        kernels on a GPU. Unequal masses need a linear programme instead of an assignment, which is slower.
        The entropic plan of a kernel with itself is not the identity, so its value is above 0.

    Source:
        Peyre, Cuturi and Solomon (2016), propositions 1 and 2; Vayer et al. (2019) for conditional gradients. UniOMA
        (Zu et al.), equation 1, prints the trace alone and calls it a distance; it is a similarity, and without the
        squares its minimum would drive kernels apart or to 0.

    Example:
        >>> K = torch.tensor([[1.0, 0.9, 0.1], [0.9, 1.0, 0.2], [0.1, 0.2, 1.0]])
        >>> order = torch.tensor([1, 2, 0])
        >>> match = gromov_wasserstein(K, K[order][:, order], start="product")
        >>> round(abs(float(match.value)), 6), match.plan.argmax(dim=0).tolist()
        (0.0, [1, 2, 0])
    """
    in_range("iterations", iterations, 1)
    one_of("coupling", coupling, ("gw", "entropic", "identity"))
    if not epsilon > 0:
        raise InputError(f"epsilon is {epsilon}, expected a number > 0; it smooths the plan")
    single = Kx.ndim == 2 and Ky.ndim == 2
    count = max(len(k) if k.ndim == 3 else 1 for k in (Kx, Ky))
    Kx, Ky = Kx.expand(count, -1, -1), Ky.expand(count, -1, -1)
    a, b = _masses("p", p, Kx), _masses("q", q, Ky)
    paired = a.shape == b.shape
    if coupling == "identity":
        if not paired or not (torch.compiler.is_compiling() or torch.allclose(a, b)):
            raise InputError(
                "coupling is 'identity', which needs p equal to q; use 'gw' or 'entropic' for other masses"
            )
        plan = torch.diag_embed(a)
    else:
        if start is None:
            start = "pairing" if paired else "product"
        first = start.detach().double().expand(count, -1, -1) if isinstance(start, Tensor) else start_plan(a, b, start)
        if first.shape[1:] != (a.shape[1], b.shape[1]):
            raise InputError(f"start has shape {tuple(first.shape[1:])}, expected {(a.shape[1], b.shape[1])}")
        plan = gromov_plan(
            Kx.detach().double(), Ky.detach().double(), a, b, first, epsilon * (coupling == "entropic"), iterations, tol
        )
    plan = plan.to(Kx.dtype)
    value = gromov_value(Kx, Ky, plan)
    divergence = value.new_zeros(count)
    if coupling == "entropic":
        product = a[:, :, None] * b[:, None, :]
        ratio = torch.where(plan > 0, plan / product.clamp_min(1e-30), 1.0)
        divergence = epsilon * (plan * ratio.log()).sum(dim=(1, 2)).to(value.dtype)
    return Matching(value[0], plan[0], divergence[0]) if single else Matching(value, plan, divergence)


def gromov_value(
    Kx: Float[Tensor, "S N N"], Ky: Float[Tensor, "S P P"], plan: Float[Tensor, "S N P"]
) -> Float[Tensor, " S"]:
    r"""Gromov-Wasserstein cost of given plans, :math:`\sum_{ijkl} T_{ij} T_{kl} (K^x_{ik} - K^y_{jl})^2`.

    Args:
        Kx: ``(S, N, N)``, symmetric.
        Ky: ``(S, P, P)``, symmetric.
        plan: ``(S, N, P)``; its sums are the masses.

    Returns:
        ``(S,)``, differentiable in the kernels: the part that depends on ``Ky`` is a sum of squares, which keeps its
        digits where the kernels nearly match.

    Source:
        Peyre, Cuturi and Solomon (2016), proposition 1, completed to squares.

    Example:
        >>> K = torch.eye(2)[None]
        >>> gromov_value(K, K, K / 2)
        tensor([0.])
    """
    p, q = plan.sum(dim=2), plan.sum(dim=1)
    pp, qq = p[:, :, None] * p[:, None, :], q[:, :, None] * q[:, None, :]
    carried = times(plan.mT, times(plan.mT, Kx).mT)
    mean = torch.where(qq > 0, carried / torch.where(qq > 0, qq, 1.0), 0.0)
    spread = (pp * Kx.square()).sum(dim=(1, 2)) - (qq * mean.square()).sum(dim=(1, 2))
    return (qq * (Ky - mean).square()).sum(dim=(1, 2)) + spread


def consensus_kernel(
    kernels: Float[Tensor, "S P P"], plans: Float[Tensor, "S N P"], *, weights: Float[Tensor, " S"]
) -> Float[Tensor, "N N"]:
    r"""Give the best consensus at fixed plans, :math:`C = \sum_s \lambda_s T_s K_s T_s^\top / (p p^\top)`.

    Args:
        kernels: ``(S, P, P)``.
        plans: ``(S, N, P)``. If plans differ in their row masses :math:`p_s`, every entry is averaged over the kernels
            that have it: the divisor is :math:`\sum_s \lambda_s p_s p_s^\top`.
        weights: ``(S,)`` weights :math:`\lambda_s >= 0`.

    Returns:
        ``(N, N)``; 0 where no kernel has mass.

    Source:
        Peyre, Cuturi and Solomon (2016), proposition 4.

    Example:
        >>> kernels = torch.stack([torch.eye(2), torch.ones(2, 2)])
        >>> consensus_kernel(kernels, torch.eye(2).expand(2, -1, -1) / 2, weights=torch.tensor([0.5, 0.5]))
        tensor([[1.0000, 0.5000],
                [0.5000, 1.0000]])
    """
    p = plans.sum(dim=2)
    mass = torch.einsum("s,si,sj->ij", weights, p, p)
    total = torch.einsum("s,sij->ij", weights, times(plans, times(plans, kernels).mT))
    return torch.where(mass > 0, total / torch.where(mass > 0, mass, 1.0), 0.0)


def gromov_barycenter(
    kernels: Float[Tensor, "S P P"] | Sequence[Float[Tensor, "_ _"]],
    *,
    weights: Float[Tensor, " S"] | None = None,
    masses: Float[Tensor, "S P"] | None = None,
    p: Float[Tensor, " N"] | None = None,
    coupling: Coupling = "gw",
    start: Literal["pairing", "product"] | None = None,
    epsilon: float = 0.001,
    rounds: int = 20,
    iterations: int = 200,
    tol: float = 1e-9,
) -> Barycenter:
    r"""Consensus of kernels, :math:`\arg\min_C \sum_s \lambda_s d(C, K_s)`, by turns with the plans.

    Args:
        kernels: ``(S, P, P)`` symmetric kernels of paired rows, or a list of kernels of unequal sizes, whose rows are
            not taken as paired.
        weights: ``(S,)`` weights :math:`\lambda` >= 0, scaled to sum to 1 over the kernels that have mass; uniform when
            None.
        masses: ``(S, P)`` masses of the rows, 0 for missing ones, of total 1 or 0; uniform when None. Not for a list.
        p: ``(N,)`` masses of the rows of the consensus; uniform over ``P`` rows when None.
        coupling: as in `gromov_wasserstein`. ``"identity"`` averages the kernels entry by entry, over those that have
            both rows.
        start: as in `gromov_wasserstein`, from the mean of the kernels over paired rows. None is the pairing. A list
            starts from its largest kernel and the product.
        epsilon: as in `gromov_wasserstein`.
        rounds: largest number of turns.
        iterations: as in `gromov_wasserstein`, per turn.
        tol: change of the consensus (root mean square) at which to stop.

    Returns:
        The `Barycenter`; constant to autograd.

    Raises:
        InputError: if an option is misspelt or out of range.

    Notes:
        Each turn lowers the objective and starts from the plans of the last one. The consensus is defined up to the
        order of its rows; the pairing pins it. ``S`` solves per turn. The pairing is the better start where paired rows
        say much about each other, the product where they say little.

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
    if not epsilon > 0:
        raise InputError(f"epsilon is {epsilon}, expected a number > 0; it smooths the plan")
    paired = isinstance(kernels, Tensor)
    if not isinstance(kernels, Tensor):
        kernels, masses = _padded(kernels)
    K = kernels.detach().double()
    q = _masses("masses", masses, K)
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
        plans = start_plan(held, q, start) if start == "product" else plans
    else:
        plans, C = start_plan(held, q, "product"), K[(q > 0).sum(dim=1).argmax()]
        times_over = -(-len(target) // len(C))
        C = C.repeat(times_over, times_over)[: len(target), : len(target)]
    smoothing = epsilon if coupling == "entropic" else 0.0
    for _ in range(rounds):
        plans = gromov_plan(C.expand(len(K), -1, -1).contiguous(), K, held, q, plans, smoothing, iterations, tol)
        last, C = C, consensus_kernel(K, plans, weights=share)
        if not torch.compiler.is_compiling() and bool((C - last).square().mean().sqrt() <= tol):
            break
    values = gromov_value(C.expand(len(K), -1, -1), K, plans)
    return Barycenter(*(x.to(kernels.dtype) for x in (C, plans, values)))


def start_plan(
    p: Float[Tensor, "S N"], q: Float[Tensor, "S P"], start: Literal["pairing", "product"]
) -> Float[Tensor, "S N P"]:
    r"""Give a plan to start from.

    Args:
        p: ``(S, N)`` masses.
        q: ``(S, P)`` masses of the same total.
        start: ``"product"`` is :math:`p q^\top`; ``"pairing"`` puts :math:`\min(p_i, q_i)` on the diagonal and the
            product of what is left elsewhere.

    Returns:
        ``(S, N, P)`` with these masses.

    Raises:
        InputError: for the pairing of unequal numbers of rows, or a misspelt option.

    Source:
        Elementary.

    Example:
        >>> start_plan(torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]]), "pairing")
        tensor([[[0.5000, 0.0000],
                 [0.5000, 0.0000]]])
    """
    one_of("start", start, ("pairing", "product"))
    if start == "product":
        return p[:, :, None] * q[:, None, :] / p.sum(dim=1).clamp_min(1e-30)[:, None, None]
    if p.shape != q.shape:
        raise InputError(f"start is 'pairing' for {p.shape[1]} and {q.shape[1]} rows; use 'product' or give a plan")
    kept = torch.minimum(p, q)
    left, right = p - kept, q - kept
    rest = left[:, :, None] * right[:, None, :] / left.sum(dim=1).clamp_min(1e-30)[:, None, None]
    return torch.diag_embed(kept) + rest


def _masses(name: str, given: Tensor | None, kernel: Tensor) -> Tensor:
    """Return float64 masses ``(S, N)`` of the rows of ``(S, N, N)`` kernels."""
    count, size = kernel.shape[:2]
    if given is None:
        return kernel.new_full((count, size), 1 / size, dtype=torch.float64)
    if given.shape[-1] != size:
        raise InputError(f"{name} has shape {tuple(given.shape)}, expected ({size},) to match its kernel")
    return given.detach().double().expand(count, size)


def _padded(kernels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack kernels of unequal sizes, with masses of 0 for the rows that they lack."""
    size = max(len(k) for k in kernels)
    padded = [torch.nn.functional.pad(k, (0, size - len(k)) * 2) for k in kernels]
    masses = [torch.nn.functional.pad(k.new_full((len(k),), 1 / len(k)), (0, size - len(k))) for k in kernels]
    return torch.stack(padded), torch.stack(masses)
