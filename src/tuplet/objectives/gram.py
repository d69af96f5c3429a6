"""GRAM: contrast by the volume that a tuple spans (Cicchetti et al., ICLR 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from tuplet.functional._blocks import BlockSize, Positives, cut
from tuplet.functional._rough import Rough
from tuplet.functional.scores import paired_volume
from tuplet.functional.span import Span, span_of
from tuplet.objectives._contrastive import Anchored, Anchors
from tuplet.objectives._pairs import SignMode
from tuplet.objectives.compose import check_width, rows_with
from tuplet.objectives.temperature import Tau, at
from tuplet.types import Embeddings, Traits


class Gram(Anchored):
    r"""InfoNCE on minus the volume spanned by an anchor and the intact tuple of the other modalities.

    .. math:: V_{ij} = \sqrt{\det G(z^a_i, z^1_j, .., z^{M-1}_j)}, \qquad
        L = \tfrac12 \big[ \mathrm{CE}(-V / \tau) + \mathrm{CE}(-V^\top / \tau) \big]

    Args:
        anchors: ``"one"``, the modality ``anchor`` contrasted with the others (the authors' program); ``"all"``, the mean of
            the loss with every modality as the anchor.
        anchor: the anchor (the authors use text); the first name in sorted order when left out. Only with ``"one"``.
        conditional: False for the volume. True divides it by that of the tuple without the anchor, which leaves the anchor's
            distance to their span: otherwise a candidate tuple of small volume pulls every query towards it, a hub.
        tau: temperature; 0.07, the authors' initial value. A number, a `Temperature`, or, for ``anchors="all"``, a dict per
            anchor.
        weights: per anchor, relative; only for ``anchors="all"``.
        label_smoothing: in [0, 1); 0.1 as in the authors' program (the paper does not mention it).
        sign: ``"ignore"``, ``"check"`` (warn once when matches have a negative mean cosine) or ``"penalise"`` (add the mean
            of ``max(0, -cosine) / tau`` over matches).
        positives, block_size: as in `Pairwise`.

    Raises:
        InputError: for an unknown anchor or weight, fewer than two modalities, or ``D < M`` (every volume would be 0).

    Notes:
        When to use: to compare with GRAM, or from encoders that are already aligned; from scratch with ``sign`` set.
        Volume is blind to sign: training from scratch may end with matching embeddings pointing apart. Volumes are factored in
        float64, with a finite gradient where modalities coincide. Unlike in the authors' program, both factors receive the
        gradient of both directions. Missing modalities: a row contributes the volume over the modalities it has (two or more),
        beside the rows that have them too; without the anchor the first one present takes its place. Cost: M - 1 products of
        B x D x B; M times that with ``anchors="all"``. With M = 2 it is ``sqrt(1 - cos^2)``, not CLIP.

    Source:
        Cicchetti et al. (2025), Gramian multimodal representation learning and alignment. The average over anchors and the
        conditional volume are not theirs.

    Example:
        >>> e = torch.eye(4)
        >>> loss = Gram(anchor="text")(Embeddings.of({"text": e, "image": e, "sound": e}))
        >>> sorted(loss.terms)
        ['contrast']
    """

    traits = Traits(symmetric=False, missing="patterns", sign_blind=True, cost="M B^2 D")

    def __init__(
        self,
        *,
        anchors: Anchors = "one",
        anchor: str | None = None,
        conditional: bool = False,
        tau: Tau = 0.07,
        weights: Mapping[str, float] | None = None,
        label_smoothing: float = 0.1,
        sign: SignMode = "ignore",
        positives: Positives = "own",
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__(
            anchors=anchors,
            anchor=anchor,
            tau=tau,
            weights=weights,
            label_smoothing=label_smoothing,
            sign=sign,
            positives=positives,
            block_size=block_size,
        )
        self.conditional = conditional
        if anchors == "all":
            self.traits = replace(self.traits, symmetric=self.even, cost="M^2 B^2 D")

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return minus the volume of every query with every candidate, ``(Nq, Nc)``; at most 0.

        The volume does not depend on the order of its vectors, so any split of the modalities will do. If conditional, it
        is divided by the volumes of both sides, that of a single unit vector being 1.
        """
        queries, others = self._sides(query, candidates)
        check_width(len(queries) + len(others), queries[0].shape[1], "volumes need D >= M")
        if len(queries) == 1:
            return -self._volumes(span_of(others)).volume_with(queries[0])
        if len(others) == 1:
            return -self._volumes(span_of(queries)).volume_with(others[0]).mT
        n, m = queries[0].shape[0], others[0].shape[0]
        rows = [paired_volume([*(q[i].expand(m, -1) for q in queries), *others]) for i in range(n)]
        volumes = torch.stack(rows)
        if self.conditional:
            apart = paired_volume(queries)[:, None] * paired_volume(others)
            volumes = volumes / apart.clamp_min(torch.finfo(apart.dtype).tiny)
        return -volumes

    def bounds(self, rough: Rough) -> Tensor:
        """Return minus the smallest volumes that are possible, ``(B, N)``."""
        length, volume = rough.spanned()
        height = (1 - length.square_()).clamp_min_(0).sqrt_().mul_(1e-6 - 1)
        return height if self.conditional else height.mul_(volume)

    def _volumes(self, span: Span) -> Span:
        return span._replace(volume=torch.ones_like(span.volume)) if self.conditional else span

    def _anchored(self, emb: Embeddings, name: str) -> Tensor:
        q, rest = emb.z[name], [emb.z[k] for k in emb.modalities if k != name]
        check_width(len(rest) + 1, q.shape[1], "volumes need D >= M")
        span, height = Span.with_height(rest, q)
        span = self._volumes(span)
        scaled = span._replace(volume=span.volume / -at(self.tau, name))  # tau on N volumes instead of B * N
        valid = rows_with(emb, emb.modalities)
        return self._info_nce(emb, lambda i, j: scaled.at(j).volume_with(cut(q, i)), height * scaled.volume, valid)
