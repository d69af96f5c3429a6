r"""Best non-negative mixtures: for every query and every candidate tuple, a small non-negative least-squares problem.

With unit members :math:`c_1 .. c_k`, :math:`t_j = q \cdot c_j` and :math:`G = C C^\top`, the mixture :math:`\sum_j a_j c_j`,
:math:`a \ge 0`, closest in angle to the query solves :math:`G_{AA} a_A = t_A` on the set ``A`` of members that it uses. Two
members have a closed form. Of more, members are exchanged between the used and the unused set until the signs of both agree
with their set (Kim and Park 2011); the few pairs that do not settle, because their members depend on each other, take one
member at a time (Lawson and Hanson 1974), which always ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.library import custom_op

from tuplet.functional._frame import dot

SHARE = 2**15  # pairs that are solved at a time on a CPU: few enough that all working memory stays in the cache
ROUNDS = 6  # exchanges of all offending members at once; what they do not settle takes one member at a time


def best_mixture(
    products: Float[Tensor, "k B N"], gram: Float[Tensor, "k k N"]
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "k B N"]]:
    r"""Solve :math:`s = \max_{a \ge 0, a \ne 0} a \cdot t / \sqrt{a^\top G a}` for every pair.

    Args:
        products: ``(k, B, N)``, :math:`t_j`, of queries of any length with ``k >= 1`` members of unit length (or zero).
        gram: ``(k, k, N)`` inner products of the members of each candidate.

    Returns:
        ``(B, N)`` the score, the cosine times the length of the query, and ``(k, B, N)`` the weights of the unit vector that
        reaches it, :math:`b = a / \sqrt{a^\top G a}`. Not differentiable; `tuplet.functional.cone.conic` is. Where every
        :math:`t_j \le 0` the best mixture is the best single member. In float32 the score is right to a few 1e-7 however
        close the members are. Members that cancel each other are not mixed if what is left is lost in rounding: two unit
        members whose sum is shorter than about 2e-3 (float64: 1e-7). Just above, float32 errs by some percent.

    Source:
        Kim and Park (2011), Fast nonnegative matrix factorization: block principal pivoting. Lawson and Hanson (1974), Solving
        least squares problems, chapter 23.

    Example:
        >>> t = torch.tensor([[[3.0, -1.0]], [[4.0, -2.0]]])
        >>> s, b = best_mixture(t, torch.eye(2)[..., None].expand(2, 2, 2))
        >>> s.tolist(), b[:, 0].T.tolist()
        ([[5.0, -1.0]], [[0.6000000238418579, 0.800000011920929], [1.0, 0.0]])
    """
    k = len(products)
    if k == 1:
        return products[0].clone(), torch.ones_like(products)
    if products.dtype == torch.float64:  # `unit` leaves lengths within 1e-6 of 1 alone, which is far from rounding here
        length = torch.stack([gram[i, i] for i in range(k)]).sqrt()
        scale = torch.where(length > 0.5, 1 / length, 1.0)
        score, weights = _of_unit(products * scale[:, None], gram * scale * scale[:, None])
        return score, weights * scale[:, None]
    return _of_unit(products, gram)


def _of_unit(products: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
    """Solve for two or more members of unit length, or zero."""
    k, rows, columns = products.shape
    if torch.compiler.is_compiling():
        if k == 2:
            score, *used = _of_two(products, gram)
            return score, torch.stack(used)
        score, *used, doubtful = _of_many(products, gram)
        return cast("tuple[Tensor, Tensor]", settled(products, gram, score, torch.stack(used), doubtful))
    score = products.new_empty(rows, columns)
    weights = score.new_empty(k, rows, columns)
    doubtful = score.new_zeros(rows, columns, dtype=torch.bool)
    step = max(1, rows if score.is_cuda else SHARE // max(columns, 1))
    for i in range(0, rows, step):
        share = slice(i, i + step)
        t = products[:, share]
        if k == 2:
            _of_two(t, gram, score[share], weights[0, share], weights[1, share])
        else:
            score[share], *used, doubtful[share] = _of_many(t, gram)
            for member, weight in zip(weights, used, strict=True):
                member[share] = weight
    if k > 2:
        _settle(products, gram, score, weights, doubtful)
    return score, weights


def _settle(products: Tensor, gram: Tensor, score: Tensor, weights: Tensor, doubtful: Tensor) -> None:
    """Solve anew, in place, where a guess may be wrong."""
    flat, flat_weights = score.view(-1), weights.flatten(1)
    if len(pair := doubtful.flatten().nonzero()[:, 0]):
        t = products.flatten(1)[:, pair]
        flat[pair], flat_weights[:, pair] = _exchange(t, gram[..., pair % gram.shape[2]])


@custom_op("tuplet::settled", mutates_args=(), schema="(Tensor t, Tensor g, Tensor s, Tensor w, Tensor d) -> (Tensor, Tensor)")
def settled(products: Tensor, gram: Tensor, score: Tensor, weights: Tensor, doubtful: Tensor) -> tuple[Tensor, Tensor]:
    """Do what `_settle` does as one step of a compiled graph, which cannot wait for the last pair."""
    both = score.clone(), weights.clone()
    _settle(products, gram, *both, doubtful)
    return both


settled.register_fake(lambda products, gram, score, weights, doubtful: (torch.empty_like(score), torch.empty_like(weights)))


def _of_two(t: Tensor, gram: Tensor, *out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Solve for two members: ``a = adj(G) t``, a multiple of the solution, where both are positive, else one of them."""
    inner, (score, one, two) = gram[0, 1], out or (None,) * 3  # the results' own memory holds what leads to them
    a, b = (torch.addcmul(t[i], inner, t[1 - i], value=-1, out=w) for i, w in ((0, one), (1, two)))
    most = torch.finfo(t.dtype).max / 2
    square = (a * b).clamp_(-most, most).mul_(2 * inner).addcmul_(a, a).addcmul_(b, b)  # a'Ga, inf at most and never NaN
    length = torch.mul(a, a, out=score).addcmul_(b, b).mul_(torch.finfo(t.dtype).eps * 16)
    # 1 and 0 as numbers: a pass over truth values takes several times as long
    mixed = _above(square, length).mul_(torch.minimum(a, b).clamp_min_(0).sign_())
    single = 1 - mixed
    scale = square.clamp_min_(0).add_(single).rsqrt_().mul_(mixed)
    second = _above(t[1], t[0]).mul_(single)
    a, b = a.mul_(scale).add_(single.sub_(second)), b.mul_(scale).add_(second)
    return torch.mul(a, t[0], out=score).addcmul_(b, t[1]), a, b


def _above(x: Tensor, y: Tensor) -> Tensor:
    """Say where ``x > y``, 1 or 0."""
    return (x - y).clamp_min_(0).sign_()


def _of_many(t: Tensor, gram: Tensor) -> tuple[Tensor, ...]:
    """Solve with a good guess of the set in use: the score, every member's weight, and where that may be wrong."""
    a, worst = _candidate(t, gram, [x.sign() for x in _guess(t, gram)])
    score = dot(a, t)  # a'Ga as well, as a solves the equations of its members
    limit = dot(a, a).mul_(16 * torch.finfo(t.dtype).eps).clamp_min_(torch.finfo(t.dtype).tiny)
    top = _top(t)
    mixed = top.clamp_min(0).sign_()  # 0 where all members lie behind the query: the first of the best is taken alone
    doubtful = torch.maximum(worst, limit - score).mul_(mixed) > 0
    scale, left = torch.maximum(score, limit).rsqrt_().mul_(mixed), 1 - mixed
    score = (score * scale).addcmul_(left, top)
    weights = []
    for x, product in zip(a, t, strict=True):
        alone = (top - product).sign_().neg_().add_(1).mul_(left)
        weights.append((x * scale).add_(alone))
        left = left - alone
    return score, *weights, doubtful


def _guess(t: Tensor, gram: Tensor) -> list[Tensor]:
    """Guess the weights: exactly where all members have the same inner products; then sweep with the true ones."""
    k = len(t)
    mean = ((gram.sum(dim=(0, 1)) - k) / (k * (k - 1))).clamp(0, 0.999)
    level: Tensor | float = 0.0
    for _ in range(2):  # a_j > 0 if and only if t_j > level, which follows from the sum over those above it
        above = [(x - level).clamp_min_(0).sign_() for x in t]
        level = dot(above, t).mul_(mean).div_(reduce(torch.add, above).mul_(mean).add_(1 - mean))
    a = [(x - level).mul_(1 / (1 - mean)).clamp_min_(0) for x in t]
    for i in [*range(k)] * (3 if torch.compiler.is_compiling() else 1):  # compiled, a sweep costs less than a wrong guess
        a[i] = _left(t[i], gram[i], a, skip=i).clamp_min_(0)
    return a


def _candidate(t: Tensor, gram: Tensor, used: Sequence[Tensor] | Tensor) -> tuple[list[Tensor], Tensor]:
    """Solve for the used members (1, others 0) by an LDL factor, entry by entry over all pairs; say what offends most."""
    k, eps = len(t), torch.finfo(t.dtype).eps
    low: list[list[Tensor]] = [[] for _ in range(k)]  # L D and L, row by row
    high: list[list[Tensor]] = [[] for _ in range(k)]
    inverse: list[Tensor] = []
    y: list[Tensor] = []
    for i in range(k):
        pivot, value = gram[i, i].clamp_min(0.5), t[i]
        for j in range(i):
            entry = gram[i, j]
            for m in range(j):
                entry = _less(entry, low[i][m], high[j][m], fresh=m > 0)
            low[i].append(entry)
            high[i].append(entry * inverse[j])
            pivot = _less(pivot, entry, high[i][j], fresh=j > 0)
            value = _less(value, high[i][j], y[j], fresh=j > 0)
        inverse.append(used[i] * pivot / (pivot * pivot + (4 * eps) ** 2))
        y.append(value)
    a: list[Tensor] = []  # from the last member to the first
    for i in reversed(range(k)):
        value = y[i] * inverse[i]
        for m in range(i + 1, k):
            value.addcmul_(high[m][i], a[k - 1 - m], value=-1)
        a.append(value)
    a.reverse()
    # what the used members leave is rounding, large where their weights are
    worst = _top([_left(t[i], gram[i], a).mul_(1 - used[i]) for i in range(k)]).sub_(_slack(t, a))
    return a, reduce(torch.maximum, [-x for x in a], worst)


def _slack(t: Tensor, a: Sequence[Tensor] | Tensor, eps: float | None = None) -> Tensor:
    """Bound the rounding of what a mixture leaves of products that are right to ``eps``."""
    return torch.maximum(_top(t).clamp_min(0), _top([x.abs() for x in a])).mul_(64 * (eps or torch.finfo(t.dtype).eps))


def _exchange(t: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
    """Solve for ``n`` pairs, exchanging members until none is on the wrong side."""
    every, place = (t, gram), torch.arange(t.shape[1], device=t.device)
    used = torch.stack(_guess(t, gram)) > 0
    a = result = torch.stack(_candidate(t, gram, used.to(t.dtype))[0])
    for k in range(ROUNDS + 1):
        slack = _slack(t, a)  # who is on the wrong side: used with a negative weight, or unused and would help
        off = torch.stack([(a[i] < 0) | (~used[i] & (_left(t[i], gram[i], a) > slack)) for i in range(len(t))])
        rest = off.any(dim=0).nonzero()[:, 0]
        place, t, gram, used, off = (x[..., rest] for x in (place, t, gram, used, off))
        if not len(rest):
            break
        if k == ROUNDS:
            a = _one_by_one(t.double(), gram.double(), torch.finfo(t.dtype).eps).to(t.dtype)
        else:
            used = used ^ off
            a = torch.stack(_candidate(t, gram, used.to(t.dtype))[0])
        result[:, place] = a
    return _scaled(result, *every)


def _one_by_one(t: Tensor, gram: Tensor, eps: float) -> Tensor:
    """Solve in float64 for products right to ``eps``: take who helps most, drop who would turn negative, and repeat."""
    k = len(t)
    used, a = torch.zeros_like(t, dtype=torch.bool), torch.zeros_like(t)
    for _ in range(3 * k):
        left = torch.stack([_left(t[i], gram[i], a) for i in range(k)])
        helps, which = left.masked_fill(used, -torch.inf).max(dim=0)
        going = helps > _slack(t, a, eps)
        if not going.any():
            break
        used = used | (torch.nn.functional.one_hot(which, k).mT.bool() & going)
        for _ in range(k + 1):
            solved = torch.stack(_candidate(t, gram, used.to(t.dtype))[0])
            wrong = used & (solved <= 0)
            # as far towards the solution as no weight turns negative; who reaches 0 first is dropped
            way = torch.where(wrong, a / (a - solved).clamp_min(torch.finfo(t.dtype).tiny), torch.inf)
            far = way.amin(dim=0)
            a = torch.where(used, a + far.clamp_max(1) * (solved - a), 0.0)
            used = used & ~(wrong & (way <= far))
            a = torch.where(used, a, 0.0)
            if not wrong.any():
                break
    return a


def _scaled(a: Tensor, t: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
    """Scale mixtures to unit length; where there is none, or its members cancel, take the best single member."""
    a = a.clamp_min(0)
    score, best = dot(a, t), _top(t)
    square = score - dot(a, torch.stack([_left(t[i], gram[i], a) for i in range(len(t))]))  # a'Ga
    limit = (dot(a, a) * (16 * torch.finfo(t.dtype).eps)).clamp_min(torch.finfo(t.dtype).tiny)
    mixed = (square > limit) & (score > 0)
    scale = torch.where(mixed, square, 1.0).rsqrt()
    score, weights = score * scale, a * scale
    only = torch.nn.functional.one_hot(t.argmax(dim=0), len(t)).movedim(-1, 0).to(t.dtype)
    single = ~mixed | (best > score)
    return torch.where(single, best, score), torch.where(single, only, weights)


def _less(x: Tensor, a: Tensor, b: Tensor, *, fresh: bool) -> Tensor:
    """Subtract a product, in place where the memory is ours."""
    return x.addcmul_(a, b, value=-1) if fresh else torch.addcmul(x, a, b, value=-1)


def _top(a: Sequence[Tensor] | Tensor) -> Tensor:
    """Take the largest over the members."""
    return reduce(torch.maximum, a)


def _left(t: Tensor, row: Tensor, a: Sequence[Tensor] | Tensor, skip: int | None = None) -> Tensor:
    """Take from ``t`` what the mixture explains, ``t - sum_j row_j a_j``."""
    used = [j for j in range(len(a)) if j != skip]
    out = torch.addcmul(t, row[used[0]], a[used[0]], value=-1)
    for j in used[1:]:
        out.addcmul_(row[j], a[j], value=-1)
    return out
