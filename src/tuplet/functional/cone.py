"""The cosine of a query with the cone of a tuple, the non-negative mixtures of its members; and between two cones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional._derivative import first_order
from tuplet.functional._frame import dot
from tuplet.functional.nnls import SHARE, best_mixture


def conic(products: Sequence[Float[Tensor, "B N"]], gram: Float[Tensor, "k k N"]) -> Float[Tensor, "B N"]:
    r"""Give the scores of `best_mixture`, differentiable in both arguments.

    .. math:: \partial s / \partial t_j = b_j, \qquad \partial s / \partial G_{ij} = -\tfrac12 s\, b_i b_j

    Args:
        products, gram: as in `best_mixture`.

    Returns:
        ``(B, N)``. By the envelope theorem the gradient needs the optimal weights alone; a subgradient at ties.

    Source:
        Danskin (1966), The theory of max-min, with applications.

    Example:
        >>> t = torch.tensor([[0.6]], requires_grad=True)
        >>> conic([t, torch.tensor([[-0.2]])], torch.eye(2)[..., None]).backward()
        >>> t.grad
        tensor([[1.]])
    """
    if len(products) == 1:
        return products[0]
    return cast(Tensor, _Conic.apply(gram, torch.stack(list(products))))


def between(
    products: Float[Tensor, "j k B N"], left: Float[Tensor, "j j B"], right: Float[Tensor, "k k N"], *, rounds: int = 20
) -> Float[Tensor, "B N"]:
    r"""Find the largest cosine between two cones, :math:`\max_{a, b \ge 0} \cos(\sum_i a_i q_i, \sum_j b_j c_j)`.

    Args:
        products: ``(j, k, B, N)``, :math:`q_i \cdot c_j` of unit members.
        left: ``(j, j, B)`` inner products of the queries' members.
        right: ``(k, k, N)`` inner products of the candidates' members.
        rounds: of solving for either side in turn; 0 or more.

    Returns:
        ``(B, N)``. Exact where one side has one member; otherwise the best of ``j`` ascents, one from each query member, which
        in rare cases end at a lower maximum. Costs ``j * (1 + 2 * rounds)`` solutions of `best_mixture`.

    Source:
        Ours, by alternating maximisation; the problem is the smallest angle of two polyhedral cones.

    Example:
        >>> e = torch.eye(2)
        >>> between(torch.tensor([[[[1.0]], [[0.0]]], [[[0.0]], [[1.0]]]]), e[..., None], e[..., None])
        tensor([[1.]])
    """
    if len(products) == 1:
        return best_mixture(products[0], right)[0]
    if products.shape[1] == 1:
        return best_mixture(products[:, 0].mT, left)[0].mT
    found = []
    for start in products:
        score, b = best_mixture(start, right)
        for _ in range(rounds):
            _, a = best_mixture(torch.stack([dot(row, b).mT for row in products]), left)
            a = a.mT
            score, b = best_mixture(torch.stack([dot(x, a) for x in products.transpose(0, 1)]), right)
        found.append(score)
    return torch.stack(found).amax(dim=0)


class _Conic(torch.autograd.Function):
    """`best_mixture` with its derivative by the envelope theorem."""

    @staticmethod
    def forward(ctx: Any, gram: Tensor, products: Tensor) -> Tensor:
        score, weights = best_mixture(products, gram)
        ctx.save_for_backward(score, weights)
        return score

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor]:
        score, weights = ctx.saved_tensors
        over_products = weights * grad
        over_gram = None
        if ctx.needs_input_grad[0]:
            k, (rows, columns) = len(weights), score.shape
            over_gram = weights.new_zeros(k, k, columns)
            pairs = SHARE * 8 if torch.compiler.is_compiling() else SHARE  # a compiled loop is written out
            step = rows if score.is_cuda else max(1, pairs // max(columns, 1))
            for r in range(0, rows, step):
                share = slice(r, r + step)
                half = score[share] * -0.5
                for i in range(k):
                    scaled = over_products[i, share] * half
                    for j in range(i + 1):
                        over_gram[i, j] += (scaled * weights[j, share]).sum(dim=0)
            for i in range(k):
                over_gram[:i, i] = over_gram[i, :i]
        return over_gram, over_products
