"""Pretrained encoders from what lies on your disk: a folder, a file, or a module."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from torch import nn

from tuplet.nets._tower_files import PICKLED, fingerprint, read_json
from tuplet.nets._tower_hub import hub
from tuplet.nets._tower_onnx import onnx
from tuplet.nets._tower_vision import timm_folder, vision_file
from tuplet.nets.raw import Module, Pretrained
from tuplet.types import InputError, one_of


def pretrained(
    source: str | Path | nn.Module, *, part: Literal["text", "vision"] | None = None, frozen: bool = True
) -> Pretrained:
    """Make a tower of raw rows from a local folder, a file or a module; nothing is downloaded.

    Args:
        source: one of

            - a folder of sentence-transformers (``modules.json``), which reads texts,
            - a folder of transformers: an encoder of texts or pictures, CLIP, SigLIP, or wav2vec2 and its like,
            - a folder of timm (``config.json`` with ``architecture``),
            - a ``.safetensors`` file called as an architecture of torchvision or timm, as ``resnet18-f37072fd.safetensors``,
            - an ``.onnx`` file with one input of numbers, or of ids of tokens with ``tokenizer.json`` beside it (needs
              tuplet[onnx]), or a folder of nothing else,
            - any module that gives ``(B, width)``.
        part: ``"text"`` or ``"vision"`` of a model that has both, such as CLIP.
        frozen: whether its weights are frozen. An ONNX file always is.

    Returns:
        The tower: ``tower.encode(raw)`` gives one vector per raw row.

    Raises:
        InputError: for a path that is not there or is no such model, for pickled weights, which can run code, for weights that
            do not fit, or without the package that reads it.

    Notes:
        Nothing in a folder is executed. Weights are read from safetensors or ONNX, in float32.

    Example:
        >>> import numpy as np
        >>> tower = pretrained(nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8)))
        >>> tower.encode(np.ones((2, 3))).shape, tower.frozen
        ((2, 8), True)
    """
    if part is not None:
        one_of("part", part, ("text", "vision"))
    if isinstance(source, Pretrained):
        return source
    tower: Pretrained = Module(source) if isinstance(source, nn.Module) else _read(Path(source), part)
    if not isinstance(source, nn.Module):
        tower.path, tower.part = Path(source).resolve(), (part or "") if getattr(tower, "both", False) else ""
        tower.sha256 = fingerprint(tower.path)
    if frozen:
        tower.requires_grad_(False)
    return tower


def _read(path: Path, part: Literal["text", "vision"] | None) -> Pretrained:
    """Tell by its files what a path holds."""
    suffix = path.suffix.lower()
    if suffix in PICKLED:
        raise InputError(f"tower {str(path)!r} holds pickled weights, which can run code; save them as .safetensors or .onnx")
    if path.is_file() and suffix == ".onnx":
        return onnx(path.resolve())
    if path.is_file() and suffix == ".safetensors":
        return vision_file(path)
    if not path.is_dir():
        raise InputError(
            f"tower is {str(path)[:200]!r}, which is not there; give a model's folder, or a .safetensors or .onnx file"
        )
    files = list(path.glob("*.onnx"))
    if len(files) == 1 and not (path / "config.json").is_file():
        return onnx(files[0].resolve())
    if "architecture" in read_json(path / "config.json"):
        return timm_folder(path)
    return hub(path, part)
