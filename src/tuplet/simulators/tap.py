"""Tap: an object is seen, struck and touched; which sound and which touch belong to which view?

A simulated stand-in for vision, audio and touch of ObjectFolder 2.0, made on first use and kept in the cache. The objects,
sounds and pictures are the library's own, so figures compare with each other and not with published ones.
"""

from __future__ import annotations

from typing import Literal

from tuplet.data import Source, from_table
from tuplet.simulators.episodes import episode_table
from tuplet.simulators.mel import WINDOW
from tuplet.simulators.tap_world import RATE, SECONDS, Tap
from tuplet.types import Kind


def load(
    *,
    episodes: int = 120,
    seed: int = 0,
    size: int = 64,
    instances: int = 10,
    bands: int = 64,
    waveform: Literal["drop", "keep"] = "drop",
    workers: int | None = None,
) -> Source:
    """Simulate the objects, or find them in the cache, and split them 8:1:1 by object.

    Args:
        episodes: how many objects; few of them may lack a material or shape, which is refused. The default takes less than
            a minute to make on one core.
        seed: of the objects and of the split.
        size: pixels of one side of both pictures.
        instances: rows per object, each another view, strike and press.
        bands: of the spectrogram, which has as many columns; at most 64.
        waveform: ``"keep"`` adds the sound itself as a fourth modality.
        workers: processes that simulate; this one when left out.

    Returns:
        Modalities ``vision`` (3, size, size) and ``touch`` (3, size, size) in [0, 1], ``audio`` (bands, bands), and
        ``waveform`` (10240) when kept; targets ``material`` and ``shape``, six classes each; group = object, the relevance
        for retrieval. The object is no target, since the objects of the test part are new.

    Raises:
        InputError: if a number is out of range, a class is absent from the training part, or MuJoCo is not installed.

    Notes:
        Physical: the mallet's contact force; frequencies, shapes and decay of thin bodies' vibrations; perspective and
        geometry of what is seen and felt. Modelled: materials that are alike in
        all directions (wood is not), looks, textures and losses of materials (the losses are guessed), light,
        a microphone that hears all modes alike and sets its level by the peak, a gel of springs with three lamps. Not
        claimed: that a sound, look or touch is that of a real object. Views of one object share its colour, sounds its
        pitches, touches its texture; view and sound share material, shape and size, touch and sound the material and some
        of the shape, which need not tell two objects apart.

    Source:
        Names and split: R. Gao et al., ObjectFolder 2.0, 2022.

    Example:
        >>> source = load(episodes=40, instances=1, size=8, seed=1)
        >>> {k: m.shape for k, m in source.modalities.items()}, len(source.val), len(source.test)
        ({'audio': (64, 64), 'touch': (3, 8, 8), 'vision': (3, 8, 8)}, 6, 4)
    """
    scene = Tap(size=size, instances=instances, bands=bands, waveform=waveform)
    file = episode_table(scene, episodes=episodes, seed=seed, workers=workers)
    rates = {"audio": (bands - 1) / (SECONDS - WINDOW)} | ({"waveform": float(RATE)} if waveform == "keep" else {})
    kinds: dict[str, Kind] = {"audio": "signal"}  # bands are channels in time
    return from_table(file, fractions=(0.8, 0.1, 0.1), seed=seed, rates=rates, kinds=kinds)
