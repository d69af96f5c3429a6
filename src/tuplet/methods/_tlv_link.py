"""TLV-Link: low-rank updates of touch and vision, and a teacher that fades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuplet.methods._towers import aligned, checked, free, with_lora
from tuplet.model import AlignmentModel
from tuplet.nets import Tower
from tuplet.objectives import Curriculum, Objective, Temperature
from tuplet.train import TrainConfig

CONFIG = TrainConfig(epochs=12, batch_size=96, lr=2e-4, weight_decay=0.2)
"""As its scripts train. Their lower rate for all but the low-rank updates has no effect: one schedule sets all rates."""


def tlv_link(
    towers: Mapping[str, Tower],
    *,
    sensors: int = 1,
    rank: int = 16,
    scale: int = 16,
    texts: Sequence[str] = ("text",),
    config: TrainConfig = CONFIG,
) -> tuple[AlignmentModel, Objective, TrainConfig]:
    """Build TLV-Link on CLIP towers.

    Args:
        towers: ``"text"``, ``"touch"`` and ``"vision"``, as from `tuplet.nets.clip`.
        sensors: ignored; every method takes it.
        rank: of the updates of touch's and vision's queries, keys, values and outputs.
        scale: LoRA's alpha.
        texts: modalities of the sentence and, if the data have one, the phrase.
        config: of the training.

    Returns:
        The model, the objective and the settings. Beside the updates, patch and class embeddings, first and last norms and
        projections of touch and vision are trained; text is frozen.

    Raises:
        InputError: for other towers, or without the extra ``towers``.

    Source:
        TLV-Link (the code of Touch100k).

    Example:
        >>> from tuplet.nets import clip
        >>> tiny = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
        >>> base = {"vision_config": tiny | {"image_size": 8, "patch_size": 4}, "text_config": tiny, "projection_dim": 4}
        >>> towers = {"text": clip(base, "text"), "touch": clip(base), "vision": clip(base)}
        >>> model, objective, config = tlv_link(towers, rank=2)
        >>> type(objective).__name__, config.epochs
        ('Curriculum', 12)
    """
    model = aligned(checked(towers))
    for name in ("touch", "vision"):
        with_lora(towers[name], rank=rank, scale=scale)
        free(towers[name], "embeddings.class_embedding", "embeddings.patch_embedding", "pre_layrnorm", "post_layernorm")
        towers[name].projection.requires_grad_(True)
    return model, Curriculum(texts=texts, tau=Temperature(0.07)), config
