"""UniTouch's idea: tokens that name the sensor, and a touch tower that is trained towards frozen pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from torch import nn

from tuplet.methods._towers import aligned, checked
from tuplet.model import AlignmentModel
from tuplet.nets import SensorTokens, Tower
from tuplet.objectives import Objective, Pairwise, Temperature
from tuplet.train import TrainConfig

CONFIG = TrainConfig(epochs=12, batch_size=64, lr=2e-4, weight_decay=0.1)


def uni_touch(
    towers: Mapping[str, Tower], *, sensors: int, tokens: int = 5, config: TrainConfig = CONFIG
) -> tuple[AlignmentModel, Objective, TrainConfig]:
    """Build touch with sensor tokens on a frozen picture anchor.

    Args:
        towers: ``"text"``, ``"touch"`` and ``"vision"``, as from `tuplet.nets.clip`.
        sensors: number of tactile sensors.
        tokens: learned tokens per sensor, after the class token.
        config: of the training.

    Returns:
        The model, the objective (the CLIP loss of touch with pictures; text is only read) and the settings. The touch tower
        and the tokens are trained, projections and the other towers are not.

    Raises:
        InputError: for other towers.

    Source:
        Yang et al. (2024), Binding touch to everything. Its training code is not public: number of tokens and settings are
        those of AnyTouch and TLV-Link, and its mixing of sensors within a batch is left to the order of the rows.

    Example:
        >>> from tuplet.nets import clip
        >>> tiny = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
        >>> base = {"vision_config": tiny | {"image_size": 8, "patch_size": 4}, "text_config": tiny, "projection_dim": 4}
        >>> towers = {"text": clip(base, "text"), "touch": clip(base), "vision": clip(base)}
        >>> model, objective, config = uni_touch(towers, sensors=2)
        >>> any(p.requires_grad for p in model.encoders["vision"].parameters())
        False
    """
    towers = checked(towers)
    model = aligned(towers, modulator=SensorTokens(towers["touch"].width, sensors, count=tokens))
    cast(nn.Module, towers["touch"]).requires_grad_(True)
    return model, Pairwise(pairs=[("touch", "vision")], tau=Temperature(0.07)), replace(config)
