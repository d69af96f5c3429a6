"""CoMM: contrast of every modality, and of their fusion, with the fusion of another view (Dufumier et al., ICLR 2025)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tuplet.functional._blocks import BlockSize, Positives, size_of_block
from tuplet.functional.rows import unit
from tuplet.nets.fusion import Fusion
from tuplet.objectives._patterns import without_gaps
from tuplet.objectives.cmc import nt_xent
from tuplet.objectives.compose import Objective
from tuplet.objectives.temperature import Temperature, temperature
from tuplet.types import Embeddings, InputError, Traits, one_of


class CoMM(Objective):
    r"""NT-Xent of every single modality and of the fusion, in one view, against the fusion in the other view.

    .. math::
        L = \frac{1}{M + 1} \sum_{i \in \{1, .., M, \mathrm{fused}\}} \tfrac12 \big[ \mathrm{NTXent}(f_i(x'), f(x''))
            + \mathrm{NTXent}(f_i(x''), f(x')) \big]

    where :math:`x', x''` are two random views of the inputs, :math:`f` fuses the embeddings of all modalities and :math:`f_i`
    that of one modality, with the same small transformer.

    Args:
        modalities: their names; the fusion has a learned offset for each.
        dim: ``D`` of the embeddings.
        heads: attention heads of the fusion.
        tau: temperature, or a learnable `Temperature`; 0.1, fixed in the authors' program.
        positives, block_size: as in `Pairwise`.

    Raises:
        InputError: for embeddings with other modalities or another ``D``, or heads that do not divide it.

    Notes:
        When to use: meant to keep what one modality alone, or only several together, tell; needs inputs that can be
        augmented. The fusion is part of the objective and trained with it. The two views come in ``aux`` as
        ``view0.<modality>`` and ``view1.<modality>``; `tuplet.fit` adds them, from `tuplet.nets.Augment` or your own
        ``augment``. Without them both views are the embeddings themselves. The authors fuse token sequences of their encoders
        and augment images and text; here each modality is one token, its embedding. Missing modalities: the fusion is over
        those present; rows with fewer than two contribute nothing, and absent ones no single-modality term. Cost: 8 (M + 1)
        products of B x D x B, and 2 (M + 1) passes of the fusion. The score fuses each side and takes the cosine.

    Source:
        Dufumier et al. (2025), What to align in multimodal contrastive learning?, equation 6 and algorithm 1.

    Example:
        >>> emb = Embeddings.of({"audio": torch.eye(8), "video": torch.eye(8)})
        >>> sorted(CoMM(("audio", "video"), 8)(emb).terms)
        ['audio', 'fused', 'video']
    """

    traits = Traits(missing="pairs", cost="8 M B^2 D", needs=("views",))
    inner = True

    def __init__(
        self,
        modalities: Sequence[str],
        dim: int,
        *,
        heads: int = 4,
        tau: float | Temperature = 0.1,
        positives: Positives = "own",
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__()
        size_of_block(block_size, 1)  # refused now, if at all
        one_of("positives", positives, ("own", "group"))
        if isinstance(modalities, str):
            raise InputError(f"modalities is {modalities!r}, expected a sequence of names, such as ('force', 'sound')")
        self.fusion = Fusion(modalities, dim, heads=heads)
        self.dim, self.tau = dim, temperature(tau)
        self.positives, self.block_size = positives, block_size

    def check(self, emb: Embeddings) -> None:
        """Refuse other modalities than the fusion was built for."""
        width = next(iter(emb.z.values())).shape[1]
        if emb.modalities != self.fusion.modalities or width != self.dim:
            raise InputError(
                f"z has {emb.modalities} with D = {width}, but CoMM was built for {self.fusion.modalities}, dim={self.dim}"
            )

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return a term per modality, and that of the fusion."""
        several = torch.stack(list(emb.present.values())).sum(dim=0) >= 2
        masks = {k: emb.present[k] & several for k in emb.modalities}
        views = [self._view(emb, 0), self._view(emb, 1)]
        alone = [[self.fusion({k: view[k]}, {}) for k in emb.modalities] for view in views]
        fused = [self.fusion(view, emb.present) for view in views]
        everyone = without_gaps(emb) or (not torch.compiler.is_compiling() and bool(torch.stack([*masks.values()]).all()))
        per_term = comm(
            [*alone[0], fused[0]],
            [*alone[1], fused[1]],
            tau=self.tau(),
            rows=emb.rows,
            valid=None if everyone else [*masks.values(), several],
            group=emb.group,
            positives=self.positives,
            block_size=self.block_size,
        )
        counted = torch.stack([mask.any() for mask in (*masks.values(), several)]).sum().clamp_min(1)
        return dict(zip((*emb.modalities, "fused"), per_term / counted, strict=True))

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the cosine of the fused queries with the fused candidates, ``(Nq, Nc)``."""
        self._sides(query, candidates)
        return self.vectors(query)[:, 0] @ self.vectors(candidates)[:, 0].mT

    def vectors(self, side: dict[str, Tensor]) -> Tensor:
        """Return the fused rows at unit length, ``(N, 1, D)``."""
        return unit(self.fusion({k: self._ready(z) for k, z in side.items()}, {}))[:, None]

    def _view(self, emb: Embeddings, number: int) -> dict[str, Tensor]:
        names = {k: f"view{number}.{k}" for k in emb.modalities}
        return {k: self._ready(emb.aux[v]) if v in emb.aux else emb.z[k] for k, v in names.items()}


def comm(
    a: Sequence[Float[Tensor, "N D"]],
    b: Sequence[Float[Tensor, "N D"]],
    *,
    tau: float | Tensor,
    rows: slice,
    valid: Sequence[Bool[Tensor, " N"]] | None = None,
    group: Int[Tensor, " N"] | None = None,
    positives: Positives = "own",
    block_size: BlockSize = "auto",
) -> Float[Tensor, " K"]:
    r"""CoMM's terms from the embeddings of two views, the fused one last."""
    u, v = [unit(x) for x in a], [unit(x) for x in b]

    def one(x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        return nt_xent(x, y, tau=tau, rows=rows, valid=mask, group=group, positives=positives, block_size=block_size)

    masks: Sequence[Tensor | None] = [None] * len(a) if valid is None else valid
    terms = [(one(x, v[-1], mask) + one(y, u[-1], mask)) / 2 for x, y, mask in zip(u, v, masks, strict=True)]
    return torch.stack(terms)
