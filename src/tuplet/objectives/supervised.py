"""Task losses: late fusion trained end to end on labels, the ceiling beside alignment; and one head per modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuplet.nets import Named
from tuplet.objectives.compose import Objective, row_mean, rows_with
from tuplet.types import Embeddings, InputError, Traits, one_of


class Supervised(Objective):
    r"""Cross-entropy (or squared error) of a linear head on the concatenated encoder representations.

    .. math:: L = \mathrm{mean}_i\; \mathrm{CE}\big(W [h^1_i, .., h^M_i] + b,\; y_i\big)

    Args:
        in_features: total width of the representations ``h`` of all modalities.
        out_features: number of classes, or of target dimensions.
        target: name of the target. Integer targets are classes; floating ones are regressed.

    Notes:
        When to use: with labels, as the ceiling beside alignment: what the same encoders reach with them. It never touches
        ``z``. Missing modalities enter as zeros.

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

    def check(self, emb: Embeddings) -> None:
        """Refuse embeddings without the target."""
        _check_target(self.target, emb)

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the task loss."""
        out = self.head(torch.cat([emb.h[k] for k in emb.modalities], dim=1).to(self.head.weight.dtype))
        return {"task": row_mean(_losses(out, emb.target[self.target], "squared"), None, emb.rows)}


class UnimodalTask(Objective):
    r"""Sum over modalities of the loss of each one's own linear head.

    .. math::
        L = \sum_m \mathrm{mean}_i\; \ell\big(W_m h^m_i + b_m,\; y_i\big), \qquad
        \ell = \mathrm{CE} \text{ for classes}, \quad |\cdot| \text{ or } (\cdot)^2 \text{ for real targets}

    Args:
        in_features: modality -> width of its representation ``h``.
        out_features, target: as in `Supervised`.
        real: loss of real targets, averaged over their dimensions: ``"l1"`` (the paper's, for MOSEI) or ``"squared"``.

    Raises:
        InputError: for embeddings of other modalities or without that target, or an unknown loss.

    Notes:
        When to use: with labels, to align as much as helps the encoders: ``UnimodalTask(...) + lam * Pairwise(tau=0.07)`` is
        the paper's L_task + lambda L_align, where lam may be a `Schedule`. `tuplet.train.strategic` does the rest.
        It never touches ``z``, and no modality sees another's, where `Supervised` has one head on all of them.
        Missing modalities: a head averages over the rows that have its modality. Cost: one H x classes product per modality.

    Source:
        Fang, Zhang, Chan (2026), To Align or Not to Align, equation 5. The paper does not say how two encoders share L_task;
        the sum of two losses with one head each is our reading.

    Example:
        >>> import torch
        >>> e = torch.eye(2)
        >>> emb = Embeddings.of({"a": e, "b": e}, target={"label": torch.tensor([0, 1])})
        >>> sorted(UnimodalTask({"a": 2, "b": 2}, 2)(emb).terms)
        ['a', 'b']
    """

    traits = Traits(modalities=(1, None), symmetric=False, rowwise=False, missing="pairs", cost="M B H")
    score = None

    def __init__(
        self, in_features: Mapping[str, int], out_features: int, *, target: str = "label", real: Literal["l1", "squared"] = "l1"
    ) -> None:
        super().__init__()
        one_of("real", real, ("l1", "squared"))
        self.heads = Named({k: nn.Linear(in_features[k], out_features) for k in sorted(in_features)})
        self.target, self.real = target, real

    def check(self, emb: Embeddings) -> None:
        """Refuse embeddings without a head or a target."""
        if set(emb.modalities) != set(self.heads):
            raise InputError(f"in_features has {list(self.heads)}, the embeddings {list(emb.modalities)}; name the same ones")
        _check_target(self.target, emb)

    def predict(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return every head's output, ``(B, classes)`` logits or ``(B, dims)``."""
        return {k: self.heads[k](emb.h[k].to(next(self.heads[k].parameters()).dtype)) for k in emb.modalities}

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return one loss per modality."""
        y = emb.target[self.target]
        return {
            name: row_mean(_losses(out, y, self.real), rows_with(emb, (name,)), emb.rows)
            for name, out in self.predict(emb).items()
        }


def _check_target(target: str, emb: Embeddings) -> None:
    if target not in emb.target:
        raise InputError(f"target[{target!r}] is missing; the embeddings have {sorted(emb.target)}")


def _losses(out: Tensor, y: Tensor, real: Literal["l1", "squared"]) -> Tensor:
    """Return the loss of every row: cross-entropy of classes, the mean error of real targets."""
    if not y.is_floating_point():
        return F.cross_entropy(out, y, reduction="none", ignore_index=-1)
    error = out - y.reshape(out.shape)
    return (error.abs() if real == "l1" else error.square()).mean(dim=1)
