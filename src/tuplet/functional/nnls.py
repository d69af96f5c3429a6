r"""Best non-negative mixtures: for every query and every candidate tuple, a small non-negative least-squares problem.

With unit members :math:`c_1 .. c_k`, :math:`t_j = q \cdot c_j` and :math:`G = C C^\top`, the mixture :math:`\sum_j a_j c_j`,
:math:`a \ge 0`, closest in angle to the query solves :math:`G_{AA} a_A = t_A` on the set ``A`` of members that it uses. Two
members have a closed form. Of more, members are exchanged between the used and the unused set until the signs of both agree
with their set (Kim and Park 2011); the few pairs that do not settle, because their members depend on each other, take one
member at a time (Lawson and Hanson 1974), which always ends.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

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
        score, *both = _of_two(products, gram) if k == 2 else _compiled(products, gram)
        return score, torch.stack(both) if k == 2 else both[0]
    score = products.new_empty(rows, columns)
    weights = score.new_empty(k, rows, columns)
    doubtful, behind = score.new_zeros(2, rows, columns, dtype=torch.bool)
    step = max(1, rows if score.is_cuda else SHARE // max(columns, 1))
    for i in range(0, rows, step):
        share = slice(i, i + step)
        t = products[:, share]
        if k == 2:
            _of_two(t, gram, score[share], weights[0, share], weights[1, share])
        else:
            score[share], weights[:, share], doubtful[share], behind[share] = _of_many(t, gram)
    flat, flat_weights = score.view(-1), weights.flatten(1)
    if k > 2 and len(pair := behind.flatten().nonzero()[:, 0]):
        flat[pair], which = products.flatten(1)[:, pair].max(dim=0)
        flat_weights[:, pair] = torch.nn.functional.one_hot(which, k).mT.to(score.dtype)
    if k > 2 and len(pair := doubtful.flatten().nonzero()[:, 0]):
        t = products.flatten(1)[:, pair]
        flat[pair], flat_weights[:, pair] = _exchange(t, gram[..., pair % columns])
    return score, weights


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


def _of_many(t: Tensor, gram: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Solve with a good guess of the set in use; say where it may be wrong, and where all members lie behind the query."""
    a, worst = _candidate(t, gram, _guess(t, gram).sign_())
    score = dot(a, t)  # a'Ga as well, as a solves the equations of its members
    limit = dot(a, a).mul_(16 * torch.finfo(t.dtype).eps).clamp_min_(torch.finfo(t.dtype).tiny)
    behind = _top(t) <= 0
    doubtful = (torch.maximum(worst, limit - score) > 0) & ~behind
    scale = torch.maximum(score, limit).rsqrt_()
    return score * scale, a * scale, doubtful, behind


def _compiled(t: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
    """Solve with a fixed number of exchanges, as a compiled loop cannot wait for the last pair."""
    used = _guess(t, gram) > 0
    a, _ = _candidate(t, gram, used.to(t.dtype))
    for _ in range(ROUNDS):  # a pair without offenders stays as it is
        used = used ^ _offending(t, gram, a, used)
        a, _ = _candidate(t, gram, used.to(t.dtype))
    return _scaled(a, t, gram)


def _guess(t: Tensor, gram: Tensor) -> Tensor:
    """Guess the weights: exactly where all members have the same inner products; then sweep once with the true ones."""
    k = len(t)
    mean = ((gram.sum(dim=(0, 1)) - k) / (k * (k - 1))).clamp(0, 0.999)
    level: Tensor | float = 0.0
    for _ in range(2):  # a_j > 0 if and only if t_j > level, which follows from the sum over those above it
        above = (t - level).clamp_min_(0).sign_()
        level = dot(above, t).mul_(mean).div_(_sum(above).mul_(mean).add_(1 - mean))
    a = (t - level).mul_(1 / (1 - mean)).clamp_min_(0)
    for i in range(k):
        a[i] = _left(t[i], gram[i], a, skip=i).clamp_min_(0)
    return a


def _candidate(t: Tensor, gram: Tensor, used: Tensor) -> tuple[Tensor, Tensor]:
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
    a = torch.empty_like(t)
    for i in reversed(range(k)):
        value = y[i] * inverse[i]
        for m in range(i + 1, k):
            value.addcmul_(high[m][i], a[m], value=-1)
        a[i] = value
    unused = 1 - used  # what the used members leave is rounding, large where their weights are
    worst = _top(torch.stack([_left(t[i], gram[i], a).mul_(unused[i]) for i in range(k)])).sub_(_slack(t, a))
    for i in range(k):
        worst = torch.maximum(worst, -a[i])
    return a, worst


def _slack(t: Tensor, a: Tensor, eps: float | None = None) -> Tensor:
    """Bound the rounding of what a mixture leaves of products that are right to ``eps``."""
    return torch.maximum(_top(t).clamp_min(0), _top(a.abs())).mul_(64 * (eps or torch.finfo(t.dtype).eps))


def _offending(t: Tensor, gram: Tensor, a: Tensor, used: Tensor) -> Tensor:
    """Say of every member whether it is on the wrong side: a used one with a negative weight, an unused one that would help."""
    slack = _slack(t, a)
    return torch.stack([(a[i] < 0) | (~used[i] & (_left(t[i], gram[i], a) > slack)) for i in range(len(t))])


def _exchange(t: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
    """Solve for ``n`` pairs, exchanging members until none is on the wrong side."""
    every, place = (t, gram), torch.arange(t.shape[1], device=t.device)
    used = _guess(t, gram) > 0
    a, _ = _candidate(t, gram, used.to(t.dtype))
    result = a
    for k in range(ROUNDS + 1):
        off = _offending(t, gram, a, used)
        rest = off.any(dim=0).nonzero()[:, 0]
        place, t, gram, used, off = (x[..., rest] for x in (place, t, gram, used, off))
        if not len(rest):
            break
        if k == ROUNDS:
            a = _one_by_one(t.double(), gram.double(), torch.finfo(t.dtype).eps).to(t.dtype)
        else:
            used = used ^ off
            a, _ = _candidate(t, gram, used.to(t.dtype))
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
            solved, _ = _candidate(t, gram, used.to(t.dtype))
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


def _sum(a: Tensor) -> Tensor:
    """Sum over the members."""
    out = a[0] + a[1]
    for x in a[2:]:
        out += x
    return out


def _top(a: Tensor) -> Tensor:
    """Take the largest over the members."""
    out = torch.maximum(a[0], a[1])
    for x in a[2:]:
        out = torch.maximum(out, x)
    return out


def _left(t: Tensor, row: Tensor, a: Tensor, skip: int | None = None) -> Tensor:
    """Take from ``t`` what the mixture explains, ``t - sum_j row_j a_j``."""
    used = [j for j in range(len(a)) if j != skip]
    out = torch.addcmul(t, row[used[0]], a[used[0]], value=-1)
    for j in used[1:]:
        out.addcmul_(row[j], a[j], value=-1)
    return out
