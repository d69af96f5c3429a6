"""Late fusion trained end to end on labels: the ceiling beside the alignment objectives."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuplet.objectives.compose import Objective, row_mean
from tuplet.types import Embeddings, InputError, Traits


class Supervised(Objective):
    r"""Cross-entropy (or squared error) of a linear head on the concatenated encoder representations.

    .. math:: L = \mathrm{mean}_i\; \mathrm{CE}\big(W [h^1_i, .., h^M_i] + b,\; y_i\big)

    Args:
        in_features: total width of the representations ``h`` of all modalities.
        out_features: number of classes, or of target dimensions.
        target: name of the target. Integer targets are classes; floating ones are regressed.

    Raises:
        InputError: if the embeddings have no such target.

    Notes:
        When to use: with labels, as the ceiling beside alignment.
        Uses labels, so it is not an alignment objective; it shows what the same encoders reach with them. It never
        touches ``z``; its retrieval score is the mean cosine of untrained projections. Missing modalities enter as
        zeros.

    Source:
        Standard late fusion.

    Example:
        >>> e = torch.eye(2)
        >>> emb = Embeddings.of({"a": e, "b": e}, target={"label": torch.tensor([0, 1])})
        >>> Supervised(4, 2)(emb).total.shape
        torch.Size([])
    """

    traits = Traits(modalities=(1, None), rowwise=False, missing="pairs", cost="M B H")
    score = None

    def __init__(self, in_features: int, out_features: int, *, target: str = "label") -> None:
        super().__init__()
        self.head = nn.Linear(in_features, out_features)
        self.target = target

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the task loss."""
        if self.target not in emb.target:
            raise InputError(f"target[{self.target!r}] is missing; the embeddings have {sorted(emb.target)}")
        y = emb.target[self.target]
        out = self.head(torch.cat([emb.h[k] for k in emb.modalities], dim=1).to(self.head.weight.dtype))
        if y.is_floating_point():
            return {"task": row_mean((out - y.reshape(out.shape)).square().mean(dim=1), None, emb.rows)}
        return {"task": row_mean(F.cross_entropy(out, y, reduction="none", ignore_index=-1), None, emb.rows)}
