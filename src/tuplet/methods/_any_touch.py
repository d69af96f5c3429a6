"""AnyTouch: masked reconstruction, alignment with absent modalities, and matching across sensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from tuplet.methods._towers import checked, free, with_lora
from tuplet.model import AlignmentModel
from tuplet.nets import MaskedTower, Tower, TowerEncoder
from tuplet.nets.towers import ClipTower
from tuplet.objectives import Handed, Objective, Pairwise, SensorMatching, Temperature
from tuplet.train import TrainConfig
from tuplet.types import InputError, one_of

CONFIG = TrainConfig(epochs=12, batch_size=64, lr=2e-4, weight_decay=0.1, betas=(0.9, 0.99))


def any_touch(
    towers: Mapping[str, Tower],
    *,
    sensors: int,
    variant: Literal["full", "lora"] = "full",
    weights: tuple[float, float, float] = (0.2, 1.0, 1.0),
    matching: float = 0.1,
    reconstruction: float = 1.0,
    rank: int = 16,
    decoder: tuple[int, int, int] = (512, 8, 16),
    config: TrainConfig = CONFIG,
) -> tuple[AlignmentModel, Objective, TrainConfig]:
    """Build AnyTouch's second stage on CLIP towers.

    Args:
        towers: ``"text"``, ``"touch"`` and ``"vision"``, as from `tuplet.nets.clip`.
        sensors: number of tactile sensors.
        variant: ``"full"`` trains the whole touch tower, as published; ``"lora"`` low-rank updates of touch and vision.
        weights: of the pairs vision-text, touch-vision and touch-text; the last is the **sum** of both directions.
        matching: weight of `SensorMatching`; 0 leaves it out, where no object was touched by two sensors.
        reconstruction: weight of the masked reconstruction; 0 leaves it out.
        rank: of the low-rank updates (vision's too, in both variants).
        decoder: width, layers and heads of the reconstruction's decoder.
        config: of the training.

    Returns:
        The model, the objective and the settings. Text is frozen. Batches carry ``aux["sensor"]`` and, for the matching,
        ``aux["object"]`` or groups. While `tuplet.fit` trains, the sensor of ever more rows is replaced by the universal one
        (`tuplet.nets.universal_share`).

    Raises:
        InputError: for other towers, or without the extra ``towers``.

    Source:
        AnyTouch, its code for stage 2.

    Example:
        >>> from tuplet.nets import clip
        >>> tiny = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
        >>> base = {"vision_config": tiny | {"image_size": 8, "patch_size": 4}, "text_config": tiny, "projection_dim": 4}
        >>> towers = {"text": clip(base, "text"), "touch": clip(base), "vision": clip(base)}
        >>> model, objective, config = any_touch(towers, sensors=2, rank=2, decoder=(8, 1, 2))
        >>> type(model.encoders["touch"]).__name__
        'MaskedTower'
    """
    one_of("variant", variant, ("full", "lora"))
    towers = checked(towers)
    touch = towers["touch"]
    if not isinstance(touch, ClipTower):
        raise InputError(f"the touch tower is a {type(touch).__name__}, expected one that clip() makes")
    encoders = {k: TowerEncoder(towers[k], k) for k in ("text", "vision")}
    with_lora(towers["vision"], rank=rank, scale=rank)
    if variant == "lora":
        touch.requires_grad_(False)
        with_lora(touch, rank=rank, scale=rank)
        free(touch, "embeddings.class_embedding", "embeddings.patch_embedding", "pre_layrnorm", "post_layernorm")
    towers["text"].projection.requires_grad_(False)
    width, layers, heads = decoder
    masked = MaskedTower(touch, "touch", sensors, width=width, layers=layers, heads=heads)
    model = AlignmentModel({**encoders, "touch": masked}, {k: t.projection for k, t in towers.items()})
    tau, (vl, vt, lt) = Temperature(0.07), weights
    objective: Objective = (
        vl * Pairwise(pairs=[("text", "vision")], tau=tau)
        + vt * Pairwise(pairs=[("touch", "vision")], tau=tau)
        + 2 * lt * Pairwise(pairs=[("text", "touch")], tau=tau)  # the mean of two directions, twice, is their sum
    )
    if reconstruction > 0:
        objective = objective + reconstruction * Handed("reconstruction.touch")
    if matching > 0:
        objective = objective + matching * SensorMatching(touch.projection.out_features)
    return model, objective, replace(config)
