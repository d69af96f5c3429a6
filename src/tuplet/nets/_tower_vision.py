"""Picture models of torchvision and timm, with weights from a local safetensors file, as towers."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuplet.nets._tower_files import check_folder, fill, read_json
from tuplet.nets._tower_hub import pictures
from tuplet.nets.raw import Pretrained
from tuplet.types import InputError, importing

HEADS = ("fc", "classifier", "heads", "head")
"""Names under which such models keep their last layer."""
MEAN, DEVIATION, SIDE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224
"""Of the pictures of ImageNet, where a model says nothing else."""


class Vision(Pretrained):
    """A picture model without its last layer; pictures are brought to its size and its mean."""

    takes = "pictures"
    mean: Tensor
    deviation: Tensor

    def __init__(self, body: nn.Module, width: int, about: dict[str, Any]) -> None:
        super().__init__(width)
        self.body = body.eval()
        self.side = int((about.get("input_size") or (3, SIDE, SIDE))[-1])
        self.register_buffer("mean", torch.tensor(about.get("mean") or MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(about.get("std") or DEVIATION)[:, None, None], persistent=False)

    def rows(self, raw: Any) -> NDArray[np.float32]:
        """Return pixels from 0 to 1 ``(n, 3, side, side)``: the shorter side is resized, the middle is cut out."""
        x = pictures(self, raw)
        x = x / 255 if x.dtype == torch.uint8 else x
        h, w = x.shape[2:]
        share = self.side / min(h, w)
        size = [max(self.side, round(h * share)), max(self.side, round(w * share))]
        if (h, w) != tuple(size):
            x = nn.functional.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)
        top, left = ((n - self.side) // 2 for n in size)
        return np.asarray(x[:, :, top : top + self.side, left : left + self.side].contiguous().numpy())

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors of pixels from 0 to 1."""
        out: Tensor = self.body((x - self.mean) / self.deviation)
        return out.flatten(1)


def timm_folder(folder: Path) -> Vision:
    """Make the tower of a folder that `timm` saved: ``config.json`` with ``architecture``, and safetensors."""
    check_folder(folder)
    about = read_json(folder / "config.json")
    settings = {**about, **(about.get("pretrained_cfg") or {})}
    files = sorted(folder.glob("*.safetensors"))
    return _timm(str(about["architecture"]), next((f for f in files if f.name == "model.safetensors"), files[0]), settings)


def vision_file(file: Path) -> Vision:
    """Make the tower of one file that is called as its architecture, such as ``resnet18.safetensors``."""
    name = file.stem.split("-")[0].split(".")[0]
    with suppress(ImportError):
        from torchvision import models

        if name in models.list_models(module=models):
            body = models.get_model(name, weights=None)
            fill(body, file)
            return Vision(body, _beheaded(name, body), {})
    return _timm(name, file, {})


def _timm(name: str, file: Path, about: dict[str, Any]) -> Vision:
    with importing(f"tower {str(file)!r} is called {name!r}, which torchvision does not have; pip install timm"):
        import timm
    if not timm.is_model(name):
        raise InputError(
            f"tower {str(file)!r} is called {name[:40]!r}, expected an architecture of torchvision or timm, such as "
            f"resnet18.safetensors; rename it"
        )
    body: Any = timm.create_model(name, pretrained=False, num_classes=0)
    fill(body, file, spare=" ".join(HEADS))
    return Vision(body, int(body.num_features), about or dict(getattr(body, "pretrained_cfg", None) or {}))


def _beheaded(name: str, body: nn.Module) -> int:
    """Take away the last layer, which names classes; return what it read."""
    for word in HEADS:
        head = getattr(body, word, None)
        layers = [
            (body, word, head),
            *((head, k, m) for k, m in (head.named_children() if isinstance(head, nn.Module) else ())),
        ]
        for owner, key, layer in reversed(layers):
            if isinstance(layer, nn.Linear) and owner is not None:
                setattr(owner, key, nn.Identity())
                return layer.in_features
    raise InputError(f"{name} has no last layer of classes that could be taken away; give another architecture")
