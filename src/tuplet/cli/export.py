"""The ``tuplet export`` command: towers of a model as files that need no tuplet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional


@dataclass(frozen=True)
class Export:
    """Write a model's towers, each with its scaling inside, as ONNX or PyTorch files that are checked against the model."""

    model: Positional[Path]
    """Folder of a model: `tuplet train` and tuplet.fit write one."""
    format: Literal["onnx", "torch"] = "onnx"
    """onnx (needs tuplet[export]), or torch: a .pt2 file of torch.export."""
    out: Path = Path("towers")
    """Folder to write."""
    modalities: tuple[str, ...] = ()
    """Names of those to write [default: all]."""
    force: bool = False
    """Replace the folder at --out."""


def export(command: Export) -> None:
    """Write the towers, and say what each reads."""
    from tuplet.model import export as written
    from tuplet.model import load
    from tuplet.model.portable import NEAR
    from tuplet.report import Grid

    model = load(command.model)
    names = command.modalities or None
    files = written(model, command.out, format=command.format, modalities=names, force=command.force)
    lines = []
    for name, file in files.items():
        how = model.preprocessing[name]
        shape = (*how.modality.shape[1:], how.modality.shape[0]) if how.channels_last else how.modality.shape
        kind = "hashed text" if how.modality.kind == "text" else how.modality.kind or "numbers"
        lines.append([name, f"n x {' x '.join(map(str, shape))}", kind, f"{file.stat().st_size / 1e6:.1f} MB", str(file)])
    print(Grid(["modality", "reads", "kind", "size", "file"], lines, words=5).text())
    print(f"Rows are float32, before any scaling. Vectors are the model's, to {NEAR:g} on random rows.")
    if any(line[2] == "hashed text" for line in lines):
        print("Texts are hashed first, by model.preprocessing[NAME].apply(texts) or scikit-learn; see docs/own_data.md.")
