"""From unit vectors of a space to the vectors that somebody else's decoder expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tuplet.types import InputError, one_of

How = Literal["norm", "moments", "ridge"]


@dataclass(frozen=True)
class EmbeddingAdapter:
    """An affine map ``z -> z A + b``, fitted on vectors of pictures only, so that no other modality is favoured.

    ``norm`` gives ``z`` the mean length of the reference; ``moments`` its mean and deviation in every dimension; ``ridge`` is
    the linear map that predicts the reference, with the penalty that generalised cross-validation chooses. A decoder that is
    fed unit vectors where it expects others draws worse for that reason alone.

    Attributes:
        how: which of the three.
        scale: ``A``: ``(D,)`` for ``norm`` and ``moments``, ``(D, D')`` for ``ridge``.
        shift: ``b``, ``(D',)``.
        rows: pictures that it was fitted on.
        error: mean squared error on them over the variance of the reference; 0 is exact, 1 no better than its mean.

    Example:
        >>> reference = 3.0 + 2.0 * torch.randn(50, 4)
        >>> adapter = EmbeddingAdapter.fit(torch.nn.functional.normalize(reference, dim=1), reference)
        >>> adapter(torch.eye(4)).shape
        torch.Size([4, 4])
    """

    how: How
    scale: Tensor
    shift: Tensor
    rows: int
    error: float

    @classmethod
    def fit(cls, own: Tensor, reference: Tensor, how: How = "moments") -> EmbeddingAdapter:
        """Fit the map.

        Args:
            own: ``(N, D)`` vectors of pictures in the space; brought to unit length.
            reference: ``(N, D')`` vectors of the same pictures, as the decoder expects them.
            how: see the class; ``D'`` may differ from ``D`` for ``ridge`` only.

        Returns:
            The adapter.

        Raises:
            InputError: for shapes that do not fit, fewer than two rows, or values that are not finite.
        """
        one_of("how", how, ("norm", "moments", "ridge"))
        if own.ndim != 2 or reference.ndim != 2 or len(own) != len(reference) or len(own) < 2:
            raise InputError(
                f"own and reference have shapes {tuple(own.shape)} and {tuple(reference.shape)}, expected (N, D) and (N, D') "
                "of the same two or more pictures"
            )
        if how != "ridge" and own.shape[1] != reference.shape[1]:
            raise InputError(f"own has width {own.shape[1]} and reference {reference.shape[1]}; choose how='ridge'")
        if not bool(torch.isfinite(own).all() and torch.isfinite(reference).all()):
            raise InputError("own or reference has values that are not finite; leave out rows that lack the picture")
        z, y = torch.nn.functional.normalize(own.double(), dim=1), reference.double()
        if how == "norm":
            scale, shift = y.norm(dim=1).mean().expand(z.shape[1]), torch.zeros_like(y[0])
        elif how == "moments":
            spread = z.std(0, correction=0)
            dead = spread < 1e-6 * spread.square().mean().sqrt()  # nothing to scale: the mean of the reference stands there
            scale = torch.where(dead, 0.0, y.std(0, correction=0) / torch.where(dead, 1.0, spread))
            shift = y.mean(0) - z.mean(0) * scale
        else:
            scale, shift = _ridge(z, y)
        made = z * scale if how != "ridge" else z @ scale
        error = (made + shift - y).square().mean() / y.var(0, correction=0).mean().clamp_min(1e-12)
        return cls(how, scale.float(), shift.float(), len(z), float(error))

    def __call__(self, z: Tensor) -> Tensor:
        """Map ``(B, D)`` vectors, brought to unit length first."""
        z = torch.nn.functional.normalize(z.float(), dim=1)
        return (z @ self.scale if self.scale.ndim == 2 else z * self.scale) + self.shift


def _ridge(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Solve ``min |z A + b - y|^2 + p |A|^2`` with the penalty of the least generalised cross-validation error."""
    centre, offset = z.mean(0), y.mean(0)
    u, s, v = torch.linalg.svd(z - centre, full_matrices=False)  # (N, K), (K,), (K, D)
    seen = u.mT @ (y - offset)  # (K, D')
    rest = (y - offset).square().sum() - seen.square().sum()  # what no penalty explains
    best, found = torch.inf, seen
    for penalty in s[0].square() * torch.logspace(-8, 1, 28, dtype=z.dtype):
        kept = s.square() / (s.square() + penalty)  # (K,)
        left = len(z) - 1 - kept.sum()  # degrees of freedom that are left, but for the mean's
        error = float((rest + ((1 - kept)[:, None] * seen).square().sum()) / left.square()) if left > 0 else torch.inf
        if error < best:
            best, found = error, (kept / s.clamp_min(1e-12))[:, None] * seen
    scale = v.mT @ found
    return scale, offset - centre @ scale
