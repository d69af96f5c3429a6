"""Towers in a model folder: described in words, with a base that is named by its place and checksum instead of copied."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuplet.io import AnyOf, Between, parse_state
from tuplet.nets import BridgingAdapter, MaskedTower, Named, SensorModulator, SensorTokens, TowerEncoder, clip
from tuplet.nets._described import describe
from tuplet.nets._tower_files import file_sha256
from tuplet.nets.towers import ClipTower
from tuplet.types import InputError

_SIZE, _ID = Between(int, 1, 2**20), AnyOf(None, Between(int, 0, 2**31))
_LAYERS = {
    **dict.fromkeys(("hidden_size", "intermediate_size", "num_attention_heads"), _SIZE),
    **{"num_hidden_layers": Between(int, 1, 512), "hidden_act": str},
    **{"layer_norm_eps": Between(float, 0, 1), "attention_dropout": Between(float, 0, 1)},
}
_FIELDS: dict[str, dict[str, Any]] = {
    "vision": {**_LAYERS, **dict.fromkeys(("num_channels", "image_size", "patch_size"), _SIZE)},
    "text": {
        **_LAYERS,
        **dict.fromkeys(("vocab_size", "max_position_embeddings"), _SIZE),
        **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), _ID),
    },
}
"""What a folder may say of a tower; everything else of `transformers` stays at its default."""
_TOWER = {
    "config": {...: object},
    "part": set(_FIELDS),
    "width": _SIZE,
    "unit": bool,
    "order": [Between(int, 0, 511)],
    "lora": AnyOf(None, (_SIZE, _SIZE)),
    "base": AnyOf(None, {"path": str, "sha256": str}),
}
_MASKED = {"sensors": _SIZE, "ratio": Between(float, 0, 1), "width": _SIZE, "layers": Between(int, 1, 64), "heads": _SIZE}
_ENCODERS: dict[str, dict[str, Any]] = {
    "TowerEncoder": {
        "bridge": AnyOf(None, str),
        "modulator": AnyOf(
            None, {"sensors": _SIZE, "without_id": {"skip", "argmax", "expected"}}, {"sensors": _SIZE, "count": _SIZE}
        ),
    },
    "MaskedTower": {"arguments": {**_MASKED, "count": _SIZE}},
}
_BRIDGE = {
    "class": {"BridgingAdapter"},
    "arguments": {"widths": {...: _SIZE}, "rank": _SIZE, "levels": Between(int, 1, 512), "bias": bool},
}


def describe_encoder(encoder: nn.Module, bridges: Named) -> dict[str, Any]:
    """Describe an encoder, with the bridge that it shares."""
    tower: object = getattr(encoder, "tower", None)
    if not isinstance(encoder, TowerEncoder | MaskedTower) or not isinstance(tower, ClipTower):
        return describe(encoder)
    about = {"class": type(encoder).__name__, "modality": encoder.modality, "tower": _described(tower)}
    if isinstance(encoder, MaskedTower):
        return about | {"arguments": encoder.arguments}
    m, names = encoder.modulator, {id(b): k for k, b in bridges.items()}
    modulator: dict[str, Any] | None = None
    if isinstance(m, SensorModulator):
        modulator = {"sensors": m.router.out_features, "without_id": m.without_id}
    elif isinstance(m, SensorTokens):
        modulator = {"sensors": len(m.table) - 1, "count": m.table.shape[1]}
    elif m is not None:
        return describe(encoder)
    return about | {"bridge": names.get(id(encoder.bridge)), "modulator": modulator}


def describe_bridge(bridge: nn.Module) -> dict[str, Any]:
    """Describe what several encoders share."""
    if not isinstance(bridge, BridgingAdapter):
        return {"class": "custom", "name": type(bridge).__qualname__}
    words = {"widths": bridge.widths, "rank": bridge.rank, "levels": bridge.levels, "bias": bridge.bias}
    return {"class": "BridgingAdapter", "arguments": words}


def _described(tower: ClipTower) -> dict[str, Any]:
    config = tower.body.config.to_dict()
    return {
        "config": {k: config[k] for k in _FIELDS[tower.part]},
        "part": tower.part,
        "width": tower.projection.out_features,
        "unit": tower.unit,
        "order": tower.order,
        "lora": tower.lora,
        "base": None if tower.source is None else {"path": str(tower.source), "sha256": checksum(tower.source)},
    }


def build_bridges(described: Mapping[str, Any], where: str) -> dict[str, nn.Module]:
    """Make what several encoders share, on PyTorch's meta device."""
    found: dict[str, nn.Module] = {}
    for name, about in described.items():
        made = parse_state(json.dumps(about), _BRIDGE, where=f"{where}: the bridge {name!r}")
        with torch.device("meta"):
            found[name] = BridgingAdapter(**made["arguments"])
    return found


def build_encoder(described: Mapping[str, Any], bridges: Mapping[str, nn.Module], where: str) -> nn.Module:
    """Make an encoder that holds a tower, on PyTorch's meta device."""
    kind = described["class"]
    schema = {"class": {kind}, "modality": str, "tower": _TOWER, **_ENCODERS[kind]}
    about = parse_state(json.dumps(described), schema, where=where)
    with torch.device("meta"):
        tower = _built(about["tower"], where)
        if kind == "MaskedTower":
            return MaskedTower(tower, about["modality"], **about["arguments"])
        m, name = about["modulator"], about["bridge"]
        if name is not None and name not in bridges:
            raise InputError(f"{where}: the bridge {name[:80]!r} is not there; restore the folder, or train again")
        bridge = None if name is None else bridges[name]
        assert bridge is None or isinstance(bridge, BridgingAdapter)
        modulator = None if m is None else (SensorTokens if "count" in m else SensorModulator)(tower.width, **m)
        return TowerEncoder(tower, about["modality"], bridge=bridge, modulator=modulator, frozen=False)


def _built(about: Mapping[str, Any], where: str) -> ClipTower:
    part = about["part"]
    config = parse_state(json.dumps(about["config"]), _FIELDS[part], where=f"{where}: config of the tower")
    try:
        tower = clip({f"{part}_config": config, "projection_dim": about["width"]}, part, unit=about["unit"])
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if len(about["order"]) != tower.levels or max(about["order"]) >= tower.levels:
        raise InputError(f"{where}: order is {about['order'][:20]}, expected {tower.levels} numbers below {tower.levels}")
    tower.order, base = about["order"], about["base"]
    if base is not None:
        tower.source, tower.sha256 = Path(base["path"]), base["sha256"]
    if about["lora"] is not None:
        tower.add_lora(rank=about["lora"][0], scale=about["lora"][1])
    return tower


def settle(model: nn.Module) -> None:
    """Number the places of towers that were made without memory: those numbers are no part of a state."""
    for tower in _towers(model).values():
        places = tower.body.embeddings.position_embedding.num_embeddings
        tower.body.embeddings.position_ids = torch.arange(places).expand(1, -1)


def checksums(model: nn.Module) -> list[str]:
    """Return the SHA-256 of the weights that the towers of a model began with, each once."""
    return sorted({checksum(t.source) for t in _towers(model).values() if t.source is not None})


def checksum(folder: Path) -> str:
    """Return the SHA-256 of the weights in a folder."""
    digest = hashlib.sha256()
    for file in _files(folder):
        about = file.stat()
        digest.update(file_sha256(file, about.st_size, about.st_mtime_ns).encode())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    """List the files that `transformers` reads the weights from."""
    one = folder / "model.safetensors"
    return [one] if one.is_file() else sorted(folder.glob("*.safetensors"))


def based(model: nn.Module) -> frozenset[str]:
    """Return the keys of a model's state that its base holds bit for bit and that training leaves alone."""
    found = set[str]()
    for prefix, tower in _towers(model).items():
        if tower.source is None:
            continue
        frozen = {_place(tower, k): (f"{prefix}.{k}", p) for k, p in tower.named_parameters() if not p.requires_grad}
        for name, tensor in _tensors(tower.source, set(frozen)):
            key, parameter = frozen[name]
            if tensor.dtype == parameter.dtype and torch.equal(tensor, parameter.detach().cpu()):
                found.add(key)
    return frozenset(found)


def from_bases(model: nn.Module, lacking: set[str], folder: Path, given: Path | None) -> dict[str, Tensor]:
    """Read from the bases of a model's towers what its own file lacks."""
    found: dict[str, Tensor] = {}
    fix = "restore it, or say where it lies now: tuplet.load(folder, base=PATH)"
    for prefix, tower in _towers(model).items():
        keys = {_place(tower, k): f"{prefix}.{k}" for k, _ in tower.named_parameters() if f"{prefix}.{k}" in lacking}
        if tower.source is None or not tower.sha256 or not keys:
            continue
        tower.source = (tower.source if given is None else given).resolve()
        if not tower.source.is_dir() or not _files(tower.source):
            raise InputError(f"{folder} was trained on the tower in {tower.source}, which is not there; {fix}")
        if checksum(tower.source) != tower.sha256:
            raise InputError(f"{folder} was trained on other weights than {tower.source} holds now; {fix}")
        found |= {keys[name]: tensor for name, tensor in _tensors(tower.source, set(keys))}
    return found


def _towers(model: nn.Module) -> dict[str, ClipTower]:
    """Find the towers of a model, by the beginning of their keys."""
    return {k.replace("._orig_mod", ""): m for k, m in model.named_modules() if isinstance(m, ClipTower)}


def _place(tower: ClipTower, key: str) -> str:
    """Return the key that a tower's parameter has in the folder that it came from."""
    return f"{tower.part}_model." + key.removeprefix("body.").replace(".base_layer.", ".")


def _tensors(folder: Path, names: set[str]) -> Iterator[tuple[str, Tensor]]:
    """Read some tensors of a folder of weights."""
    from safetensors import safe_open

    for file in _files(folder):
        with safe_open(file, framework="pt") as opened:
            for name in sorted(names & set(opened.keys())):
                yield name, opened.get_tensor(name)
