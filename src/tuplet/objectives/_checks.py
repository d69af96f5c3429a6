"""What objectives refuse when they are built, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping

from tuplet.functional._blocks import BlockSize, size_of_block
from tuplet.types import InputError, in_range


def check_width(modalities: int, dim: int, why: str) -> None:
    """Refuse embeddings with fewer dimensions than modalities, where spans and volumes say nothing."""
    if dim < modalities:
        raise InputError(f"z has D = {dim} for {modalities} modalities; {why}")


def check_options(
    *,
    block_size: BlockSize,
    label_smoothing: float = 0.0,
    weights: Mapping[str, float] | Mapping[tuple[str, str], float] | None = None,
) -> None:
    """Refuse a block size, label smoothing or weights that no batch could use."""
    size_of_block(block_size, 1)
    in_range("label_smoothing", label_smoothing, 0, 1)
    if weights is not None and not isinstance(weights, Mapping):
        raise InputError(f"weights is {weights!r}, expected a dict, such as {{'force': 2.0}}")
    for key, value in (weights or {}).items():
        if len((key,) if isinstance(key, str) else tuple(key)) > 2:
            raise InputError(f"weights has the key {key!r}, expected a modality or a pair of modalities")
        in_range(f"weights[{key!r}]", value, 0)
