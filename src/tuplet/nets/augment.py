"""Augmentation of feature vectors, where nothing is known about them but their scale."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tuplet.types import Batch, in_range


class Augment:
    r"""Random views of a batch: noise on every number, and some numbers set to zero.

    .. math:: x \mapsto m \odot (x + \sigma \epsilon), \qquad \epsilon \sim N(0, 1),\; m \sim \mathrm{Bernoulli}(1 - p)

    Args:
        noise: :math:`\sigma`, in units of the inputs; they are assumed to be scaled to a variance of about 1, as
            `tuplet.data.from_arrays` does.
        drop: :math:`p` in [0, 1).

    Notes:
        Random numbers come from torch's generator of the device, which training saves and restores. Integer inputs, such as
        token ids, pass as they are. Missing rows stay marked as missing.

    Example:
        >>> from tuplet.data import from_arrays
        >>> rows = from_arrays({"a": torch.randn(20, 3).numpy(), "b": torch.randn(20, 2).numpy()}).train
        >>> Augment()(rows[:]).inputs["a"].shape == rows[:].inputs["a"].shape
        True
    """

    def __init__(self, *, noise: float = 0.1, drop: float = 0.2) -> None:
        in_range("noise", noise, 0)
        in_range("drop", drop, 0, 1)
        self.noise, self.drop = noise, drop

    def __call__(self, batch: Batch) -> Batch:
        """Return one random view of the batch's inputs."""
        seen = Batch(inputs=batch.inputs, present={}, index=batch.index).map(self._changed).inputs
        return replace(batch, inputs=seen)

    def _changed(self, x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        return torch.where(torch.rand_like(x) < self.drop, 0.0, x + self.noise * torch.randn_like(x))
