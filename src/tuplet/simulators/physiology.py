"""Simulated ECG, respiration and pulse of people at rest, under stress and amused; stands in for WESAD.

Shapes, rates of sampling, states and the number of people are WESAD's. The signals are a model's: see
`tuplet.simulators.physiology_world` for what is assumed.
"""

from __future__ import annotations

from tuplet.data import Source, from_table
from tuplet.simulators.episodes import episode_table
from tuplet.simulators.physiology_world import CHEST, WRIST, Physiology


def load(
    *,
    episodes: int = 15,
    seed: int = 0,
    windows: int = 20,
    spread: float = 1.0,
    noise: float = 1.0,
    workers: int | None = None,
) -> Source:
    """Load windows of 5 s, split by person; simulated on first use and kept in the cache.

    Args:
        episodes: people, at least 3; 15 as in WESAD.
        seed: of the people and of the split.
        windows: windows of each person in each of the three states.
        spread: how much people differ, 0 .. 2.
        noise: factor of measurement noise and baseline wander.
        workers: processes that simulate; they change the time only.

    Returns:
        Modalities ``ecg`` (1, 3500) and ``respiration`` (1, 3500) at 700 Hz, ``bvp`` (1, 320) at 64 Hz; target ``state``
        (baseline, stress, amusement); people in ``.group``.

    Raises:
        InputError: if a number is out of range or there are too few people for three parts.

    Notes:
        Physical: nothing; no tissue, electrode or optics is simulated. Modelled: when the heart beats (integral pulse
        frequency modulation, driven by the breath), one shape per beat for ECG and pulse, the pulse's delay, noise and
        wandering baselines, and how rates and heights differ between states and people. What is shared is exact: ECG and
        pulse have the same beats. Not claimed: that stress shows like this in a person; the states' numbers are chosen,
        not fitted to any recording.

        A window starts anywhere in a beat, so that ECG and pulse of one window match in the times of their beats, and
        windows of one person also resemble each other in rate. They are negatives of each other: batches carry no group,
        while the split keeps people whole.

    Example:
        >>> source = load(episodes=3, windows=2)
        >>> {k: m.shape for k, m in source.modalities.items()}, source.targets["state"].names
        ({'bvp': (1, 320), 'ecg': (1, 3500), 'respiration': (1, 3500)}, ('baseline', 'stress', 'amusement'))
    """
    scene = Physiology(windows=windows, spread=spread, noise=noise)
    file = episode_table(scene, episodes=episodes, seed=seed, workers=workers)
    return from_table(file, seed=seed, contrast="rows", rates={"ecg": CHEST, "respiration": CHEST, "bvp": WRIST})
