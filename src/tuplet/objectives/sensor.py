"""Decoupling from the sensor: features that do not give away which sensor saw them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tuplet.functional.sensor import reversal_ramp, reverse_gradient, sensor_losses
from tuplet.objectives.compose import Objective, row_mean
from tuplet.types import Embeddings, InputError, Traits, one_of


class SensorDecoupling(Objective):
    r"""Learn centroids that name the sensor, and features that confuse them.

    .. math:: L = -\frac1B \sum_i \log p(s_i \mid R_\lambda(f_i)), \qquad p(k \mid f) \propto e^{\cos(f, c_k) / \tau}

    Args:
        width: ``D`` of the features.
        sensors: number of sensors ``K``; with one the loss is 0.
        tau: temperature of the centroids.
        mode: ``"reverse"``: the gradient that reaches the features is reversed (the paper). ``"uniform"``: centroids learn on
            detached features, and features learn to be equally far from all (`sensor_confusion`), which has an optimum.
            ``"none"``: no reversal, as the published code.
        strength: :math:`\lambda` of the reversal, or the weight of the features' part of ``"uniform"``.
        ramp: raise the strength over the run from 0 (`reversal_ramp`).
        modality: whose features; their rows count where the modality is present.
        site: ``"pooled"`` reads ``h`` of the modality; ``"tokens"`` reads ``aux["tokens.<modality>"]``, the mean over tokens
            before the blocks, where the gradient reaches no adapter.

    Raises:
        InputError: if the embeddings have no ``aux["sensor"]``, no such modality, or features of another width.

    Notes:
        When to use: with two sensors or more, beside an alignment objective: ``Pairwise() + 0.1 * SensorDecoupling(768, 4)``.
        A reversed cross-entropy is unbounded: it can move every sensor to a wrong centroid, which a probe still reads. Always
        look at a held-out probe of the sensor, and compare with standardising each sensor's features. It has no retrieval
        score. Missing modalities: rows without it, or with an unknown sensor (-1), are left out.

    Source:
        TLV-CoRe, equations 2 and 3, with a gradient reversal as in the paper; ``"uniform"`` is ours.

    Example:
        >>> emb = Embeddings.of({"touch": torch.eye(4), "text": torch.eye(4)}, aux={"sensor": torch.tensor([0, 1, 0, 1])})
        >>> SensorDecoupling(4, 2)(emb).total.shape
        torch.Size([])
    """

    traits = Traits(modalities=(1, None), symmetric=False, rowwise=False, missing="pairs", cost="B K D")
    score = None

    def __init__(
        self,
        width: int,
        sensors: int,
        *,
        tau: float = 0.05,
        mode: Literal["reverse", "uniform", "none"] = "reverse",
        strength: float = 1.0,
        ramp: bool = False,
        modality: str = "touch",
        site: Literal["pooled", "tokens"] = "pooled",
    ) -> None:
        super().__init__()
        one_of("mode", mode, ("reverse", "uniform", "none"))
        one_of("site", site, ("pooled", "tokens"))
        if sensors < 1 or width < 1:
            raise InputError(f"width and sensors are {width} and {sensors}, expected 1 or more")
        self.centroids = nn.Parameter(torch.randn(sensors, width))
        self.tau, self.mode, self.strength, self.ramp = tau, mode, strength, ramp
        self.modality, self.site = modality, site
        self.progress = 0.0 if ramp else 1.0

    def advance(self, progress: float) -> None:
        """Be told how much of the run is done."""
        self.progress = progress

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the centroids' term and, with ``"uniform"``, the features' own."""
        f, sensor = self._read(emb)
        known = sensor >= 0
        strength = self.strength * (reversal_ramp(self.progress) if self.ramp else 1.0)
        seen = {"reverse": reverse_gradient(f, strength), "uniform": f.detach(), "none": f}[self.mode]
        named, _ = sensor_losses(seen, self.centroids, sensor, tau=self.tau)
        terms = {"sensor": row_mean(named, known, emb.rows)}
        if self.mode == "uniform":
            _, confused = sensor_losses(f, self.centroids.detach(), sensor, tau=self.tau)
            terms["confusion"] = strength * row_mean(confused, known, emb.rows)
        return terms

    def _read(self, emb: Embeddings) -> tuple[Tensor, Tensor]:
        """Return features and sensor ids of all rows; the id is -1 where the modality is absent."""
        where = f"tokens.{self.modality}"
        if "sensor" not in emb.aux:
            raise InputError("aux has no 'sensor'; give the sensor id of every row, aux={'sensor': ids}")
        if self.modality not in emb.z or (self.site == "tokens" and where not in emb.aux):
            raise InputError(
                f"the embeddings have {list(emb.modalities)} and aux {sorted(emb.aux)}, but the decoupling reads "
                f"{self.modality!r} at site {self.site!r}; name the modality of the sensors with modality="
            )
        f = emb.h[self.modality] if self.site == "pooled" else emb.aux[where]
        if f.shape[1] != self.centroids.shape[1]:
            raise InputError(f"features have width {f.shape[1]}, expected {self.centroids.shape[1]}; set width={f.shape[1]}")
        sensor = emb.aux["sensor"].where(emb.present[self.modality], -1)
        return f.to(self.centroids.dtype), sensor
