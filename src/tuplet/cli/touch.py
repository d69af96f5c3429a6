"""Methods on towers for ``tuplet train --method``: their data, with texts as token ids, and their recipe."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from tuplet.cli.source import Reading, opened
from tuplet.errors import InputError
from tuplet.io import read_state

if TYPE_CHECKING:
    from tuplet.data import Source
    from tuplet.data._scaling import Scaling
    from tuplet.nets.tokens import Tokeniser
    from tuplet.train.recipe import Recipe

NAMES = ("text", "touch", "vision")
SENSOR = "sensor"
LENGTH, VOCABULARY = 77, 49408
"""Tokens per text, and different ones, of towers that begin at random: those of CLIP, whose ids some data sets store."""
SIDE = 32
"""Pixels of a side that such towers see where the data have no side of their own."""


TINY: dict[str, dict[str, Any]] = {
    "tlv_core": {"rank": 8},
    "tlv_link": {"rank": 4},
    "any_touch": {"rank": 4, "decoder": (32, 1, 2)},
    "vit_lens": {"blocks": 2},
    "uni_touch": {},
}
"""Method -> sizes that suit such towers."""


def read_by(tower: Path | None) -> tuple[int, int]:
    """Return the pixels of a side and the tokens of a text that a tower reads."""
    if tower is None:
        return SIDE, LENGTH
    parts = {"vision_config": {"image_size?": int, ...: object}, "text_config": {"max_position_embeddings?": int, ...: object}}
    config = read_state(tower / "config.json", {**parts, ...: object}, fix="give --tower the folder of a CLIPModel")
    return config["vision_config"].get("image_size", 224), config["text_config"].get("max_position_embeddings", 77)


def words_of(tower: Path | None) -> Tokeniser:
    """Return what turns texts into the ids that a tower reads."""
    from tuplet.nets.tokens import tokeniser, tokeniser_of

    length = read_by(tower)[1]
    return tokeniser("words", length=length, vocabulary=VOCABULARY) if tower is None else tokeniser_of(tower, length)


def touch_source(note: dict[str, Any]) -> Source:
    """Load touch, vision and text as towers read them: pictures from 0 to 1 and token ids."""
    from tuplet.catalog import READERS, SOURCES
    from tuplet.datasets._touch_source import in_ids

    tower = None if note["tower"] is None else Path(note["tower"])
    how, data = replace(Reading.noted(note["reading"]), tower=()), note["data"]
    name, _, text = data.partition("?")
    if name not in READERS and name not in SOURCES:
        source = _own(Path(name), how, tower)
    else:
        load: Callable[..., Any] = READERS[name].load if name in READERS else SOURCES[name]
        options = dict.fromkeys(("side", "size"), read_by(tower)[0]) | {"normalisation": "none"}
        known = {k: v for k, v in options.items() if k in inspect.signature(load).parameters and f"{k}=" not in text}
        data = "?".join([name, "&".join(x for x in (text, urlencode(known)) if x)]).removesuffix("?")

        def tokenise(texts: list[str]) -> Any:
            return words_of(tower)(texts).numpy()

        source = opened(data, how, tokenise=tokenise) if name in SOURCES else in_ids(partial(opened, data, how), tokenise)
    if missing := [k for k in NAMES if k not in source.modalities]:
        raise InputError(
            f"{data} has no {missing[0]!r}, expected the modalities {list(NAMES)}; rename what is called otherwise"
        )
    return source


def _own(file: Path, how: Reading, tower: Path | None) -> Source:
    """Read a user's file; its column of sensor ids becomes a target that batches carry in ``aux``."""
    from tuplet.data import read
    from tuplet.data._columns import texts_of
    from tuplet.data._inputs import arrays_of

    if how.kind or how.scaling or how.modalities:
        raise InputError("--method reads touch, vision and text as towers do; leave --kind, --scaling and --modalities out")
    found = arrays_of(file, None)
    if missing := [k for k in NAMES if k not in found]:
        raise InputError(f"{file} has {sorted(found)}, expected {missing[0]!r} too")
    if (texts := texts_of(found["text"])) is not None:
        found["text"] = words_of(tower).rows(texts)
    labels = {k.removeprefix("target."): v for k, v in found.items() if k.startswith("target.") or k in ("label", "target")}
    for name in (how.target, SENSOR):
        if name is not None and name in found:
            labels[name] = found[name]
    if how.target is not None and how.target not in labels:
        raise InputError(f"target is {how.target!r}, expected one of {sorted(set(found) - set(NAMES))}")
    if SENSOR in labels and labels[SENSOR].dtype.kind in "iuf":  # -1, as NaN, is an unknown sensor
        ids = np.nan_to_num(labels[SENSOR].astype(np.float64), nan=-1.0)
        labels[SENSOR] = np.array([int(v) if v >= 0 else None for v in ids], dtype=object)
    if SENSOR in labels and len({v for v in labels[SENSOR].tolist() if v is not None}) < 2:
        del labels[SENSOR]
    for k in ("touch", "vision"):
        low, high = (float(f(found[k])) for f in (np.nanmin, np.nanmax))
        if found[k].dtype.kind == "f" and (low < 0 or high > 1):
            raise InputError(f"{file} has {k} with values from {low:g} to {high:g}, expected 0 to 1, or bytes; divide by 255")
    scaling: dict[str, Scaling] = dict.fromkeys(("text", *(k for k in NAMES if found[k].dtype.kind == "f")), "none")
    source = read(
        {k: v for k, v in found.items() if k in (*NAMES, how.group, "group", how.id, "id")},
        modalities=NAMES,
        target=labels,
        group=how.group,
        id=how.id,
        scaling=scaling,
        target_kind=dict.fromkeys(labels.keys() & {SENSOR}, "class") or None,
    )
    return replace(source, name=file.stem, aux=(SENSOR,) if SENSOR in labels else ())


def touch_recipe(note: dict[str, Any], say: Callable[[str], None]) -> Recipe:
    """Make the recipe of a method on towers."""
    import torch

    from tuplet import methods
    from tuplet.nets import clip
    from tuplet.train import Recipe

    tower = None if note["tower"] is None else Path(note["tower"])
    source = touch_source(note)
    side = source.modalities["vision"].shape[-1] if tower is None else read_by(tower)[0]
    for k in ("touch", "vision"):
        if (shape := source.modalities[k].shape) != (3, side, side):
            raise InputError(
                f"{source.name} has {k} of shape {shape}, but the tower reads (3, {side}, {side}); resize the pictures"
            )
    names = [k for k in source.targets if k not in source.aux]
    sensors = source.targets[SENSOR].size if SENSOR in source.aux else 1
    base: Any = _tiny(side, source.modalities["text"].shape[0]) if tower is None else tower
    say(
        "Towers: tiny ones with random weights; --tower DIR takes a CLIP that you have."
        if tower is None
        else f"Towers: {tower}"
    )
    say(
        f"Sensors: {sensors}"
        if sensors > 1
        else "Sensors: one, or not told; there is nothing to modulate by or to decouple from"
    )
    torch.manual_seed(note["seed"])
    towers = {k: clip(base, "text" if k == "text" else "vision", unit=True) for k in NAMES}
    low = min(t.levels for t in towers.values())
    options: dict[str, Any] = {"sensors": sensors}
    if note["method"] == "tlv_core":
        options["levels"] = min(12, low)
    if note["method"] == "any_touch":
        things = "object" in source.aux or (source.group is not None and source.contrast == "groups")
        options["matching"] = 0.1 if sensors > 1 and things else 0.0
    if tower is None:
        options |= TINY[note["method"]]
    model, objective, config = getattr(methods, note["method"])(towers, **options)
    with suppress(InputError):  # without a vocabulary, texts come as ids
        model.words["text"] = words_of(tower)
    model.preprocessing = dict(source.preprocessing)
    given = {k: v if k == "lr" else int(v) for k, v in note["settings"].items() if v is not None}
    config = replace(config, seed=note["seed"], **given)
    return Recipe(source, model, objective, config, target=note["target"] or (names[0] if len(names) == 1 else ""))


def _tiny(side: int, length: int) -> dict[str, Any]:
    """Describe a CLIP that trains in a minute on a laptop."""
    layers = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "hidden_act": "gelu",
    }
    patch = max(p for p in range(1, side // 2 + 1) if side % p == 0 and p <= max(8, side // 8)) if side > 1 else 1
    words = {"vocab_size": VOCABULARY, "max_position_embeddings": length, "eos_token_id": 2, "bos_token_id": 0}
    return {
        "vision_config": layers | {"image_size": side, "patch_size": patch},
        "text_config": layers | words,
        "projection_dim": 32,
    }
