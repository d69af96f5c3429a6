"""Adapters that bridge towers: a low-rank detour whose middle matrix all modalities share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from tuplet.nets.named import Named
from tuplet.types import in_range, one_of


class BridgingAdapter(nn.Module):
    r"""Add to the output of a tower's block a low-rank linear map whose middle is shared by all modalities of a level.

    .. math:: h' = h + W^m_{up} \, W_{shared} \, W^m_{down} \, h

    Args:
        widths: modality -> width ``D_m`` of its tokens.
        rank: ``r`` of the detour; as it is linear, that is also the rank of what it can add.
        levels: number of levels ``L``; each has matrices of its own.
        bias: whether the three maps have biases.
        init: ``"zero_up"`` begins with nothing added, so that a tower begins as it was; ``"torch"`` begins as PyTorch's
            linear layers do, as the published code.

    Raises:
        InputError: for a number below 1, an unknown modality, or a level that is not there.

    Notes:
        ``bridge(h, modality, level) -> h + delta``, per token. The keys of its state are ``down.<modality>.<level>.weight``,
        ``shared.<level>.weight`` and ``up.<modality>.<level>.weight`` (and ``.bias``). Parameters: for each level
        ``r^2 + 2 r sum D_m``, and with biases ``r + sum (r + D_m)``.

    Source:
        TLV-CoRe, equation 4; as its code, after the whole block and without activation.

    Example:
        >>> import torch
        >>> bridge = BridgingAdapter({"text": 6, "touch": 8}, rank=2, levels=3)
        >>> h = torch.randn(4, 5, 8)
        >>> bool((bridge(h, "touch", 0) == h).all()), len(bridge.state_dict())
        (True, 30)
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        rank: int = 32,
        levels: int = 12,
        bias: bool = True,
        init: Literal["zero_up", "torch"] = "zero_up",
    ) -> None:
        super().__init__()
        one_of("init", init, ("zero_up", "torch"))
        for argument, value in (("rank", rank), ("levels", levels), *((f"widths[{k!r}]", v) for k, v in widths.items())):
            in_range(argument, value, 1)

        def each(wide: int, narrow: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Linear(wide, narrow, bias=bias) for _ in range(levels))

        self.levels, self.widths, self.rank, self.bias = levels, dict(widths), rank, bias
        self.down = Named({k: each(width, rank) for k, width in widths.items()})
        self.shared = each(rank, rank)
        self.up = Named({k: each(rank, width) for k, width in widths.items()})
        if init == "zero_up":
            for parameter in self.up.parameters():
                nn.init.zeros_(parameter)

    def forward(self, h: Tensor, modality: str, level: int) -> Tensor:
        """Return the tokens ``(..., D)`` with the detour added."""
        one_of("modality", modality, tuple(self.down))
        in_range("level", level, 0, self.levels)
        detour: Tensor = self.up[modality][level](self.shared[level](self.down[modality][level](h)))  # type: ignore[index]
        return h + detour
