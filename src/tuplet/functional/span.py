"""Spans of candidate tuples: one orthonormal basis per tuple, and what queries measure against it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from tuplet.types import InputError


class Span(NamedTuple):
    """The span of ``N`` candidate tuples of ``k`` vectors.

    Attributes:
        basis: ``(k, N, D)`` rows ``L^-1 C``; orthonormal when ``ridge`` is 0.
        metric: ``(k, k, N)`` inner products of the basis rows; None when they are orthonormal.
        volume: ``(N,)`` volume of the parallelotope that the ``k`` vectors span.
    """

    basis: Tensor
    metric: Tensor | None
    volume: Tensor

    def at(self, rows: slice) -> Span:
        """Return the spans of a slice of the candidates."""
        return Span(self.basis[:, rows], None if self.metric is None else self.metric[:, :, rows], self.volume[rows])


def span_of(rest: Sequence[Float[Tensor, "N D"]], *, ridge: float = 0.0) -> Span:
    r"""Orthonormalise candidate tuples: basis :math:`L^{-1} C` with :math:`L L^\top = C C^\top + \lambda I`.

    Args:
        rest: ``k >= 1`` tensors ``(N, D)``.
        ridge: :math:`\lambda >= 0`.

    Returns:
        The `Span`, in the dtype of ``rest``.

    Raises:
        InputError: if ``ridge`` is negative.

    Notes:
        Cost ``N k^2 D``. The Gram matrix is that of ``(c_1, c_2 - c_1, ..)``: the same span, but small differences keep
        their digits, and the ridge becomes ``ridge * H^-1 H^-T`` for the shear ``H``. It is factored in float64.

    Source:
        Linear algebra (Cholesky factor of a sheared Gram matrix).

    Example:
        >>> span_of([torch.tensor([[2.0, 0.0]]), torch.tensor([[2.0, 3.0]])]).volume.round(decimals=4)
        tensor([6.])
    """
    if ridge < 0:
        raise InputError(f"ridge is {ridge}, expected a number >= 0")
    sheared, lower = factor(rest)
    inverse = _inverse(lower)
    unsheared = inverse.detach().clone()
    unsheared[..., 0] -= inverse.detach()[..., 1:].sum(dim=-1)  # the inverse factor for (c_1, c_2, ..)
    metric: Tensor | None = None
    # A cosine forgets the ridge to first order: it differs by (ridge / smallest eigenvalue)^2.
    smallest = unsheared.square().sum(dim=(1, 2)).reciprocal().min() if ridge else None
    if smallest is not None and (
        torch.compiler.is_compiling() or bool((ridge / smallest) ** 2 > torch.finfo(sheared.dtype).eps / 8)
    ):
        sheared, lower = factor(rest, ridge=ridge)
        inverse = _inverse(lower)
        basis = inverse.to(sheared.dtype) @ sheared
        metric = (basis @ basis.mT).permute(1, 2, 0)
    basis = inverse.to(sheared.dtype) @ sheared
    return Span(basis.transpose(0, 1), metric, lower.diagonal(dim1=-2, dim2=-1).prod(dim=-1).to(sheared.dtype))


def projection_on(anchor: Float[Tensor, "B D"], span: Span) -> Float[Tensor, "B N"]:
    """Score queries against prepared spans, as `span_projection` does.

    Args:
        anchor: ``(B, D)``.
        span: the candidates' `Span`.

    Returns:
        ``(B, N)`` in [0, 1].

    Source:
        OVA-IB (Li et al., 2026), equation 11.

    Example:
        >>> e = torch.eye(3)
        >>> projection_on(e[:1], span_of([e[:1]]))
        tensor([[1.]])
    """
    return _projection(_coordinates(anchor, span), anchor.norm(dim=1, keepdim=True), span.metric)


def paired_projection(anchor: Float[Tensor, "N D"], span: Span) -> Float[Tensor, " N"]:
    """Score query ``i`` against span ``i``: the diagonal of `projection_on`.

    Args:
        anchor: ``(N, D)``.
        span: the `Span` of ``N`` candidates.

    Returns:
        ``(N,)`` in [0, 1].

    Source:
        OVA-IB (Li et al., 2026), equation 11.

    Example:
        >>> e = torch.eye(2)
        >>> paired_projection(e, span_of([e]))
        tensor([1., 1.])
    """
    return _projection((span.basis * anchor).sum(dim=2)[None], anchor.norm(dim=1), span.metric)[0]


def volume_over(anchor: Float[Tensor, "B D"], span: Span) -> Float[Tensor, "B N"]:
    """Score queries against prepared spans, as `simplex_volume` does.

    Args:
        anchor: ``(B, D)``.
        span: the candidates' `Span`, made with ``ridge`` 0.

    Returns:
        ``(B, N)``, at least 0.

    Source:
        GRAM (Cicchetti et al., 2025), through the Schur complement of the Gram determinant.

    Example:
        >>> e = torch.eye(3)
        >>> volume_over(e[:1], span_of([2 * e[1:2]]))
        tensor([[2.]])
    """
    length = torch.linalg.vector_norm(anchor, dim=1, keepdim=True)
    left: Tensor = _Norm.apply(length, _coordinates(anchor, span))
    return span.volume * left


class _Norm(torch.autograd.Function):
    r"""Root of a sum of squares over dim 1, :math:`|p|`, or of what it leaves of a length, :math:`\sqrt{l^2 - |p|^2}`.

    Works in place: on these ``(B, N)`` tensors fresh memory costs more than arithmetic. A root of nothing but rounding
    is 0, and its gradient is bounded.
    """

    @staticmethod
    def forward(ctx: Any, length: Tensor | None, parts: Tensor) -> Tensor:
        out: Tensor = parts[:, 0].square()
        for j in range(1, parts.shape[1]):
            out.addcmul_(parts[:, j], parts[:, j])
        ctx.floor = torch.finfo(out.dtype).eps
        if length is not None:
            out = out.neg_().add_(length.square())
            ctx.floor = 2 * ctx.floor**0.5
        out = F.threshold(out.clamp_min_(0.0).sqrt_(), ctx.floor, 0.0, inplace=True)
        ctx.save_for_backward(out, length, parts)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor]:
        out, length, parts = ctx.saved_tensors
        scale = grad / out.clamp_min(ctx.floor)
        if length is None:
            return None, scale[:, None] * parts
        over_length = scale.sum(dim=1, keepdim=True) * length
        return over_length, scale.neg_()[:, None] * parts


def _coordinates(anchor: Tensor, span: Span) -> Tensor:
    """Inner products of queries with the basis rows, ``(B, k, N)``, in one matrix product."""
    k, n, d = span.basis.shape
    inner: Tensor = anchor @ span.basis.reshape(k * n, d).mT
    return inner.view(-1, k, n)


def _projection(parts: Tensor, length: Tensor, metric: Tensor | None) -> Tensor:
    """Cosine of queries with their projections, from the ``(B, k, N)`` inner products with the basis rows."""
    length = torch.where(length == 0, 1.0, length)
    if metric is None:
        norm: Tensor = _Norm.apply(None, parts)
        return norm / length
    k = range(parts.shape[1])
    terms = [(1 + (i < j)) * metric[i, j] * parts[:, i] * parts[:, j] for i in k for j in k if i <= j]
    shrunk = reduce(torch.add, terms)
    return parts.square().sum(dim=1) / torch.where(shrunk > 0, root(shrunk), 1.0) / length


def factor(members: Sequence[Float[Tensor, "N D"]], *, ridge: float = 0.0) -> tuple[Tensor, Tensor]:
    r"""Shear tuples to ``(c_1, c_2 - c_1, ..)`` and factor their Gram matrices plus ridge in float64.

    Args:
        members: ``k >= 1`` tensors ``(N, D)``.
        ridge: :math:`\lambda >= 0`, in the coordinates before the shear.

    Returns:
        Sheared tuples ``(N, k, D)`` and lower Cholesky factors ``(N, k, k)``, float64. The product of a factor's
        diagonal is the volume of its tuple: shearing leaves it as it is.

    Source:
        Linear algebra.

    Example:
        >>> factor([torch.tensor([[3.0, 4.0]])])[1]
        tensor([[[5.]]], dtype=torch.float64)
    """
    k = len(members)
    sheared = torch.stack([members[0], *[c - members[0] for c in members[1:]]], dim=1)
    gram = (sheared @ sheared.mT).double()
    # The floor keeps dependent members factorisable; it is the rounding error of the entries, and nothing for c_1.
    rounding = torch.full((k,), 8 * torch.finfo(sheared.dtype).eps, dtype=gram.dtype, device=gram.device)
    rounding[0] = 0.0
    gram = gram + torch.diag_embed(rounding * gram.diagonal(dim1=-2, dim2=-1) + 1e-24)
    if ridge:
        shear = torch.eye(k, dtype=gram.dtype, device=gram.device)
        shear[1:, 0] = -1.0
        gram = gram + ridge * (shear @ shear.mT)
    return sheared, torch.linalg.cholesky(gram)


def _inverse(lower: Tensor) -> Tensor:
    inverse: Tensor = torch.linalg.solve_triangular(lower, torch.eye(lower.shape[-1]).to(lower), upper=False)
    return inverse


def root(squared: Tensor) -> Tensor:
    """Take the square root, 0 with a zero gradient at 0.

    Args:
        squared: any shape, >= 0.

    Returns:
        The root, of the same shape.

    Source:
        Elementary.

    Example:
        >>> root(torch.tensor([4.0, 0.0]))
        tensor([2., 0.])
    """
    positive = squared > torch.finfo(squared.dtype).eps ** 2
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)
