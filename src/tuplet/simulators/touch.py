"""Touch through several sensors: textured objects pressed on optical gels, photographed and described.

What stands for TacQuad and the other sets that TLV-CoRe is trained on: the content is known exactly, and so is the sensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuplet.data import Provenance, Source, from_arrays
from tuplet.simulators._touch_calibration import Table, calibrations
from tuplet.simulators._touch_gel import SENSORS, indentation, pictures
from tuplet.simulators._touch_surface import FAMILIES, Contact, Maps, column, draw_contact, draw_thing, photographs, press
from tuplet.simulators._touch_words import sentence
from tuplet.types import InputError, in_range, one_of

PRESSES = 4
"""Times that an object is touched, unless every sensor touches the same."""
KINDS = 4 * len(FAMILIES)
"""Objects among which every family, roughness and hardness occurs once."""
BLOCK = 32
"""Contacts rendered at a time."""
Bytes = NDArray[np.uint8]


def load(
    *,
    contacts: int = 1200,
    size: int = 64,
    sensors: Sequence[str] = tuple(SENSORS),
    seed: int = 0,
    same_contact: bool = False,
    calibration: str | Path = "installed",
    tokenise: Callable[[list[str]], ArrayLike] | None = None,
) -> Source:
    """Simulate touch pictures of several sensors, with a photograph and a sentence of each object, split by object.

    Args:
        contacts: presses, each by one sensor. An object is pressed four times.
        size: pixels of one side of both pictures, 16 to 512.
        sensors: some of ``gelsight``, ``gelsight_mini``, ``digit`` and ``duragel``; their order gives the ids.
        seed: of objects, presses and split; contact ``i`` is the same however many there are.
        same_contact: press every object once, through every sensor: rows ``K i`` to ``K i + K - 1`` are one contact.
        calibration: whose light GelSight and GelSight Mini have: ``"installed"`` is that measured by the package taxim where
            it is installed, else approximated; a path is its wheel or folder; ``"approximate"`` uses no measurement.
        tokenise: what turns the sentences into numbers, ``(n, length)``, for a text tower; hashed n-grams when left out.

    Returns:
        Modalities ``touch`` and ``vision`` (3, size, size) in 0 .. 1 and ``text``; targets ``family`` (6), ``roughness``,
        ``hardness`` and, of two sensors or more, ``sensor``, which batches also carry as ``aux["sensor"]``; group = object.

    Raises:
        InputError: for an unknown or repeated sensor, a number out of range, or a calibration that cannot be read.

    Notes:
        Physical: geometry of the press, slopes of the gel, and, with taxim's tables, the colours of slopes and the untouched
        gel of one GelSight and one GelSight Mini. Modelled: textures, a gel that blurs and bulges instead of elasticity,
        soft objects that flatten, lamps without shadows, printed markers, noise, photographs and words; DIGIT and DuraGel
        always, as the notes of the provenance say. Not claimed: that a picture is what a sensor of this name would show, or
        that accuracies carry over to real sensors. All sensors see the same 14.2 mm; real ones differ.

    Source:
        Sensors and targets as in TLV-CoRe; light by tables: Z. Si and W. Yuan, Taxim, 2022.

    Example:
        >>> source = load(contacts=96, size=16, calibration="approximate")
        >>> {k: m.shape for k, m in source.modalities.items()}, source.targets["sensor"].size
        ({'text': (1024,), 'touch': (3, 16, 16), 'vision': (3, 16, 16)}, 4)
    """
    sensors = _checked(sensors)
    in_range("contacts", contacts, KINDS * (1 if same_contact else PRESSES))
    in_range("size", size, 16, 513)
    in_range("seed", seed, 0)
    tables = {k: t for k, t in calibrations(calibration).items() if k in sensors}
    each = 1 if same_contact else PRESSES
    objects = np.arange(contacts) // each
    things = [draw_thing(seed, o) for o in range(objects[-1] + 1)]
    by = np.stack([np.random.default_rng([seed, 2, i]).permutation(len(sensors)) for i in range(contacts)])
    by = np.sort(by, axis=1) if same_contact else by[:, :1]  # (contacts, rows of each), sensor ids
    touch = np.empty((contacts, by.shape[1], 3, size, size), np.uint8)
    vision = np.empty((contacts, 3, size, size), np.uint8)
    text: list[str] = []
    for start in range(0, contacts, BLOCK):
        block = range(start, min(start + BLOCK, contacts))
        rngs = [np.random.default_rng([seed, 3, i]) for i in block]
        made = [draw_contact(things[objects[i]], rng, size) for i, rng in zip(block, rngs, strict=True)]
        text += [sentence(c.thing, rng) for c, rng in zip(made, rngs, strict=True)]
        vision[block] = _bytes(photographs(made, size))
        for k, name in enumerate(sensors):
            rows, at = np.nonzero(by[block] == k)
            if len(rows):
                noise = [np.random.default_rng([seed, 4, start + int(r), list(SENSORS).index(name)]) for r in rows]
                touch[start + rows, at] = felt(name, tables.get(name), [made[r] for r in rows], noise, size)
    spread = np.repeat(np.arange(contacts), by.shape[1])
    kinds = [things[o] for o in objects[spread]]
    targets = {
        "family": [t.family for t in kinds],
        "roughness": ["rough" if t.rough else "smooth" for t in kinds],
        "hardness": ["hard" if t.hard else "soft" for t in kinds],
    }
    words = np.array(text) if tokenise is None else np.asarray(tokenise(text))
    many = {"sensor": by.reshape(-1)} if len(sensors) > 1 else {}
    source = from_arrays(
        {"touch": touch.reshape(-1, 3, size, size), "vision": vision[spread], "text": words[spread]},
        targets={**targets, **many},
        group=objects[spread],
        seed=seed,
        scaling=None if tokenise is None else {"text": "none"},
        name="touch",
        provenance=_provenance(sensors, tables),
    )
    named = {k: replace(source.targets[k], names=tuple(sensors)) for k in many}
    return replace(source, targets=source.targets | named, aux=tuple(many))


def felt(name: str, table: Table | None, contacts: Sequence[Contact], noise: Sequence[np.random.Generator], size: int) -> Bytes:
    """Return what one sensor shows of some contacts, ``(B, 3, size, size)``."""
    sensor = SENSORS[name]
    give = column([3.0 if c.thing.hard else 0.8 for c in contacts])
    moved, wide = indentation(sensor, press(contacts, size), give, size)
    seen = pictures(sensor, name, table, moved, wide, size)
    for picture, rng in zip(seen, noise, strict=True):
        picture *= np.float32(rng.uniform(0.95, 1.05))  # exposure
        picture += np.float32(sensor.noise) * rng.standard_normal(picture.shape, dtype=np.float32)
    return _bytes(seen)


def _bytes(pictures: Maps) -> Bytes:
    return np.clip(np.rint(pictures * 255), 0, 255).astype(np.uint8)


def _checked(sensors: Sequence[str]) -> tuple[str, ...]:
    """Refuse sensors that are unknown, repeated or none."""
    names = (sensors,) if isinstance(sensors, str) else tuple(sensors)
    for name in names:
        one_of("sensors", name, tuple(SENSORS))
    if not names or len(set(names)) < len(names):
        raise InputError(f"sensors is {list(names)}, expected one or more different names of {list(SENSORS)}")
    return names


def _provenance(sensors: Sequence[str], tables: dict[str, Table]) -> Provenance:
    """Say of every sensor where its light comes from."""
    notes = [
        f"sensor {k}: colours of slopes and the untouched gel are measured (taxim 1.4.1); gel, markers and noise are modelled"
        if k in tables
        else f"sensor {k}: gel, lamps (Lambert and Phong), markers and noise are approximated; nothing of it is measured"
        for k in sensors
    ]
    return Provenance(
        title="Simulated touch by several sensors, with photographs and sentences (generated)",
        citation="light tables: Z. Si and W. Yuan, Taxim, 2022" if tables else "",
        licence="generated by tuplet" + "; light tables of taxim (MIT)" * bool(tables),
        origin="tuplet.simulators.touch",
        notes=tuple(notes),
    )
