"""Soft targets: a pair of modalities that learns how alike the texts of a batch are, not only which is whose."""

from __future__ import annotations

from torch import Tensor

from tuplet.objectives.compose import Objective, row_mean, rows_with
from tuplet.objectives.temperature import Fixed, Temperature
from tuplet.types import Embeddings, InputError, Traits


class SoftTargets(Objective):
    r"""Cross-entropy of a pair's similarities to those of one of the two with itself.

    .. math:: L = -\tfrac1{2B} \sum_{ij} T_{ij} \big( \log P_{ij} + \log Q_{ij} \big), \qquad
        T = \mathrm{softmax}_j(t_i \cdot t_j / \tau_t), \; P = \mathrm{softmax}_j(x_i \cdot t_j / \tau), \;
        Q = \mathrm{softmax}_j(t_i \cdot x_j / \tau)

    Args:
        modality: ``x``, the one that learns.
        teacher: ``t``, the one whose rows say how alike they are, such as text.
        tau: temperature of the pair, a number or a `Temperature`.
        teacher_tau: temperature of the targets.
        detach: whether the targets are constants; in the published program they are not.

    Raises:
        InputError: for a modality that is not there or a temperature that is not positive.

    Notes:
        When to use: where many rows have nearly the same caption, which InfoNCE would push apart. TVL takes the mean of three
        pairs: ``(1 / 3) * (Pairwise(pairs=[("text", "vision"), ("touch", "vision")], reduction="sum") + SoftTargets())``.
        Missing modalities: only rows with both count. It has no retrieval score.

    Source:
        Fu et al. (2024), TVL; its program, where soft targets are an option that its published command leaves off.

    Example:
        >>> import torch
        >>> e = torch.eye(4)
        >>> round(float(SoftTargets(tau=0.5)(Embeddings.of({"touch": e, "text": e})).total), 4)
        0.3408
    """

    traits = Traits(symmetric=False, missing="pairs", cost="B^2 D")
    score = None

    def __init__(
        self,
        *,
        modality: str = "touch",
        teacher: str = "text",
        tau: float | Temperature = 0.07,
        teacher_tau: float = 0.05,
        detach: bool = False,
    ) -> None:
        super().__init__()
        self.tau = tau if isinstance(tau, Temperature) else Fixed(tau)
        Fixed(teacher_tau)  # refused if it is not positive
        self.modality, self.teacher, self.teacher_tau, self.detach = modality, teacher, teacher_tau, detach

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the mean of both directions."""
        names = (self.modality, self.teacher)
        if unknown := sorted(set(names) - set(emb.z)):
            raise InputError(f"the embeddings have {list(emb.modalities)}, expected {unknown} too; name modality and teacher")
        x, t, valid = emb.z[self.modality], emb.z[self.teacher], rows_with(emb, names)
        like = t.detach() if self.detach else t
        away = None if valid is None else ~valid

        def shares(left: Tensor, right: Tensor, tau: float | Tensor) -> Tensor:
            """Return log shares ``(B, B)`` over the columns; rows without both modalities are no candidates."""
            logits = left @ right.mT / tau
            return (logits if away is None else logits.masked_fill(away, -1e30)).log_softmax(dim=1)

        target = shares(like, like, self.teacher_tau).exp()  # (B, B), rows sum to 1
        both = shares(x, t, self.tau()) + shares(t, x, self.tau())
        return {"soft": row_mean(-(target * both).sum(dim=1) / 2, valid, emb.rows)}
