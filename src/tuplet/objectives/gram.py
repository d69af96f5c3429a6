"""GRAM: contrast by the volume that a tuple spans (Cicchetti et al., ICLR 2025)."""

from __future__ import annotations

import torch
from torch import Tensor

from tuplet.functional.contrast import contrast, cut, pair_mask
from tuplet.functional.scores import paired_volume
from tuplet.functional.span import span_and_volume, span_of, volume_over
from tuplet.objectives.compose import Objective, rows_with
from tuplet.objectives.temperature import Temperature, temperature
from tuplet.types import Embeddings, InputError, Traits


class Gram(Objective):
    r"""InfoNCE on minus the volume spanned by an anchor and the intact tuple of the other modalities.

    .. math:: V_{ij} = \sqrt{\det G(z^a_i, z^1_j, .., z^{M-1}_j)}, \qquad
        L = \tfrac12 \big[ \mathrm{CE}(-V / \tau) + \mathrm{CE}(-V^\top / \tau) \big]

    Args:
        anchor: the modality that is contrasted with the others (the authors use text); the first name in sorted
            order when left out.
        tau: temperature; 0.07, the authors' initial value.
        label_smoothing: in [0, 1); 0.1 as in the authors' program (the paper does not mention it).
        block_size: queries per block, to bound memory at large B; None keeps one block.

    Raises:
        InputError: for an unknown anchor, fewer than two modalities, or ``D < M`` (every volume would be 0).

    Notes:
        Volume is blind to sign: opposite vectors span no volume either, so training from scratch may end with
        matching embeddings pointing apart (check the mean positive cosine). The positives' volumes come from
        differences, which keeps them exact and their gradient finite where modalities coincide. Unlike the authors'
        program, both factors receive the gradient of both directions. Missing modalities: complete rows only. Cost:
        M - 1 products of B x D x B. With M = 2 it is ``sqrt(1 - cos^2)``, not CLIP.

    Source:
        Cicchetti et al. (2025), Gramian multimodal representation learning and alignment.

    Example:
        >>> e = torch.eye(4)
        >>> loss = Gram(anchor="text")(Embeddings.of({"text": e, "image": e, "sound": e}))
        >>> sorted(loss.terms)
        ['contrast']
    """

    traits = Traits(symmetric=False, sign_blind=True, cost="M B^2 D")

    def __init__(
        self,
        *,
        anchor: str | None = None,
        tau: float | Temperature = 0.07,
        label_smoothing: float = 0.1,
        block_size: int | None = None,
    ) -> None:
        super().__init__()
        self.anchor = anchor
        self.tau = temperature(tau)
        self.label_smoothing = label_smoothing
        self.block_size = block_size

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the contrastive term."""
        q, rest = anchor_and_rest(emb, self.anchor)
        if q.shape[1] <= len(rest):
            raise InputError(f"z has D = {q.shape[1]} for {len(rest) + 1} modalities; volumes need D >= M")
        (span, own), tau, valid = span_and_volume(rest, q), self.tau(), rows_with(emb, emb.modalities)
        span = span._replace(volume=span.volume / -tau)  # tau on N volumes instead of B * N
        loss = contrast(
            lambda queries, candidates: volume_over(cut(q, queries), span.at(candidates)),
            own / -tau,
            rows=emb.rows,
            keep=pair_mask(valid, emb.group),
            valid=valid,
            label_smoothing=self.label_smoothing,
            block_size=self.block_size,
        )
        return {"contrast": loss}

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return minus the volume of every query with every candidate, ``(Nq, Nc)``; at most 0.

        The volume does not depend on the order of its vectors, so any split of the modalities will do.
        """
        queries, others = self._sides(query, candidates)
        if len(queries) == 1:
            return -volume_over(queries[0], span_of(others))
        if len(others) == 1:
            return -volume_over(others[0], span_of(queries)).mT
        n, m = queries[0].shape[0], others[0].shape[0]
        rows = [paired_volume([*(q[i].expand(m, -1) for q in queries), *others]) for i in range(n)]
        return -torch.stack(rows)


def anchor_and_rest(emb: Embeddings, anchor: str | None) -> tuple[Tensor, list[Tensor]]:
    """Split embeddings into the anchor's and the others', in sorted order.

    Args:
        emb: the embeddings.
        anchor: a modality; the first name in sorted order when None.

    Returns:
        The anchor's ``(B, D)`` and the list of the others'.

    Raises:
        InputError: for an unknown anchor.

    Source:
        Elementary.

    Example:
        >>> len(anchor_and_rest(Embeddings.of({k: torch.eye(2) for k in "abc"}), "b")[1])
        2
    """
    names = emb.modalities
    if anchor is not None and anchor not in names:
        raise InputError(f"anchor is {anchor!r}, expected one of {list(names)}")
    first = names[0] if anchor is None else anchor
    return emb.z[first], [emb.z[k] for k in names if k != first]
