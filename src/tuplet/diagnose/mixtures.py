"""Which modalities jointly explain a query: the weights of the best non-negative mixture, per matching row."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tuplet.functional._frame import gram_of
from tuplet.functional.nnls import best_mixture
from tuplet.functional.rows import unit
from tuplet.functional.span import span_of
from tuplet.types import Embeddings, InputError

IN_USE = 1e-6  # share of the weights from which a member counts as in use; below it is rounding


@dataclass(frozen=True, slots=True)
class Mixture:
    r"""How the other modalities of a row explain one of them, the query, for every measured row.

    Attributes:
        query: the modality that is explained.
        members: the ``k`` others, in sorted order.
        rows: int64 ``(n,)``, the rows that have the query and at least one member.
        present: bool ``(n, k)``, the members that the row has.
        weights: ``(n, k)``, :math:`b \ge 0` with :math:`|\sum_j b_j c_j| = 1`; 0 for absent members.
        score: ``(n,)`` in [-1, 1], the cosine of the query with that mixture, the score of `tuplet.objectives.Cone`.
        single: ``(n,)``, the cosine with the best single member.
        span: ``(n,)`` in [0, 1], the length of the query's projection onto the span of the members, whatever the signs.
    """

    query: str
    members: tuple[str, ...]
    rows: Tensor
    present: Tensor
    weights: Tensor
    score: Tensor
    single: Tensor
    span: Tensor

    @property
    def share(self) -> Tensor:
        """Return the weights over their sum, ``(n, k)``; every row sums to 1."""
        return self.weights / self.weights.sum(dim=1, keepdim=True)

    @property
    def active(self) -> Tensor:
        """Return how many members each row uses, int64 ``(n,)``."""
        return (self.share > IN_USE).sum(dim=1)

    def summary(self) -> dict[str, float]:
        """Return means over rows, ready for a log.

        ``share|NAME`` and ``used|NAME``, the mean share of a member and how often it is in use, over the rows that have it
        (NaN where none has); ``active|NUMBER``, the share of rows that use so many members; ``score``, ``single`` and
        ``span``; ``gain``, the mean of ``score - single``.
        """
        share, active = self.share, self.active
        found = {}
        for j, name in enumerate(self.members):
            seen = share[self.present[:, j], j]
            found[f"share|{name}"] = float(seen.mean())
            found[f"used|{name}"] = float((seen > IN_USE).double().mean())
        found |= {f"active|{c}": float((active == c).double().mean()) for c in range(1, len(self.members) + 1)}
        found |= {name: float(getattr(self, name).mean()) for name in ("score", "single", "span")}
        return found | {"gain": found["score"] - found["single"]}

    def __str__(self) -> str:
        """Say in a few lines which members explain the query."""
        s = self.summary()
        scores = f"mixture {s['score']:.3f}, best single {s['single']:.3f}, span {s['span']:.3f}"
        lines = [f"{self.query}, {len(self.rows)} rows: {scores}"]
        lines += [f"  {k}: share {s[f'share|{k}']:.2f}, in use in {s[f'used|{k}']:.0%} of rows" for k in self.members]
        numbers = ", ".join(f"{c}: {s[f'active|{c}']:.0%}" for c in range(1, len(self.members) + 1))
        return "\n".join([*lines, f"  members in use: {numbers}"])


@torch.no_grad()
def mixture(emb: Embeddings, *, query: str | None = None) -> dict[str, Mixture]:
    r"""Measure with which non-negative weights the other modalities of a row explain each modality.

    .. math:: b = \arg\max_{b \ge 0,\, |\sum_j b_j c_j| = 1} \; q \cdot \sum_j b_j c_j

    Args:
        emb: the embeddings, made by any objective.
        query: the modality to explain; each in turn when left out.

    Returns:
        Query -> `Mixture` of its matching rows. ``print`` one to read it.

    Raises:
        InputError: for an unknown query, one modality alone, or where no row has the query and another modality.

    Notes:
        A row is explained by the members that it has; a query that no row has beside another modality is left out unless it is
        asked for. Where the query lies behind all members, the best single member has all the weight. Of nearly coincident
        members only the sum of weights is determined. A mixture is never worse than its best member, also for rows that do
        not match: read ``gain`` beside what retrieval gains. Cost ``M^2 B D``, in float64.

    Source:
        Ours; the non-negative least-squares fit (Lawson and Hanson, 1974) of `tuplet.objectives.Cone`.

    Example:
        >>> e = torch.eye(4)
        >>> emb = Embeddings.of({"sound": (e[:1] + e[1:2]) / 2**0.5, "force": e[:1], "touch": e[1:2], "video": e[2:3]})
        >>> found = mixture(emb, query="sound")["sound"]
        >>> found.members, found.share.round(decimals=3).tolist()
        (('force', 'touch', 'video'), [[0.5, 0.5, 0.0]])
    """
    names = emb.modalities
    if query is not None and query not in names:
        raise InputError(f"query is {query!r}, expected one of {list(names)}")
    if len(names) < 2:
        raise InputError(f"z has only {names[0]!r}; a mixture needs a modality beside the query")
    z = {k: unit(v.double()) for k, v in emb.z.items()}
    found = {}
    for name in names if query is None else (query,):
        members = tuple(k for k in names if k != name)
        there = torch.stack([emb.present[k] for k in members], dim=1)
        rows = (emb.present[name] & there.any(dim=1)).nonzero()[:, 0]
        if len(rows):
            found[name] = _explained(z, name, members, rows, there[rows])
    if not found:
        which = "two modalities" if query is None else f"{query!r} and another modality"
        raise InputError(f"no row has {which}; give rows in which they occur together")
    return found


def _explained(z: dict[str, Tensor], query: str, members: tuple[str, ...], rows: Tensor, there: Tensor) -> Mixture:
    """Solve the matching rows, one pattern of presence at a time."""
    weights = z[query].new_zeros(there.shape)
    score, single, span = (weights.new_zeros(len(rows)) for _ in range(3))
    patterns, which = torch.unique(there, dim=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        mine = (which == i).nonzero()[:, 0]
        kept = pattern.nonzero()[:, 0]
        q, c = z[query][rows[mine]], [z[members[j]][rows[mine]] for j in kept.tolist()]
        products = torch.stack([(q * x).sum(dim=1) for x in c])
        s, b = best_mixture(products[:, None], gram_of(c))
        weights[mine[:, None], kept] = b[:, 0].T
        score[mine], single[mine], span[mine] = s[0], products.amax(dim=0), span_of(c).project_own(q)
    limits = ((score, -1, 1), (single, -1, 1), (span, 0, 1))
    score, single, span = (x.clamp(low, high) for x, low, high in limits)
    return Mixture(query, members, rows, there, weights, score, single, span)
