"""A small transformer that turns any subset of modalities into one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from tuplet.types import InputError


class Fusion(nn.Module):
    """One pre-norm transformer layer over one token per modality, averaged over the modalities that are present.

    Args:
        modalities: names; each has a learned offset, zero at the start.
        dim: width of tokens and output.
        heads: attention heads; must divide ``dim``.

    Raises:
        InputError: for fewer than two names or heads that do not divide ``dim``.

    Notes:
        Absent modalities are neither attended to nor averaged, so a subset may also be given by leaving names out. No dropout:
        a subset always gives the same vector.

    Example:
        >>> fusion = Fusion(("force", "sound"), 8)
        >>> fusion({"force": torch.ones(3, 8)}, {}).shape
        torch.Size([3, 8])
    """

    def __init__(self, modalities: Sequence[str], dim: int, *, heads: int = 4) -> None:
        super().__init__()
        if len(set(modalities)) < 2:
            raise InputError(f"modalities is {list(modalities)}, expected two or more different names")
        if dim < 1 or heads < 1 or dim % heads:
            raise InputError(f"heads is {heads} for dim = {dim}, expected a divisor of dim")
        self.modalities = tuple(sorted(set(modalities)))
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.queries_keys_values = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.feed_forward = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.offset = nn.Parameter(torch.zeros(len(self.modalities), dim))

    def forward(self, tokens: Mapping[str, Float[Tensor, "B D"]], present: Mapping[str, Bool[Tensor, " B"]]) -> Tensor:
        """Return the fused rows ``(B, D)``; ``present`` may leave out modalities that all rows have."""
        if unknown := sorted(set(tokens) - set(self.modalities)):
            raise InputError(f"tokens has {unknown}, but the fusion was built for {list(self.modalities)}")
        names = [k for k in self.modalities if k in tokens]
        x = torch.stack([tokens[k] for k in names], dim=1).to(self.offset.dtype)
        x = x * x.shape[-1] ** 0.5 + self.offset[[self.modalities.index(k) for k in names]]
        everything = torch.ones(len(x), dtype=torch.bool, device=x.device)
        there = torch.stack([present.get(k, everything) for k in names], dim=1)
        there = there | ~there.any(dim=1, keepdim=True)  # a row without any modality: whatever, but finite
        b, m, d = x.shape
        qkv = self.queries_keys_values(self.norm(x)).view(b, m, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=there[:, None, None, :].expand(b, 1, m, m))
        x = x + self.out(seen.transpose(1, 2).reshape(b, m, d))
        x = x + self.feed_forward(x)
        fused: Tensor = torch.where(there[..., None], x, 0.0).sum(dim=1) / there.sum(dim=1, keepdim=True)
        return fused.to(next(iter(tokens.values())).dtype)
