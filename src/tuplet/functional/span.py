"""Spans of candidate tuples: one orthonormal basis per tuple, and what queries measure against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional._derivative import first_order
from tuplet.functional._frame import dot, frame, heights, symmetric
from tuplet.types import in_range


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

    @classmethod
    def with_height(cls, rest: Sequence[Tensor], anchor: Float[Tensor, "N D"]) -> tuple[Span, Float[Tensor, " N"]]:
        """Orthonormalise tuples, and give the distance of each one's own query to its span, from one factor."""
        members = [*rest, anchor]  # the leading block of a Cholesky factor is the factor of the leading block
        basis, inverse = frame(members, kept=len(rest))
        apart = heights(members, inverse).to(anchor.dtype)
        return cls(basis, None, apart[:, :-1].prod(dim=1)), apart[:, -1]

    def at(self, rows: slice) -> Span:
        """Return the spans of a slice of the candidates."""
        if rows.stop - rows.start == len(self.volume):
            return self  # the gradient of a slice is as large as the whole, and copied
        return Span(self.basis[:, rows], None if self.metric is None else self.metric[:, :, rows], self.volume[rows])

    def split(self, parts: int) -> list[Span]:
        """Cut the candidates into equal parts."""
        size = len(self.volume) // parts
        metrics = [None] * parts if self.metric is None else torch.split(self.metric, size, dim=2)
        bases, volumes = torch.split(self.basis, size, dim=1), torch.split(self.volume, size)
        return [Span(*part) for part in zip(bases, metrics, volumes, strict=True)]

    def project(self, anchor: Float[Tensor, "B D"], *, tau: float | Tensor = 1.0) -> Float[Tensor, "B N"]:
        """Score queries as `span_projection` does, over ``tau``: dividing the queries spares a pass over ``(B, N)``."""
        query = _scaled(anchor, tau)
        return cast(Tensor, _Length.apply(self.metric, *(query @ b.mT for b in self.basis)))

    def project_own(self, anchor: Float[Tensor, "N D"], *, tau: float | Tensor = 1.0) -> Float[Tensor, " N"]:
        """Score query ``i`` against span ``i``: the diagonal of `project`."""
        return cast(Tensor, _Length.apply(self.metric, *(self.basis * _scaled(anchor, tau)).sum(dim=2)))

    def volume_with(self, anchor: Float[Tensor, "B D"]) -> Float[Tensor, "B N"]:
        """Score queries as `simplex_volume` does, by the Schur complement; only for a span made with ``ridge`` 0."""
        length = torch.linalg.vector_norm(anchor, dim=1, keepdim=True)
        return cast(Tensor, _Left.apply(anchor, self.basis, length, self.volume))


def span_of(rest: Sequence[Float[Tensor, "N D"]], *, ridge: float = 0.0) -> Span:
    r"""Orthonormalise candidate tuples: basis :math:`L^{-1} C` with :math:`L L^\top = C C^\top + \lambda I`.

    Args:
        rest: ``k >= 1`` tensors ``(N, D)``.
        ridge: :math:`\lambda >= 0`.

    Returns:
        The `Span`, in the dtype of ``rest``, factored in float64: members of which one lies within ``delta`` of the span of
        the others keep about ``1e-16 / delta^2`` of relative accuracy. Costs ``N k^2 D``.

    Source:
        Linear algebra (Cholesky factor of the Gram matrix).

    Example:
        >>> span_of([torch.tensor([[2.0, 0.0]]), torch.tensor([[2.0, 3.0]])]).volume.round(decimals=4)
        tensor([6.])
    """
    in_range("ridge", ridge, 0)
    basis, inverse = frame(rest)
    if ridge:
        # A cosine forgets the ridge to first order: it differs by (ridge / smallest eigenvalue)^2.
        smallest = inverse.detach().square().sum(dim=(1, 2)).max().reciprocal()
        if torch.compiler.is_compiling() or bool((ridge / smallest) ** 2 > torch.finfo(basis.dtype).eps / 8):
            basis, inverse = frame(rest, ridge=ridge)  # and W C C^T W^T = W (L L^T - ridge I) W^T
            identity = torch.eye(len(rest), dtype=inverse.dtype, device=inverse.device)
            metric = (identity - ridge * inverse @ inverse.mT).permute(1, 2, 0)
            return Span(basis, metric.to(basis.dtype), heights(rest, inverse).prod(dim=1).to(basis.dtype))
    return Span(basis, None, heights(rest, inverse).prod(dim=1).to(basis.dtype))


class _Left(torch.autograd.Function):
    r"""What projections leave of a length, times a volume per candidate: :math:`v \sqrt{l^2 - |p|^2}`."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, basis: Tensor, length: Tensor, volume: Tensor) -> Tensor:
        parts = [anchor @ b.mT for b in basis]
        left: Tensor = torch.addcmul(length.square(), parts[0], parts[0], value=-1)
        for part in parts[1:]:
            left.addcmul_(part, part, value=-1)
        # no floor is so low that its reciprocal overflows: a zero query has 0 in its place, and 0 times that
        floor = (2 * torch.finfo(left.dtype).eps ** 0.5 * length).clamp_min(torch.finfo(left.dtype).tiny ** 0.5)
        left.mul_((left - floor.square()).clamp_min_(0).sign_()).sqrt_()  # 0 below; truth values would take twice as long
        ctx.save_for_backward(anchor, basis, length, volume, left, floor, *parts)
        return left * volume

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        anchor, basis, length, volume, left, floor, *parts = ctx.saved_tensors
        over_volume = (grad * left).sum(dim=0) if ctx.needs_input_grad[3] else None
        scale = torch.maximum(left, floor).reciprocal_().mul_(grad).mul_(-volume)
        over_length = scale.sum(dim=1, keepdim=True) * -length
        return *_through(scale, parts, anchor, basis, ctx.needs_input_grad), over_length, over_volume


def _through(
    scale: Tensor, parts: list[Tensor], anchor: Tensor, basis: Tensor, needed: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Give the gradients of queries and basis from that of their products, ``scale * parts``."""
    over_anchor = torch.zeros_like(anchor) if needed[0] else None
    over_basis = torch.empty_like(basis) if needed[1] else None
    for j, part in enumerate(parts):
        over = scale * part
        if over_anchor is not None:
            over_anchor.addmm_(over, basis[j])
        if over_basis is not None:
            over_basis[j] = over.mT @ anchor
    return over_anchor, over_basis


def _scaled(anchor: Tensor, tau: float | Tensor) -> Tensor:
    """Give queries the length 1 / tau; zero ones stay zero."""
    length = torch.linalg.vector_norm(anchor, dim=1, keepdim=True)
    return anchor / (torch.where(length == 0, 1.0, length) * tau)


class _Length(torch.autograd.Function):
    r"""Length of projections, :math:`|p|^2 / \sqrt{p^\top M p}`; rounding alone gives 0, its gradient bounded, or 0 with M."""

    @staticmethod
    def forward(ctx: Any, metric: Tensor | None, *parts: Tensor) -> Tensor:
        if metric is None:
            out = torch.threshold_(dot(parts, parts).sqrt_(), torch.finfo(parts[0].dtype).eps, 0.0)
        else:
            square, inverse, _ = _squares(metric, parts)
            out = square * inverse
        ctx.save_for_backward(metric, out, *parts)
        return out

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        metric, out, *parts = ctx.saved_tensors
        if metric is None:
            scale = out.clamp_min(torch.finfo(out.dtype).eps).reciprocal_().mul_(grad)
            return None, *(scale * p for p in parts)
        square, inverse, shortened = _squares(metric, parts)
        over_square, over_shrunk = 2 * grad * inverse, grad * square * inverse**3  # of -1/2 p'Mp
        scaled = [(over_shrunk / -2 * p).view(-1, grad.shape[-1]) for p in parts]
        over_metric = symmetric(lambda i, j: (scaled[i] * parts[j]).sum(dim=0), len(parts))
        return over_metric, *(over_square * p - over_shrunk * s for p, s in zip(parts, shortened, strict=True))


def _squares(metric: Tensor, parts: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Give ``|p|^2``, one over the root of ``p'Mp`` (0 where that is rounding) and ``Mp``."""
    shortened = [dot(line, parts) for line in metric]
    shrunk = dot(shortened, parts)
    there = shrunk > torch.finfo(shrunk.dtype).eps ** 2
    return dot(parts, parts), torch.where(there, torch.where(there, shrunk, 1.0).rsqrt(), 0.0), shortened
