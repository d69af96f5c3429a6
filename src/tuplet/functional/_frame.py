"""Inner products of many small tuples at once, and their orthonormal frames, in float64 and with little memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional._derivative import first_order

EVEN = 48  # rows that matrix kernels take at a time divide this
ROWS = 256  # tuples that are orthonormalised at a time on a CPU, uncompiled: few enough that one share's memory serves the next


def even_product(x: Float[Tensor, "B D"], y: Float[Tensor, "N D"]) -> Float[Tensor, "B N"]:
    """Take inner products ``x_i . y_j``, ``(B, N)``, that are equal, bit by bit, for equal rows."""
    # Matrix kernels take some rows at a time and sum what is left over in another order, which turns ties into an order:
    # rows of zeros fill up the last share.
    b, n = len(x), len(y)
    filled = [torch.nn.functional.pad(z, (0, 0, 0, -len(z) % EVEN)) for z in (x, y)]
    return (filled[0] @ filled[1].mT)[:b, :n]


def gram_of(members: Sequence[Float[Tensor, "N D"]]) -> Float[Tensor, "k k N"]:
    """Multiply the members of each tuple with each other, ``(k, k, N)``."""
    return symmetric(lambda i, j: torch.linalg.vecdot(members[i], members[j]), len(members))


def symmetric(entry: Callable[[int, int], Tensor], k: int) -> Float[Tensor, "k k ..."]:
    """Build a symmetric table from the entries on and below its diagonal."""
    found = {(i, j): entry(i, j) for i in range(k) for j in range(i + 1)}
    return torch.stack([torch.stack([found[max(i, j), min(i, j)] for j in range(k)]) for i in range(k)])


def dot(a: Sequence[Tensor] | Tensor, b: Sequence[Tensor] | Tensor) -> Float[Tensor, ...]:
    """Sum ``a_j b_j`` over the members, one pass per member."""
    out = a[0] * b[0]
    for j in range(1, len(a)):
        out.addcmul_(a[j], b[j])
    return out


def root(squared: Tensor) -> Tensor:
    """Take the square root, 0 with a zero gradient at 0."""
    positive = squared > torch.finfo(squared.dtype).eps ** 2
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)


def frame(
    members: Sequence[Float[Tensor, "N D"]], *, ridge: float = 0.0, kept: int | None = None
) -> tuple[Float[Tensor, "j N D"], Float[Tensor, "N k k"]]:
    r"""Orthonormalise tuples through the Cholesky factors of their Gram matrices, :math:`C C^\top + \lambda I = L L^\top`."""
    basis, inverse = _Frame.apply(*members, ridge, len(members) if kept is None else kept)
    return basis, inverse


def heights(members: Sequence[Float[Tensor, "N D"]], inverse: Float[Tensor, "N k k"]) -> Float[Tensor, "N k"]:
    """Give the distance of every member of a tuple to the span of those before it, from what `frame` returns."""
    found = inverse.diagonal(dim1=-2, dim2=-1).reciprocal()
    lengths = torch.stack([torch.linalg.vector_norm(m.detach(), dim=1) for m in members], dim=1)
    return torch.where(found > 4 * torch.finfo(inverse.dtype).eps ** 0.5 * lengths, found, 0.0)


def _factor(gram: Tensor, width: int) -> Tensor:
    """Factorise, where need be with more on the diagonal: the rounding of inner products grows with their width."""
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(gram)
    for more in (4 * width**0.5, gram.shape[-1] * width):
        if not torch.compiler.is_compiling() and not failed.any():
            break
        raised = gram + torch.diag_embed(gram.diagonal(dim1=1, dim2=2) * (more * torch.finfo(gram.dtype).eps))
        again, failed_again = torch.linalg.cholesky_ex(raised)
        factor = torch.where((failed > 0)[:, None, None], again, factor)
        failed = torch.where(failed > 0, failed_again, failed)
    return factor


class _Frame(torch.autograd.Function):
    r"""Basis :math:`B = W C` and inverse factor :math:`W = L^{-1}`."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        *members, ridge, kept = arguments  # torch.compile takes numbers after the tensors only
        n, k = members[0].shape[0], len(members)
        basis, whole = members[0].new_empty(kept, *members[0].shape), members[0].new_empty(n, k, k, dtype=torch.float64)
        ctx.kept, ctx.rows = kept, ROWS * 32 if basis.is_cuda or torch.compiler.is_compiling() else ROWS
        for i in range(0, n, ctx.rows):
            rows = torch.stack([m[i : i + ctx.rows].double() for m in members], dim=1)  # (n, k, D)
            gram = rows @ rows.mT
            # A pivot of nothing but rounding becomes a small number: the basis row, 0 / small, stays small.
            gram.diagonal(dim1=1, dim2=2).mul_(1 + 4 * torch.finfo(gram.dtype).eps).add_(ridge + 1e-60)
            identity = torch.eye(k, dtype=rows.dtype, device=rows.device)
            whole[i : i + ctx.rows] = torch.linalg.solve_triangular(_factor(gram, rows.shape[2]), identity, upper=False)
            basis[:, i : i + ctx.rows] = (whole[i : i + ctx.rows, :kept] @ rows).transpose(0, 1)
        ctx.save_for_backward(whole, *members)
        return basis, whole

    @staticmethod
    @first_order
    def backward(ctx: Any, over_basis: Tensor, over_inverse: Tensor) -> tuple[Tensor | None, ...]:
        whole, *members = ctx.saved_tensors
        n, k = len(whole), len(members)
        half = torch.ones_like(whole[0]).tril() - torch.eye(k, dtype=whole.dtype, device=whole.device) / 2
        grads = [torch.empty_like(m) for m in members]
        for i in range(0, n, ctx.rows):
            part = slice(i, i + ctx.rows)
            rows, inverse = torch.stack([m[part].double() for m in members], dim=1), whole[part]
            ahead = over_basis[:, part].transpose(0, 1).to(rows.dtype)
            over = over_inverse[part].clone()
            over[:, : ctx.kept] += ahead @ rows.mT
            over_gram = inverse.mT @ (over @ inverse.mT * half) @ inverse
            over_rows = torch.baddbmm(inverse[:, : ctx.kept].mT @ ahead, over_gram + over_gram.mT, rows, alpha=-1)
            for grad, one in zip(grads, over_rows.unbind(1), strict=True):
                grad[part] = one
        return *grads, None, None
