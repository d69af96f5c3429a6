"""TLV-CoRe: sensor-aware modulation, decoupling from the sensor, and adapters shared by three towers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from tuplet.methods._towers import aligned, checked
from tuplet.model import AlignmentModel
from tuplet.nets import BridgingAdapter, SensorModulator, Tower
from tuplet.objectives import Objective, Pairwise, SensorDecoupling, Temperature
from tuplet.train import TrainConfig

CONFIG = TrainConfig(epochs=12, batch_size=64, lr=2e-4, weight_decay=0.2, betas=(0.9, 0.98), eps=1e-6, seed=42)
"""As the paper trains; its published scripts use batches of 128, 96 and 32."""


def tlv_core(
    towers: Mapping[str, Tower],
    *,
    sensors: int,
    alpha: float = 0.1,
    rank: int = 32,
    levels: int = 12,
    bias: bool = True,
    init: Literal["zero_up", "torch"] = "zero_up",
    mode: Literal["reverse", "uniform", "none"] = "reverse",
    site: Literal["pooled", "tokens"] = "pooled",
    modulate: bool = True,
    without_id: Literal["skip", "argmax", "expected"] = "skip",
    blocks: Literal["own", "last"] = "own",
    objective: Objective | None = None,
    config: TrainConfig = CONFIG,
) -> tuple[AlignmentModel, Objective, TrainConfig]:
    r"""Build TLV-CoRe on frozen CLIP towers.

    .. math:: L = \tfrac13 (L_{TV} + L_{TL} + L_{VL}) + \alpha L_{dec}

    Args:
        towers: ``"text"``, ``"touch"`` and ``"vision"``, as from `tuplet.nets.clip`; touch begins as a copy of vision.
        sensors: number of tactile sensors; with one there is neither modulation nor decoupling.
        alpha: weight of the decoupling; 0 leaves it out.
        rank: of the adapters.
        levels: last blocks of each tower that have an adapter; 0 leaves the adapters out.
        bias: whether the adapters' maps have biases.
        init: of the adapters. ``"zero_up"`` begins at CLIP (ours); the code's is ``"torch"``.
        mode: of the decoupling, as in `SensorDecoupling`; the code has ``"none"``, the paper ``"reverse"``.
        site: where the decoupling reads; the code's is ``"tokens"``, where it reaches no adapter.
        modulate: whether to scale touch tokens by their sensor.
        without_id: as in `SensorModulator`; the code needs ids in training and drops the modulation in its probe.
        blocks: ``"last"`` runs the last block in place of every one that has an adapter, as the published program does by
            mistake; its figures may rest on that.
        objective: what aligns, instead of the mean of three CLIP losses with a learned temperature.
        config: of the training.

    Returns:
        The model, the objective and the settings for `tuplet.fit`. Batches carry ``aux["sensor"]``.

    Raises:
        InputError: for other towers, fewer than one sensor, or more levels than a tower has blocks.

    Source:
        TLV-CoRe; https://github.com/prompt-lab/TLV-CoRe for the settings.

    Example:
        >>> from tuplet.nets import clip
        >>> tiny = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
        >>> base = {"vision_config": tiny | {"image_size": 8, "patch_size": 4}, "text_config": tiny, "projection_dim": 4}
        >>> towers = {"text": clip(base, "text"), "touch": clip(base), "vision": clip(base)}
        >>> model, objective, config = tlv_core(towers, sensors=2, rank=2, levels=2)
        >>> sum(p.numel() for p in model.parameters() if p.requires_grad)
        280
    """
    towers = checked(towers)
    bridge = None
    if levels > 0:
        bridge = BridgingAdapter({k: t.width for k, t in towers.items()}, rank=rank, levels=levels, bias=bias, init=init)
    several, width = sensors > 1, towers["touch"].width
    modulator = SensorModulator(width, sensors, without_id=without_id) if several and modulate else None
    aligning = Pairwise(tau=Temperature(0.07)) if objective is None else objective
    if several and alpha > 0:
        aligning = aligning + alpha * SensorDecoupling(width, sensors, mode=mode, site=site)
    return aligned(towers, bridge=bridge, modulator=modulator, blocks=blocks), aligning, replace(config)
