"""A tower as an encoder of one modality, with the modulation and the shared adapters that are trained on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from tuplet.nets.adapters import BridgingAdapter
from tuplet.nets.towers import ClipTower, Tower
from tuplet.types import InputError, one_of

Blocks = Literal["own", "last"]


class Encoded(NamedTuple):
    """What an encoder returns that also hands values to objectives: ``h`` ``(B, H)``, and name -> per-row tensor."""

    h: Tensor
    aux: dict[str, Tensor]


class TowerEncoder(nn.Module):
    """Encode one modality by a tower, changed between its blocks.

    Args:
        tower: as from `clip`.
        modality: its name, which the bridge knows.
        bridge: adapters after the tower's last ``bridge.levels`` blocks. Several encoders share one; it is no part of this
            module, an `AlignmentModel` holds it in ``bridges``.
        modulator: `SensorModulator` or `SensorTokens`, before the first block; reads ``aux["sensor"]``.
        frozen: whether the tower's own weights are frozen.
        blocks: which block runs before an adapter: the ``"own"`` of its level, or the tower's ``"last"`` in place of every
            one, as TLV-CoRe's published program does by mistake.

    Raises:
        InputError: for a bridge with more levels than the tower has blocks, or of another width, and for ``blocks="last"`` with
            a tower that `clip` did not make.

    Notes:
        ``encoder(x, aux) -> Encoded``: ``h`` is the pooled vector before projection, ``aux["tokens.<modality>"]`` the mean of
        the tokens before the blocks, where there is a modulator.

    Source:
        TLV-CoRe, section 3.

    Example:
        >>> import torch
        >>> from tuplet.nets.towers import clip
        >>> tiny = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
        >>> tower = clip({"vision_config": tiny | {"image_size": 8, "patch_size": 4}, "text_config": tiny})
        >>> TowerEncoder(tower, "touch", bridge=BridgingAdapter({"touch": 8}, rank=2, levels=1))(torch.ones(2, 3, 8, 8)).h.shape
        torch.Size([2, 8])
    """

    def __init__(
        self,
        tower: Tower,
        modality: str,
        *,
        bridge: BridgingAdapter | None = None,
        modulator: nn.Module | None = None,
        frozen: bool = True,
        blocks: Blocks = "own",
    ) -> None:
        super().__init__()
        one_of("blocks", blocks, ("own", "last"))
        if bridge is not None and bridge.levels > tower.levels:
            raise InputError(
                f"the adapter has {bridge.levels} levels, but the tower of {modality} has {tower.levels} blocks; set "
                f"levels={tower.levels} or fewer"
            )
        if bridge is not None and bridge.widths.get(modality) != tower.width:
            raise InputError(
                f"the adapter has widths {bridge.widths}, but the tower of {modality} has {tower.width}; give it in widths"
            )
        if blocks == "last" and bridge is not None:
            if not isinstance(tower, ClipTower):
                raise InputError(f"blocks is 'last', which a {type(tower).__name__} does not know; leave it out")
            tower.order[tower.levels - bridge.levels :] = [tower.levels - 1] * bridge.levels
        assert isinstance(tower, nn.Module)
        self.tower, self.modality, self.modulator = tower, modality, modulator
        self.takes_aux = modulator is not None
        self._bridge = (bridge,)  # in a tuple, so that it lives once, where the model holds it
        if frozen:
            tower.requires_grad_(False)

    @property
    def bridge(self) -> BridgingAdapter | None:
        """Return the adapters that it shares with other encoders."""
        return self._bridge[0]

    def forward(self, x: Any, aux: Mapping[str, Tensor] | None = None) -> Encoded:
        """Return the pooled vector, and the mean token after modulation."""
        bridge, told = self.bridge, dict[str, Tensor]()
        sensor = (aux or {}).get("sensor")

        def first(tokens: Tensor) -> Tensor:
            if self.modulator is not None:
                tokens = self.modulator(tokens, sensor)
                told[f"tokens.{self.modality}"] = tokens.mean(dim=1)
            return tokens

        def after(tokens: Tensor, block: int) -> Tensor:
            if bridge is None or block < self.tower.levels - bridge.levels:
                return tokens
            return bridge(tokens, self.modality, block - self.tower.levels + bridge.levels)  # type: ignore[no-any-return]

        return Encoded(self.tower(x, first=first, after=after).pooled, told)
