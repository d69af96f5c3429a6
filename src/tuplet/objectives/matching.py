"""AnyTouch: tell whether two touches are of the same object, whatever the sensor; and losses that encoders hand over."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuplet.objectives.compose import Objective, row_mean
from tuplet.types import Embeddings, InputError, Traits


class SensorMatching(Objective):
    r"""Classify pairs of touches as one object seen by two sensors, or as two objects.

    .. math:: L = \mathrm{BCE}(w \cdot (z_i \odot z_{p(i)}) + b, 1) + \mathrm{BCE}(w \cdot (z_i \odot z_{n(i)}) + b, 0)

    Args:
        width: ``D`` of the embeddings.
        modality: whose rows are matched.

    Raises:
        InputError: if the embeddings have no ``aux["sensor"]``, no ``aux["object"]`` and no groups, or no such modality.

    Notes:
        When to use: with objects that several sensors touched, beside an alignment objective:
        ``any_objective + 0.1 * SensorMatching(768)``. For every row the positive is the next row of the batch, in cyclic order,
        with its object (``aux["object"]``, or else its group) and another sensor; the negative is the next one with another
        object. Rows without either count for nothing in that half. It has no retrieval score.

    Source:
        AnyTouch, cross-sensor matching; its code draws the pairs in the data loader.

    Example:
        >>> aux = {"object": torch.tensor([0, 0, 1, 1]), "sensor": torch.tensor([0, 1, 0, 1])}
        >>> emb = Embeddings.of({"touch": torch.eye(4), "text": torch.eye(4)}, aux=aux)
        >>> SensorMatching(4)(emb).total.shape
        torch.Size([])
    """

    traits = Traits(modalities=(1, None), symmetric=False, rowwise=False, missing="pairs", cost="B^2 + B D")
    score = None

    def __init__(self, width: int, *, modality: str = "touch") -> None:
        super().__init__()
        self.head, self.modality = nn.Linear(width, 1), modality

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the two halves, pairs of one object and pairs of two."""
        thing = emb.aux.get("object", emb.group)
        if thing is None or "sensor" not in emb.aux or self.modality not in emb.z:
            raise InputError(
                f"the embeddings have {list(emb.modalities)} and aux {sorted(emb.aux)}, expected {self.modality!r}, the aux "
                f"'sensor' and, where rows have no group, the aux 'object'"
            )
        z, held, sensor = emb.z[self.modality], emb.present[self.modality], emb.aux["sensor"]
        there = held[:, None] & held[None, :]
        alike = there & (thing[:, None] == thing[None, :]) & (sensor[:, None] != sensor[None, :])
        other = there & (thing[:, None] != thing[None, :])
        found = {}
        for name, allowed, label in (("same", alike, 1.0), ("other", other, 0.0)):
            partner, valid = self._next(allowed)
            found[name] = row_mean(self.losses(z, z[partner], label), valid, emb.rows)
        return found

    def losses(self, anchor: Tensor, partner: Tensor, label: float) -> Tensor:
        """Return the loss ``(B,)`` of pairs that are (1) or are not (0) of one object."""
        logits = self.head((anchor * partner).to(self.head.weight.dtype))[:, 0]
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label), reduction="none")

    @staticmethod
    def _next(allowed: Tensor) -> tuple[Tensor, Tensor]:
        """Return each row's next allowed partner in cyclic order, and whether there is one."""
        n = len(allowed)
        order = (torch.arange(n, device=allowed.device)[None, :] - torch.arange(n, device=allowed.device)[:, None]) % n
        ranked = torch.where(allowed, order, n)  # (B, B): how many rows further a partner stands
        best, partner = ranked.min(dim=1)
        return partner, best < n


class Handed(Objective):
    r"""The mean of a loss per row that an encoder hands over in ``aux``, such as a masked reconstruction.

    .. math:: L = \frac1B \sum_i a_i

    Args:
        name: key of ``aux``.

    Raises:
        InputError: if ``aux`` has no such key.

    Notes:
        When to use: beside an alignment objective, ``Pairwise() + Handed("reconstruction.touch")``.

    Source:
        AnyTouch, whose masked autoencoding is trained together with the alignment.

    Example:
        >>> emb = Embeddings.of({"a": torch.eye(2), "b": torch.eye(2)}, aux={"cost": torch.tensor([1.0, 3.0])})
        >>> float(Handed("cost")(emb).total)
        2.0
    """

    traits = Traits(modalities=(1, None), symmetric=False, rowwise=True, missing="pairs", cost="B")
    score = None

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the mean."""
        if self.name not in emb.aux:
            raise InputError(f"aux has {sorted(emb.aux)}, expected {self.name!r}; an encoder that returns Encoded gives it")
        return {"mean": row_mean(emb.aux[self.name].float(), None, emb.rows)}
