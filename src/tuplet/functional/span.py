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
        if rows.stop - rows.start == len(self.volume):
            return self  # the gradient of a slice is as large as the whole, and copied
        return Span(self.basis[:, rows], None if self.metric is None else self.metric[:, :, rows], self.volume[rows])

    def split(self, parts: int) -> list[Span]:
        """Cut the candidates into equal parts."""
        size = len(self.volume) // parts
        metrics = [None] * parts if self.metric is None else torch.split(self.metric, size, dim=2)
        return [
            Span(*x)
            for x in zip(torch.split(self.basis, size, dim=1), metrics, torch.split(self.volume, size), strict=True)
        ]


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
        Cost ``N k^2 D``. The Gram matrix is that of ``H C = (c_1, c_2 - s_2 c_1, ..)``: the same span, but small differences
        keep their digits, and the ridge becomes ``ridge * H H^T``. It is factored in float64.

    Source:
        Linear algebra (Cholesky factor of a sheared Gram matrix).

    Example:
        >>> span_of([torch.tensor([[2.0, 0.0]]), torch.tensor([[2.0, 3.0]])]).volume.round(decimals=4)
        tensor([6.])
    """
    if ridge < 0:
        raise InputError(f"ridge is {ridge}, expected a number >= 0")
    sheared, inverse, signs = factor(rest)
    if ridge:
        # A cosine forgets the ridge to first order: it differs by (ridge / smallest eigenvalue)^2. The shear H moves
        # eigenvalues by its squared norm at most, 2 k - 1.
        smallest = inverse.detach().square().sum(dim=(1, 2)).max().reciprocal() / (2 * len(rest) - 1)
        if torch.compiler.is_compiling() or bool((ridge / smallest) ** 2 > torch.finfo(sheared.dtype).eps / 8):
            inverse = _InverseFactor.apply(sheared, signs, ridge)
            basis = inverse.to(sheared.dtype) @ sheared
            return _span(sheared, inverse)._replace(metric=(basis @ basis.mT).permute(1, 2, 0))
    return _span(sheared, inverse)


def span_and_volume(
    rest: Sequence[Float[Tensor, "N D"]], anchor: Float[Tensor, "N D"]
) -> tuple[Span, Float[Tensor, " N"]]:
    """Orthonormalise candidate tuples and give the volume of each with its own query, from one factor.

    Args:
        rest: ``k >= 1`` tensors ``(N, D)``.
        anchor: ``(N, D)``, row ``n`` belongs to tuple ``n``.

    Returns:
        The `Span` of ``rest`` and the ``(N,)`` volumes, as `paired_volume` gives them.

    Source:
        Linear algebra (the leading block of a Cholesky factor is the factor of the leading block).

    Example:
        >>> e = torch.eye(3)
        >>> span_and_volume([e[:1], e[1:2]], 2 * e[2:])[1].round(decimals=4)
        tensor([2.])
    """
    sheared, inverse, _ = factor([*rest, anchor])
    return _span(sheared[:, :-1], inverse[:, :-1, :-1]), _volume(inverse).to(sheared.dtype)


def _span(sheared: Tensor, inverse: Tensor) -> Span:
    basis = (inverse.to(sheared.dtype) @ sheared).transpose(0, 1).contiguous()
    return Span(basis, None, _volume(inverse).to(sheared.dtype))


def _volume(inverse: Tensor) -> Tensor:
    """Volume of tuples from the inverse of their factor: shearing leaves it as it is."""
    return inverse.diagonal(dim1=-2, dim2=-1).prod(dim=-1).reciprocal()


def projection_on(anchor: Float[Tensor, "B D"], span: Span, *, tau: float | Tensor = 1.0) -> Float[Tensor, "B N"]:
    """Score queries against prepared spans, as `span_projection` does, divided by a temperature.

    Args:
        anchor: ``(B, D)``.
        span: the candidates' `Span`.
        tau: divisor of the scores. Dividing the queries instead spares a pass over ``(B, N)``.

    Returns:
        ``(B, N)`` in [0, 1 / tau].

    Source:
        OVA-IB (Li et al., 2026), equation 11.

    Example:
        >>> e = torch.eye(3)
        >>> projection_on(e[:1], span_of([e[:1]]))
        tensor([[1.]])
    """
    return _length(_coordinates(_scaled(anchor, tau), span), span.metric)


def paired_projection(anchor: Float[Tensor, "N D"], span: Span, *, tau: float | Tensor = 1.0) -> Float[Tensor, " N"]:
    """Score query ``i`` against span ``i``: the diagonal of `projection_on`.

    Args:
        anchor: ``(N, D)``.
        span: the `Span` of ``N`` candidates.
        tau: divisor of the scores.

    Returns:
        ``(N,)`` in [0, 1 / tau].

    Source:
        OVA-IB (Li et al., 2026), equation 11.

    Example:
        >>> e = torch.eye(2)
        >>> paired_projection(e, span_of([e]))
        tensor([1., 1.])
    """
    return _length((span.basis * _scaled(anchor, tau)).sum(dim=2)[None], span.metric)[0]


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
        scale = out.clamp_min(ctx.floor).reciprocal_().mul_(grad)
        if length is None:
            return None, scale[:, None] * parts
        over_length = scale.sum(dim=1, keepdim=True) * length
        return over_length, scale.neg_()[:, None] * parts


def _coordinates(anchor: Tensor, span: Span) -> Tensor:
    """Inner products of queries with the basis rows, ``(B, k, N)``, in one matrix product."""
    k, n, d = span.basis.shape
    inner: Tensor = anchor @ span.basis.reshape(k * n, d).mT
    return inner.view(-1, k, n)


def _scaled(anchor: Tensor, tau: float | Tensor) -> Tensor:
    """Give queries the length 1 / tau; zero ones stay zero."""
    length = torch.linalg.vector_norm(anchor, dim=1, keepdim=True)
    return anchor / (torch.where(length == 0, 1.0, length) * tau)


def _length(parts: Tensor, metric: Tensor | None) -> Tensor:
    """Length of queries along their projections, from the ``(B, k, N)`` inner products with the basis rows."""
    if metric is None:
        norm: Tensor = _Norm.apply(None, parts)
        return norm
    k = range(parts.shape[1])
    terms = [(1 + (i < j)) * metric[i, j] * parts[:, i] * parts[:, j] for i in k for j in k if i <= j]
    shrunk = reduce(torch.add, terms)
    return parts.square().sum(dim=1) / torch.where(shrunk > 0, root(shrunk), 1.0)


def factor(members: Sequence[Float[Tensor, "N D"]]) -> tuple[Tensor, Tensor, Tensor]:
    r"""Shear tuples to ``(c_1, c_2 - s_2 c_1, ..)``, :math:`s_j = \pm 1`, and factor their Gram matrices in float64.

    Args:
        members: ``k >= 1`` tensors ``(N, D)``.

    Returns:
        Sheared tuples ``(N, k, D)``; the inverses ``(N, k, k)``, float64, of the lower Cholesky factors of their Gram
        matrices; and the signs ``(N, k - 1)`` that bring the others to the side of ``c_1``. The product of the
        inverse's diagonal is one over the volume of the tuple.

    Source:
        Linear algebra.

    Example:
        >>> factor([torch.tensor([[3.0, 4.0]])])[1]
        tensor([[[0.2000]]], dtype=torch.float64)
    """
    first, *others = members
    with torch.no_grad():
        signs = [torch.where((first * c).sum(dim=1) < 0, -1.0, 1.0).to(first.dtype) for c in others]
        flips = torch.stack(signs, dim=1) if signs else first.new_empty(len(first), 0)
    sides = [torch.addcmul(c, first, s[:, None], value=-1) for c, s in zip(others, signs, strict=True)]
    sheared = torch.stack([first, *sides], dim=1)
    inverse: Tensor = _InverseFactor.apply(sheared, flips, 0.0)
    return sheared, inverse, flips


class _InverseFactor(torch.autograd.Function):
    r"""The inverse :math:`W = L^{-1}` of the Cholesky factor of the Gram matrices of tuples, in float64.

    :math:`dW = -\Phi(W\, dG\, W^\top)\, W`, where :math:`\Phi` takes the lower triangle and half the diagonal: small products
    only, and one of ``N k^2 D``. The ridge is that of the coordinates before the shear.
    """

    @staticmethod
    def forward(ctx: Any, sheared: Tensor, signs: Tensor, ridge: float) -> Tensor:
        k = sheared.shape[1]
        gram = (sheared @ sheared.mT).double()
        # The floor keeps dependent members factorisable; it is the rounding error of the entries, and nothing for c_1.
        rounding = torch.full((k,), 8 * torch.finfo(sheared.dtype).eps, dtype=gram.dtype, device=gram.device)
        rounding[0] = 0.0
        gram.diagonal(dim1=1, dim2=2).mul_(1 + rounding).add_(1e-24)
        identity = torch.eye(k, dtype=gram.dtype, device=gram.device)
        if ridge:
            shear = identity.repeat(len(gram), 1, 1)
            shear[:, 1:, 0] = -signs
            gram += ridge * (shear @ shear.mT)
        inverse: Tensor = torch.linalg.solve_triangular(torch.linalg.cholesky(gram), identity, upper=False)
        ctx.save_for_backward(sheared, inverse)
        return inverse

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        sheared, inverse = ctx.saved_tensors
        half = torch.ones_like(inverse[0]).tril() - torch.eye(inverse.shape[-1]).to(inverse) / 2
        over_gram = inverse.mT @ (grad @ inverse.mT * half) @ inverse
        return -(over_gram + over_gram.mT).to(sheared.dtype) @ sheared, None, None


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
