"""What objectives on InfoNCE share: their options, checked when they are built, and the call of `contrast`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from tuplet.functional._blocks import BlockSize, Keep, Logits, Positives, cut, size_of_block
from tuplet.functional.contrast import contrast
from tuplet.objectives._pairs import Sign, SignMode
from tuplet.objectives._patterns import COUNTED
from tuplet.objectives.compose import Objective, Weights, check_weights, weight_of, weighted_mean
from tuplet.objectives.temperature import Tau, at, temperature
from tuplet.types import Embeddings, InputError, in_range, one_of

Anchors = Literal["one", "all"]


class Contrastive(Objective):
    """An objective that contrasts matching rows with the others of a batch."""

    both = True
    """Whether `_pair` contrasts either modality of a pair with the other."""
    weighs: Literal["anchors", "pairs"] = "anchors"
    """What the weights are of."""

    def __init__(
        self,
        *,
        tau: Tau,
        weights: Weights | None = None,
        anchors: Anchors = "all",
        anchor: str | None = None,
        include_positive: bool = True,
        label_smoothing: float = 0.0,
        sign: SignMode = "ignore",
        positives: Positives = "own",
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__()
        size_of_block(block_size, 1)  # refused now, if at all
        in_range("label_smoothing", label_smoothing, 0, 1)
        one_of("positives", positives, ("own", "group"))
        if weights is not None and not isinstance(weights, Mapping):
            raise InputError(f"weights is {weights!r}, expected a dict, such as {{'force': 2.0}}")
        for key, value in (weights or {}).items():
            if len((key,) if isinstance(key, str) else tuple(key)) > 2:
                raise InputError(f"weights has the key {key!r}, expected a modality or a pair of modalities")
            in_range(f"weights[{key!r}]", value, 0)
        one_of("anchors", anchors, ("one", "all"))
        if anchors == "all" and anchor is not None:
            raise InputError(f"anchor is {anchor!r}, which only anchors='one' uses; leave one of them out")
        if anchors == "one" and weights:
            raise InputError("weights are given for anchors='one', which has nothing to weigh; set anchors='all'")
        if anchors == "one" and isinstance(tau, Mapping):
            raise InputError("tau is a dict for anchors='one', which has one temperature; give a number or set anchors='all'")
        self.tau = temperature(tau)
        self.weights, self.anchors, self.anchor, self.sign = weights, anchors, anchor, Sign(sign)
        self.even = not weights and not isinstance(tau, Mapping)  # no modality is treated in a way of its own
        self.include_positive, self.label_smoothing = include_positive, label_smoothing
        self.positives, self.block_size = positives, block_size

    def check(self, emb: Embeddings) -> None:
        """Refuse an anchor or weights of modalities that the embeddings do not have."""
        if self.anchor is not None and self.anchor not in emb.z:
            raise InputError(f"anchor is {self.anchor!r}, expected one of {list(emb.modalities)}")
        check_weights(self.weights, emb, of=self.weighs)

    def extra(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the penalty of opposite signs, if asked for."""
        return self.sign(emb, tau=lambda: at(self.tau, *emb.modalities))

    def _shares(self, names: list[str] | tuple[str, ...]) -> list[float]:
        return [weight_of(self.weights, name) for name in names]

    def _info_nce(
        self,
        emb: Embeddings,
        logits: Logits,
        positive: Tensor,
        valid: Tensor | None,
        *,
        both: bool = True,
        keep: Keep | None = None,
    ) -> Tensor:
        return contrast(
            logits,
            positive,
            rows=emb.rows,
            valid=valid,
            counted=emb.aux.get(COUNTED),
            group=emb.group,
            positives=self.positives,
            keep=keep,
            both=both,
            include_positive=self.include_positive,
            label_smoothing=self.label_smoothing,
            block_size=self.block_size,
        )

    def _pair(self, emb: Embeddings, a: str, b: str, valid: Tensor | None) -> Tensor:
        """Contrast two modalities by their cosine."""
        x, y = emb.z[a] / at(self.tau, a, b), emb.z[b]  # tau on (B, D), not on (B, B)
        positive = (x * y).sum(dim=1)
        return self._info_nce(emb, lambda q, c: cut(x, q) @ cut(y, c).mT, positive, valid, both=self.both)


class Anchored(Contrastive):
    """A contrast of one modality, the anchor, with all the others together; or its mean over all anchors."""

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the contrastive term."""
        names = self._names(emb)
        return {"contrast": weighted_mean([self._anchored(emb, name) for name in names], self._shares(names))}

    def _names(self, emb: Embeddings) -> list[str]:
        """List the anchors: all, or the one; where the rows lack that, their first modality."""
        if self.anchors == "all":
            return list(emb.modalities)
        return [self.anchor if self.anchor is not None and self.anchor in emb.z else emb.modalities[0]]

    @abstractmethod
    def _anchored(self, emb: Embeddings, name: str) -> Tensor:
        """Contrast one modality with the others."""
