"""Scores of a query against candidate tuples, each reduced to matrix products.

A candidate tuple ``C = (c_1 .. c_k)`` enters only through an orthonormal basis ``W`` of its span, so a score of every
query against every candidate costs ``k`` products of ``(B, D) x (D, N)`` and no ``(B, N, k, k)`` tensor of Gram
matrices. Bases are computed in float64, which keeps nearly parallel modalities apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional._frame import even_product, frame, gram_of, heights, root
from tuplet.functional.cone import conic
from tuplet.functional.rows import unit
from tuplet.functional.span import span_of
from tuplet.types import InputError


def cosine(anchor: Float[Tensor, "B D"], rest: Sequence[Float[Tensor, "N D"]]) -> Float[Tensor, "B N"]:
    r"""Mean cosine of each query with the members of each candidate tuple, :math:`\frac1k \sum_j \cos(q, c_j)`.

    Args:
        anchor: ``(B, D)`` queries.
        rest: ``k >= 1`` tensors ``(N, D)``; row ``n`` of all of them is one candidate tuple.

    Returns:
        ``(B, N)`` in [-1, 1].

    Raises:
        InputError: if ``rest`` is empty or dimensions disagree; so do all scores here.

    Source:
        The retrieval score of pairwise objectives (OVA-IB, section 4.4: "averaged cosine similarity").

    Example:
        >>> q, c = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
        >>> cosine(q, [q, c])
        tensor([[0.5000]])
    """
    _check(anchor, rest)
    return even_product(unit(anchor), torch.stack([unit(c) for c in rest]).mean(dim=0))


def conic_cosine(anchor: Float[Tensor, "B D"], rest: Sequence[Float[Tensor, "N D"]]) -> Float[Tensor, "B N"]:
    r"""Cosine of each query with the best non-negative mixture of a candidate tuple.

    .. math:: s(q, C) = \max_{a \ge 0,\, a \ne 0} \cos\Big(q, \sum_j a_j c_j\Big)

    Args:
        anchor, rest: as in `cosine`; no length matters.

    Returns:
        ``(B, N)`` in [-1, 1]: at least the best single cosine, at most `span_projection`, which it equals where the span's
        coefficients are non-negative. Continuous but for members that cancel each other to within rounding (in float32, a sum
        of unit members shorter than about 2e-3), which are not mixed. ``k`` products of ``(B, D) x (D, N)`` and a few dozen
        passes over ``(B, N)`` numbers each. First derivatives only: exact where the optimal mixture is unique, a subgradient
        at ties.

    Source:
        Ours; a non-negative least-squares problem (Lawson and Hanson, 1974) per pair, see `tuplet.functional.cone`.

    Example:
        >>> e = torch.eye(3)
        >>> conic_cosine(torch.stack([e[0] + e[1], e[0] - e[1]]), [e[:1], e[1:2]])
        tensor([[1.0000],
                [0.7071]])
    """
    _check(anchor, rest)
    query, members = unit(anchor), [unit(c) for c in rest]
    return conic([even_product(query, c) for c in members], gram_of(members))


def multilinear(anchor: Float[Tensor, "B D"], rest: Sequence[Float[Tensor, "N D"]]) -> Float[Tensor, "B N"]:
    r"""Multilinear inner product, :math:`\sum_d q_d \prod_j c_{j,d}`.

    Args:
        anchor, rest: as in `cosine`, taken as they are.

    Returns:
        ``(B, N)``. For ``k >= 2`` it is no measure of agreement: identical unit vectors score ``sum z^(k+1)``, near 0, and
        flipping the sign of one member flips the score.

    Source:
        Symile (Saporta et al., 2024), the MIP score.

    Example:
        >>> ones = torch.ones(1, 3)
        >>> multilinear(ones, [2 * ones, ones])
        tensor([[6.]])
    """
    _check(anchor, rest)
    return anchor @ reduce(torch.mul, rest).mT


def simplex_volume(anchor: Float[Tensor, "B D"], rest: Sequence[Float[Tensor, "N D"]]) -> Float[Tensor, "B N"]:
    r"""Volume of the parallelotope on a query and a candidate tuple, :math:`\sqrt{\det G(q, c_1, .., c_k)}`.

    Args:
        anchor, rest: as in `cosine`, usually unit rows.

    Returns:
        ``(B, N)``, computed as :math:`\mathrm{vol}(C)\,\sqrt{|q|^2 - |P_C q|^2}`: 0 when the query lies in the span of the
        tuple. Blind to the sign of every vector. A distance to the span of nearly 0 has an absolute error of about
        ``sqrt(eps)``; `paired_volume` has not.

    Source:
        GRAM (Cicchetti et al., 2025), the Gramian volume.

    Example:
        >>> e = torch.eye(3)
        >>> simplex_volume(e[:2], [e[1:2], e[2:]]).round(decimals=4)
        tensor([[1.],
                [0.]])
    """
    _check(anchor, rest)
    return span_of(rest).volume_with(anchor)


def triangle_area(
    anchor: Float[Tensor, "B D"], rest: Sequence[Float[Tensor, "N D"]], *, squared: bool = True
) -> Float[Tensor, "B N"]:
    r"""Area of the triangle with corners ``q``, ``c_1``, ``c_2``.

    .. math:: \tfrac12 \sqrt S, \qquad S = |u|^2 |v|^2 - (u \cdot v)^2, \quad u = q - c_1,\; v = q - c_2

    Args:
        anchor: ``(B, D)`` queries, usually unit rows.
        rest: exactly two tensors ``(N, D)``.
        squared: True for :math:`\tfrac12 S`, twice the squared area (the authors' code trains with it), or the true area.

    Returns:
        ``(B, N)``, at least 0; 0 whenever the corners are collinear, for instance for ``c_1 == c_2`` and any query.

    Source:
        TRIANGLE (Cicchetti et al., 2025).

    Example:
        >>> e = torch.eye(3)
        >>> triangle_area(e[:1], [e[1:2], e[2:]], squared=False)  # sqrt(3) / 2
        tensor([[0.8660]])
    """
    _check(anchor, rest)
    if len(rest) != 2:
        raise InputError(f"rest holds {len(rest)} tensors, expected 2: a triangle has three corners; use simplex_volume")
    # Shifting all corners by one vector changes nothing and keeps the expansion of |q - c|^2 well conditioned; the edge
    # c_2 - c_1 keeps the digits of nearly coincident candidates.
    centre = rest[0].detach().mean(dim=0)
    q, a, edge = anchor - centre, rest[0] - centre, rest[1] - rest[0]
    to_a = q.square().sum(1)[:, None] - 2 * (q @ a.mT) + a.square().sum(1)
    gram = to_a * edge.square().sum(1) - (q @ edge.mT - (a * edge).sum(1)).square()
    return torch.relu(gram) / 2 if squared else root(gram) / 2


def span_projection(
    anchor: Float[Tensor, "B D"], rest: Sequence[Float[Tensor, "N D"]], *, ridge: float = 0.0
) -> Float[Tensor, "B N"]:
    r"""Cosine of a query with its projection onto the span of a candidate tuple.

    .. math:: s = \cos(q, \bar q), \qquad \bar q = A (A^\top A + \lambda I)^{-1} A^\top q, \quad A = [c_1 .. c_k]

    Args:
        anchor, rest: as in `cosine`; without a ridge no length matters.
        ridge: :math:`\lambda >= 0`; it bounds the gradient when members nearly coincide.

    Returns:
        ``(B, N)`` in [0, 1], :math:`|P_C q| / |q|` without a ridge, where dependent members count once. Blind to sign.

    Source:
        OVA-IB (Li et al., 2026), equations 9 to 11.

    Example:
        >>> e = torch.eye(3)
        >>> span_projection(e[:1] + e[1:2], [e[1:2], e[2:]])  # 45 degrees
        tensor([[0.7071]])
    """
    _check(anchor, rest)
    return span_of(rest, ridge=ridge).project(anchor)


def paired_volume(members: Sequence[Float[Tensor, "B D"]]) -> Float[Tensor, " B"]:
    r"""Volume of the parallelotope on row ``i`` of every tensor, :math:`\sqrt{\det G_i}`.

    Args:
        members: two or more tensors ``(B, D)``.

    Returns:
        ``(B,)``, factored in float64. Members within ``delta`` of each other keep a relative accuracy of about
        ``1e-16 / delta^2``; those closer than 6e-8 of their length have volume 0. The gradient is finite for both.

    Source:
        GRAM (Cicchetti et al., 2025).

    Example:
        >>> e = torch.eye(2)
        >>> paired_volume([e, e.flip(0)]).round(decimals=4)
        tensor([1., 1.])
    """
    return heights(members, frame(members, kept=0)[1]).prod(dim=1).to(members[0].dtype)


def paired_area(members: Sequence[Float[Tensor, "B D"]], *, squared: bool = True) -> Float[Tensor, " B"]:
    """Area of the triangle with corners at row ``i`` of three tensors, as `triangle_area` defines it.

    Args:
        members: three tensors ``(B, D)``.
        squared: as in `triangle_area`.

    Returns:
        ``(B,)``, at least 0; exact for nearly coincident members.

    Source:
        TRIANGLE (Cicchetti et al., 2025).

    Example:
        >>> e = torch.eye(3)
        >>> paired_area([e[:1], e[1:2], e[2:]], squared=False)
        tensor([0.8660])
    """
    u, v = members[0] - members[1], members[0] - members[2]
    # |u|^2 |v|^2 - (u.v)^2 = |u|^2 |v - (v.u / u.u) u|^2, without the cancellation
    uu = u.square().sum(1)
    across = v - ((v * u).sum(1) / torch.where(uu == 0, 1.0, uu))[:, None] * u
    gram = uu * across.square().sum(1)
    return gram / 2 if squared else root(gram) / 2


def _check(anchor: Tensor, rest: Sequence[Tensor]) -> None:
    if not rest:
        raise InputError("rest is empty; give at least one (N, D) tensor of candidates")
    for i, c in enumerate(rest):
        if c.shape != rest[0].shape or c.ndim != 2 or c.shape[1] != anchor.shape[-1]:
            raise InputError(
                f"rest[{i}] has shape {tuple(c.shape)}, expected (N, {anchor.shape[-1]}) with one N for all, to match "
                f"anchor {tuple(anchor.shape)}"
            )
