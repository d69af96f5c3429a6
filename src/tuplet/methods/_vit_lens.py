"""ViT-Lens-2 for touch: the first blocks of the touch tower learn what frozen picture and text towers know."""

from __future__ import annotations

from collections.abc import Mapping

from tuplet.methods._towers import aligned, checked, free
from tuplet.model import AlignmentModel
from tuplet.nets import Tower
from tuplet.objectives import Objective, Pairwise, Temperature
from tuplet.train import TrainConfig

CONFIG = TrainConfig(epochs=80, batch_size=64, lr=2e-4, weight_decay=0.2)


def vit_lens(
    towers: Mapping[str, Tower], *, sensors: int = 1, blocks: int = 4, config: TrainConfig = CONFIG
) -> tuple[AlignmentModel, Objective, TrainConfig]:
    """Build ViT-Lens-2 on CLIP towers.

    Args:
        towers: ``"text"``, ``"touch"`` and ``"vision"``, as from `tuplet.nets.clip`.
        sensors: ignored; every method takes it.
        blocks: first blocks of the touch tower that are trained with its embeddings and first norm.
        config: of the training.

    Returns:
        The model, the objective (the sum of the CLIP losses of touch with vision and with text) and the settings.

    Raises:
        InputError: for other towers.

    Source:
        Lei et al. (2024), ViT-Lens-2; its code for touch.

    Example:
        >>> from tuplet.nets import clip
        >>> tiny = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
        >>> base = {"vision_config": tiny | {"image_size": 8, "patch_size": 4}, "text_config": tiny, "projection_dim": 4}
        >>> towers = {"text": clip(base, "text"), "touch": clip(base), "vision": clip(base)}
        >>> model, objective, config = vit_lens(towers, blocks=1)
        >>> type(objective).__name__
        'Pairwise'
    """
    model = aligned(checked(towers))
    free(towers["touch"], "embeddings", "pre_layrnorm", *(f"encoder.layers.{k}." for k in range(blocks)))
    pairs = [("touch", "vision"), ("text", "touch")]
    return model, Pairwise(pairs=pairs, reduction="sum", tau=Temperature(0.07)), config
