"""What makes a run folder a model: its weights, what they belong to, and a card for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from tuplet.data import Rows
from tuplet.io import AnyOf, Between, parse_state, read_state, write_atomic
from tuplet.model import CONFIG, WEIGHTS, AlignmentModel, opened_weights
from tuplet.model._towers import describe_bridge, describe_encoder
from tuplet.nets._described import describe, plain
from tuplet.train import _checkpoint as checkpoint
from tuplet.train.config import TrainConfig
from tuplet.types import Embeddings, Loss, kind_of

CARD = "README.md"
MEASURED = "## Measured\n"
_PROGRESS = {
    "schema": Between(int, 1, 1),
    "done": Between(int, 0),
    "epochs": Between(int, 1),
    "step": Between(int, 0),
    "kept": Between(int, 0),
    "finished": bool,
}


def write_config(
    out: Path, model: AlignmentModel, objective: Callable[[Embeddings], Loss], train: Rows, config: TrainConfig
) -> None:
    """Write what the weights belong to."""
    source = getattr(train, "source", None)
    modalities: dict[str, Any] = {}
    for name in model.encoders:
        known, about = model.preprocessing.get(name), getattr(source, "modalities", {}).get(name)
        modalities[name] = {
            "shape": None if about is None else list(about.shape),
            "kind": None if about is None else about.kind,
            "unit": "" if about is None else about.unit,
            "dtype": "" if about is None else about.dtype,
            "preprocessing": None if known is None else known.to_json(),
            **({"words": model.words[name].about} if name in model.words else {}),
        }
    for part, towers in (("encoder", model.encoders), ("projection", model.projections)):
        first: dict[int, str] = {}
        for name in sorted(towers):
            tower = plain(towers[name])
            with_other = {"class": "shared", "with": first[id(tower)]} if id(tower) in first else None
            first.setdefault(id(tower), name)
            modalities[name][part] = with_other or (
                describe_encoder(tower, model.bridges) if part == "encoder" else describe(tower)
            )
    targets = getattr(source, "targets", {})
    named = type(objective) if isinstance(objective, nn.Module) else objective
    content = {
        "schema": 1,
        "modalities": modalities,
        **({"bridges": {k: describe_bridge(b) for k, b in model.bridges.items()}} if len(model.bridges) else {}),
        "objective": {"name": getattr(named, "__name__", "custom"), "settings": checkpoint.describe(objective)},
        "data": {
            "name": getattr(source, "name", ""),
            "fingerprint": str(getattr(train, "fingerprint", "")),
            "rows": len(train),
            "targets": {k: {"kind": t.kind, "size": t.size, "names": list(t.names)} for k, t in targets.items()},
        },
        "training": json.loads(json.dumps(config.fixed(), default=str)),
        "seed": config.seed,
        "versions": {"tuplet": version("tuplet"), "torch": str(torch.__version__)},
    }
    write_atomic(out / CONFIG, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


_ABOUT: dict[Any, Any] = {
    "modalities": {...: {"shape": object, "kind": AnyOf(None, str), "encoder": {"class": str, ...: object}, ...: object}},
    "objective": {"name": str, ...: object},
    "data": {"name": str, "fingerprint": str, "rows": int, ...: object},
    "training?": {"start?": {"random", "gcca"}, ...: object},
    "seed": int,
    "versions": {"tuplet": str, ...: str},
    ...: object,
}
"""What the card repeats of `CONFIG`."""


def write_weights(out: Path, tensors: dict[str, Tensor], progress: dict[str, int | bool]) -> None:
    """Write the weights that are kept, and how far training has come."""
    from safetensors.torch import save

    named = {k.removeprefix("model.").replace("._orig_mod.", "."): v for k, v in tensors.items()}
    metadata = {"format": "pt", "tuplet": json.dumps({"schema": 1, **progress})}
    write_atomic(out / WEIGHTS, save(checkpoint.separate(named), metadata))


def read_progress(folder: Path) -> dict[str, Any]:
    """Read how far the training of a model had come when its weights were written."""
    with opened_weights(folder) as file:
        content = (file.metadata() or {}).get("tuplet", "")
    path = folder / WEIGHTS
    return cast(dict[str, Any], parse_state(content, _PROGRESS, where=str(path), fix="restore it, or train again"))


def write_card(out: Path, progress: dict[str, Any], history: Sequence[Mapping[str, float | int]], measured: str = "") -> None:
    """Write the model card."""
    about = read_state(out / CONFIG, _ABOUT, fix="restore it, or train again with --fresh")
    lines = []
    for name, m in about["modalities"].items():
        shape = m["shape"]
        kind = m["kind"] or (kind_of(shape) if isinstance(shape, list) else None)
        lines.append(f"| {_cell(name)} | {_cell(shape)} | {_cell(kind or '')} | {_cell(_class(m['encoder']))} |")
    raw = ", ".join(f"{k!r}: rows" for k in list(about["modalities"])[:2])
    done = f"{progress['done']} of {progress['epochs']} epochs" + ("" if progress["finished"] else ", unfinished")
    kept = history[progress["kept"] - 1] if 0 < progress["kept"] <= len(history) else {}
    losses = ", ".join(
        f"{word} {kept[k]:.4f}" for k, word in (("loss", "training"), ("val", "validation")) if kept.get(k) is not None
    )
    started = about.get("training", {}).get("start", "random") == "gcca"
    linear = any(m["encoder"]["class"] == "Residual" for m in about["modalities"].values())
    start = "as ridge regression onto the space" if linear else "at random"
    start = "as the linear closed form of the training rows (gcca)" if started else start
    text = f"""# Model card

An alignment model trained by tuplet {about["versions"]["tuplet"]}: it embeds every modality below in one space.

```python
import tuplet

model = tuplet.load({out.name!r})
z = model.encode({{{raw}}})  # raw rows as in training; any subset of modalities; float32 of unit length
```

| modality | shape | kind | encoder |
|---|---|---|---|
{chr(10).join(lines)}

- Data: {_cell(about["data"]["name"])}, {about["data"]["rows"]} training rows, fingerprint {_cell(about["data"]["fingerprint"])}
- Objective: {_cell(about["objective"]["name"])}; seed {about["seed"]}; all settings are in `{CONFIG}`
- Start: encoders began {start}
- Training: {done}; weights of epoch {progress["kept"]}{f" (loss: {losses})" if losses else ""}

"""
    nothing = "Nothing yet. `tuplet evaluate` adds numbers, with chance and pool beside each."
    body = f"```\n{measured}\n```\n" if measured else f"{nothing}\n"
    write_atomic(out / CARD, (text + MEASURED + "\n" + body).encode())


def _class(encoder: dict[str, Any]) -> str:
    """Name an encoder's class; of a linear map plus a network, both."""
    inner = encoder.get("branch")
    return f"linear map + {inner['class']}" if isinstance(inner, dict) and "class" in inner else encoder["class"]


def _cell(value: object) -> str:
    """Keep a text from being read as Markdown."""
    return f"`{str(value).replace('`', chr(39)).replace('|', '/')}`"
