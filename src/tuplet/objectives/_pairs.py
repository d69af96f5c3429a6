"""Losses over pairs of modalities, and what to do about objectives that cannot tell an embedding from its opposite."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from tuplet.objectives.compose import Weights, row_mean, rows_with, weight_of
from tuplet.types import Embeddings, InputError, one_of

Pairs = Literal["all", "hub"] | Sequence[tuple[str, str]]
SignMode = Literal["penalise", "ignore", "check"]


def pairs_of(emb: Embeddings, pairs: Pairs, anchor: str | None) -> list[tuple[str, str]]:
    """List the pairs of modalities that an objective compares."""
    names = emb.modalities
    if pairs == "all":
        return list(combinations(names, 2))
    if pairs == "hub":
        hub = names[0] if anchor is None else anchor
        return [(hub, other) for other in names if other != hub]
    listed = [(a, b) for a, b in pairs]
    for a, b in listed:
        if a not in names or b not in names or a == b:
            raise InputError(f"pairs holds ({a!r}, {b!r}), expected two different names of {list(names)}")
    if not listed:
        raise InputError("pairs is empty; list at least one pair of modalities")
    return listed


def over_pairs(
    emb: Embeddings,
    pairs: Sequence[tuple[str, str]],
    pair_loss: Callable[[Embeddings, str, str, Tensor | None], Tensor],
    reduction: Literal["mean", "sum"],
    weights: Weights | None = None,
) -> Tensor:
    """Reduce a loss over pairs of modalities, leaving out pairs that no row has both of."""
    everywhere = rows_with(emb, list(dict.fromkeys(name for pair in pairs for name in pair))) is None
    valid = [None if everywhere else rows_with(emb, pair) for pair in pairs]
    shares = [weight_of(weights, a, b) for a, b in pairs]
    each = [pair_loss(emb, a, b, v) for (a, b), v in zip(pairs, valid, strict=True)]
    losses = torch.stack([x if w == 1 else w * x for w, x in zip(shares, each, strict=True)])
    if reduction == "sum":
        return losses.sum()
    if everywhere:
        return losses.sum() / (sum(shares) or 1.0)
    empty = [~v.any() * w for v, w in zip(valid, shares, strict=True) if v is not None]
    left = sum(shares) - sum(empty, losses.new_zeros(()))
    return losses.sum() / torch.where(left > 0, left, 1.0)


class Sign:
    """The ``sign`` option of sign-blind objectives: a penalty of ``max(0, -cos) / tau`` of matches, nothing, or a warning."""

    def __init__(self, mode: SignMode) -> None:
        one_of("sign", mode, ("penalise", "ignore", "check"))
        self.mode, self.warned = mode, False

    def __call__(self, emb: Embeddings, *, tau: Callable[[], float | Tensor]) -> dict[str, Tensor]:
        """Return the penalty as a term, if there is one; ``tau`` is asked for only then."""
        if self.mode == "penalise":
            return {"sign": self._over(emb, lambda cosine: cosine.neg().clamp_min(0)) / tau()}
        if self.mode == "check" and not self.warned and not torch.compiler.is_compiling():
            with torch.no_grad():
                mean = float(self._over(emb, lambda cosine: cosine))
            if mean < 0:
                self.warned = True
                warnings.warn(
                    f"matching embeddings have a mean cosine of {mean:.3f} so far: this objective cannot tell z from -z, and "
                    f"if that ends below 0, cosine retrieval, indices and decoders fail; use sign='penalise'",
                    stacklevel=2,
                )
        return {}

    def _over(self, emb: Embeddings, of: Callable[[Tensor], Tensor]) -> Tensor:
        def pair(emb: Embeddings, a: str, b: str, valid: Tensor | None) -> Tensor:
            return row_mean(of((emb.z[a] * emb.z[b]).sum(dim=1)), valid, emb.rows)

        return over_pairs(emb, pairs_of(emb, "all", None), pair, "mean")
