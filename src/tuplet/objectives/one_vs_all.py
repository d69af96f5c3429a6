"""OVA-IB: every modality against the span of all the others, with an information bottleneck (Li et al., 2026)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from tuplet.functional._blocks import BlockSize, Positives, cut
from tuplet.functional._rough import Rough
from tuplet.functional.rows import unit
from tuplet.functional.scores import cosine
from tuplet.functional.span import Span, span_of
from tuplet.objectives._contrastive import Contrastive
from tuplet.objectives._pairs import SignMode
from tuplet.objectives._patterns import COUNTED
from tuplet.objectives.compose import check_width, row_mean, rows_with, weighted_mean
from tuplet.objectives.temperature import Tau, at
from tuplet.types import Embeddings, InputError, Traits, in_range, one_of

TOGETHER = 2**14
"""Rows up to which the spans of all modalities' others are computed in one go; beyond, the copies cost more."""


class OneVsAll(Contrastive):
    r"""One-versus-all information bottleneck: sufficiency plus ``beta`` times minimality.

    .. math::
        L_S = \frac1M \sum_m \mathrm{mean}_n \Big[ \log \sum_{n' \ne n} e^{s_m(n, n') / \tau} - s_m(n, n) / \tau \Big],
        \quad s_m(n, n') = \cos(z^m_n, P_{n'} z^m_n)

        L_M = \frac1M \sum_m \mathrm{mean}_n \Big| z^m_n - \frac{1}{M-1} \sum_{i \ne m} z^i_n \Big|^2

    where :math:`P_{n'}` projects onto the span of the other modalities of row ``n'``.

    Args:
        beta: weight of minimality, >= 0; 1 in the paper (0.5 on WESAD).
        tau: temperature, > 0; 0.01 in the paper. A number, a `Temperature`, or a dict per modality.
        weights: per modality as the one against all, relative, of both terms.
        include_positive: whether the matching pair is in the denominator. False is the paper's equation 9; the loss can
            then be negative.
        negatives: ``"query"`` projects the query itself onto every candidate's span, as retrieval does; ``"own"`` compares it
            with the projection of each candidate row's own embedding. The paper allows both readings.
        projector: ``"span"`` (equation 11) or ``"mlp"`` (the paper's ablation: a network maps the others to one vector).
        ridge: :math:`\lambda` of equation 11, >= 0; 1e-8 in the paper. It bounds gradients when modalities nearly coincide,
            and is left out where it could not change a digit.
        modalities: number of modalities; only for ``projector="mlp"``.
        dim: embedding dimension; only for ``projector="mlp"``.
        sign: as in `Gram`.
        positives, block_size: as in `Pairwise`.

    Raises:
        InputError: for fewer than two modalities, ``D < M`` (every score would be 1), an ``"mlp"`` without sizes.

    Notes:
        When to use: where each modality should be predictable from all others together, with tau tuned. The span score is
        blind to sign; minimality is not. At tau = 0.01 scores of random rows differ by many temperatures, which on small data
        may prevent alignment. With M = 2 the score is ``|cos|``, so this is not CLIP. Rows are scaled to unit length first;
        the paper does not say, but otherwise minimality could be met by shrinking. Missing modalities: a row contributes the
        loss over the modalities it has (two or more), each against the span of the others, beside the rows that have them
        too; ``projector="mlp"`` needs complete rows. Cost: M (M - 1) products of B x D x B; ``"own"`` M products.

    Source:
        OVA-IB (Li et al., 2026), equations 9 to 12 and 18 to 21.

    Example:
        >>> e = torch.eye(4)
        >>> loss = OneVsAll(beta=0.5, tau=1.0)(Embeddings.of({"force": e, "touch": e, "video": e}))
        >>> {k: round(float(v), 4) for k, v in loss.terms.items()}  # log 3 - 1, and no distance
        {'sufficiency': 0.0986, 'minimality': 0.0}
    """

    traits = Traits(missing="patterns", sign_blind=True, cost="M^2 B^2 D")

    def __init__(
        self,
        *,
        beta: float = 1.0,
        tau: Tau = 0.01,
        weights: Mapping[str, float] | None = None,
        include_positive: bool = False,
        negatives: Literal["query", "own"] = "query",
        projector: Literal["span", "mlp"] = "span",
        ridge: float = 1e-8,
        modalities: int | None = None,
        dim: int | None = None,
        sign: SignMode = "ignore",
        positives: Positives = "own",
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__(
            tau=tau, weights=weights, include_positive=include_positive, sign=sign, positives=positives, block_size=block_size
        )
        in_range("beta", beta, 0)
        in_range("ridge", ridge, 0)
        one_of("negatives", negatives, ("query", "own"))
        one_of("projector", projector, ("span", "mlp"))
        self.beta, self.negatives, self.ridge = beta, negatives, ridge
        self.traits = replace(self.traits, symmetric=self.even)
        self.mlps: nn.ModuleList | None = None
        if projector == "mlp":
            if modalities is None or dim is None:
                raise InputError("projector='mlp' needs modalities=M and dim=D, the number and size of the embeddings")
            self.traits = replace(self.traits, missing="complete")
            self.mlps = nn.ModuleList(
                nn.Sequential(nn.Linear((modalities - 1) * dim, dim), nn.GELU(), nn.Linear(dim, dim)) for _ in range(modalities)
            )

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return sufficiency and weighted minimality."""
        names, valid = emb.modalities, rows_with(emb, emb.modalities)
        m, dim = len(names), emb.z[names[0]].shape[1]
        check_width(m, dim, "the others would span everything, use D >= M")
        if self.mlps is not None and len(self.mlps) != m:
            raise InputError(f"z has {m} modalities, but the projector was built for modalities={len(self.mlps)}")
        z = [emb.z[k] for k in names]
        rests = [z[:i] + z[i + 1 :] for i in range(m)]
        others: Sequence[Span | list[Tensor]] = rests
        if self.mlps is None:
            if m * len(emb) > TOGETHER:
                others = [span_of(rest, ridge=self.ridge) for rest in rests]
            else:
                others = span_of([torch.cat(parts) for parts in zip(*rests, strict=True)], ridge=self.ridge).split(m)
        shares = self._shares(names)
        sufficiency = weighted_mean([self._one(emb, k, others[i], i, valid) for i, k in enumerate(names)], shares)
        return {"sufficiency": sufficiency, "minimality": self.beta * minimality(emb, names, shares)}

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the projection score, ``(Nq, Nc)`` in [0, 1].

        The side with fewer modalities is projected onto the span of the other side, its modalities averaged. With
        ``projector="mlp"`` one side must be a single modality and the other all the rest.
        """
        queries, others = self._sides(query, candidates)
        if self.mlps is not None:
            return self._mlp_score(query, candidates, queries, others)
        check_width(len(queries) + len(others), queries[0].shape[1], "the others would span everything, use D >= M")
        if len(queries) <= len(others):
            span = span_of(others, ridge=self.ridge)
            return torch.stack([span.project(q) for q in queries]).mean(dim=0)
        span = span_of(queries, ridge=self.ridge)
        return torch.stack([span.project(c) for c in others]).mean(dim=0).mT

    def bounds(self, rough: Rough) -> Tensor | None:
        """Return the longest projections that are possible, ``(B, N)``; the ridge only shortens them."""
        return rough.spanned()[0] if self.mlps is None else None

    def vectors(self, side: dict[str, Tensor]) -> Tensor:
        """Return an orthonormal basis of the members' span, ``(N, k, D)``; the members themselves for ``projector="mlp"``."""
        members = [self._ready(side[k]) for k in sorted(side)]
        return torch.stack(members, dim=1) if self.mlps is not None else span_of(members).basis.transpose(0, 1)

    def _one(self, emb: Embeddings, name: str, others: Span | list[Tensor], i: int, valid: Tensor | None) -> Tensor:
        """Contrast one modality, the ``i``-th, of every row with the others of every row."""
        q, tau = emb.z[name], at(self.tau, name)
        if isinstance(others, Span) and self.negatives == "query":
            span = others
            positive = span.project_own(q, tau=tau)

            def logits(queries: slice, candidates: slice) -> Tensor:
                return span.at(candidates).project(cut(q, queries), tau=tau)
        else:
            target = self._projected(q, others) if isinstance(others, Span) else self._mapped(others, i)
            positive = (q * target).sum(dim=1) / tau

            def logits(queries: slice, candidates: slice) -> Tensor:
                return (cut(q, queries) / tau) @ cut(target, candidates).mT

        return self._info_nce(emb, logits, positive, valid, both=False)

    def _projected(self, q: Tensor, span: Span) -> Tensor:
        """Return the direction of every row's projection onto the span of its own others, ``(B, D)``."""
        inner = torch.einsum("kbd,bd->kb", span.basis, q)
        return unit(torch.einsum("kbd,kb->bd", span.basis, inner))

    def _mapped(self, rest: list[Tensor], i: int) -> Tensor:
        """Return what modality ``i``'s network makes of the others, unit rows ``(B, D)``."""
        assert self.mlps is not None
        inputs = torch.cat(rest, dim=1)
        mapped = self.mlps[i](inputs.to(next(self.mlps[i].parameters()).dtype))
        return unit(mapped.to(inputs.dtype))  # retrieval scores in float64, whatever the network's dtype

    def _mlp_score(
        self, query: dict[str, Tensor], candidates: dict[str, Tensor], queries: list[Tensor], others: list[Tensor]
    ) -> Tensor:
        assert self.mlps is not None
        names = sorted(query | candidates)
        if len(names) != len(self.mlps) or min(len(queries), len(others)) != 1:
            raise InputError(
                f"query has {sorted(query)} and candidates {sorted(candidates)}; with projector='mlp' one side must be "
                f"one modality and the other the remaining {len(self.mlps) - 1}"
            )
        if len(queries) == 1:
            return cosine(queries[0], [self._mapped(others, names.index(next(iter(query))))])
        return cosine(others[0], [self._mapped(queries, names.index(next(iter(candidates))))]).mT


def minimality(emb: Embeddings, anchors: Sequence[str], weights: Sequence[float]) -> Tensor:
    r"""Average :math:`|z^m_n - \frac{1}{M-1} \sum_{i \ne m} z^i_n|^2` over anchors by weight and over rows."""
    names = emb.modalities
    stacked = torch.stack([emb.z[k] for k in names])
    apart = (stacked - stacked.mean(dim=0)).square().sum(dim=2) * (len(names) / (len(names) - 1)) ** 2
    per_row = weighted_mean([apart[names.index(k)] for k in anchors], weights)
    return row_mean(per_row, rows_with(emb, names), emb.rows, emb.aux.get(COUNTED))
