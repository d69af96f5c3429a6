"""Files of pretrained weights: read as data only, refused where they are pickled, and named by a checksum."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from tuplet.types import InputError

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5")
"""Endings of files of weights that can run code, or that are not read."""
READ = (".safetensors", ".json", ".txt", ".model", ".onnx", ".data", ".onnx_data")
"""Endings of files that decide what a tower gives."""


def check_folder(folder: Path) -> None:
    """Refuse a folder without a configuration or without weights that are safe to read."""
    if not (folder / "config.json").is_file():
        raise InputError(f"tower {str(folder)!r} has no config.json; give the folder that a pretrained model was saved to")
    check_weights(folder)


def check_weights(folder: Path) -> None:
    """Refuse a folder without weights in safetensors."""
    if not list(folder.glob("*.safetensors")):
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLED) if folder.is_dir() else []
        what = f"pickled weights ({pickled[0]}), which can run code, and " if pickled else ""
        raise InputError(
            f"tower {str(folder)!r} has {what}no .safetensors weights; save it with save_pretrained or safetensors.torch"
        )


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of settings; one that is not there is empty."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({str(error)[:80]}); copy the model again") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} holds a {type(found).__name__}, expected settings by name; copy the model again")
    return found


def fill(module: nn.Module, file: Path, *, spare: str = "") -> None:
    """Give a module the weights of a file; names that begin as ``spare`` say may be left over."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(file)
        missing, left = module.load_state_dict(tensors, strict=False)
    except (SafetensorError, OSError, RuntimeError) as error:
        seen = " ".join(str(error).split())[:160]
        raise InputError(f"{file} does not fit a {type(module).__name__} ({seen}); give weights of this architecture") from None
    if missing or (left := [k for k in left if not (spare and k.startswith(tuple(spare.split())))]):
        what = f"lacks {missing[0]}" if missing else f"has {left[0]}, too"
        raise InputError(f"{file} {what}: it belongs to another architecture than {type(module).__name__}")


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of everything in a folder, or in a file, that decides what a tower gives."""
    if path.is_dir():
        top, files = path, sorted(p for p in path.rglob("*") if p.is_file() and p.suffix in READ)
    else:  # an ONNX file may keep its weights and words beside it
        beside = [*path.parent.glob(f"{path.name}*"), *path.parent.glob("tokenizer.json")]
        top, files = path.parent, sorted(p for p in beside if p.suffix in READ)
    digest = hashlib.sha256()
    for file in files:
        about = file.stat()
        digest.update(f"{file.relative_to(top)} {file_sha256(file, about.st_size, about.st_mtime_ns)}\n".encode())
    return digest.hexdigest()


@cache
def file_sha256(file: Path, size: int, time: int) -> str:
    """Return the SHA-256 of a file, read once as long as its size and time stay."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
