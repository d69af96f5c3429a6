"""What to do about objectives that cannot tell an embedding from its opposite."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from tuplet.objectives.compose import row_mean
from tuplet.objectives.pairwise import over_pairs, pairs_of
from tuplet.types import Embeddings, one_of

SignMode = Literal["penalise", "ignore", "check"]


class Sign:
    r"""The ``sign`` option of sign-blind objectives."""

    def __init__(self, mode: SignMode) -> None:
        one_of("sign", mode, ("penalise", "ignore", "check"))
        self.mode = mode
        self.warned = False

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
