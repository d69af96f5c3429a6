"""Physiology: ECG, respiration and pulse of people at rest, under stress and amused.

A simulated stand-in for WESAD, whose shapes, rates, states and number of people it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, from_table
from tuplet.simulators.episodes import Columns, episode_table
from tuplet.simulators.render import about
from tuplet.types import in_range

CHEST, WRIST = 700, 64
"""Samples per second of ECG and respiration, and of the pulse."""
SECONDS = 5
"""Length of a window: 3,500 and 320 samples."""
WAVES = ((-0.17, 0.12, 0.022), (-0.032, -0.12, 0.009), (0.0, 1.0, 0.011), (0.03, -0.22, 0.010), (0.26, 0.3, 0.05))
"""P, Q, R, S and T: seconds from the R peak, millivolts, width in seconds."""
RISE = 0.13
"""Seconds from the foot of a pulse to its top."""


def load(
    *, episodes: int = 15, seed: int = 0, windows: int = 20, spread: float = 1.0, noise: float = 1.0, workers: int | None = None
) -> Source:
    """Simulate windows of 5 s, or find them in the cache, and split them 60/20/20 by person.

    Args:
        episodes: people, at least 3; 15 as in WESAD.
        seed: of the people and of the split.
        windows: windows of each person in each of the three states.
        spread: how much people differ, 0 .. 2.
        noise: factor of measurement noise and baseline wander.
        workers: processes that simulate; this one when left out.

    Returns:
        Modalities ``ecg`` (1, 3500) and ``respiration`` (1, 3500) at 700 Hz, ``bvp`` (1, 320) at 64 Hz; target ``state``
        (baseline, stress, amusement); people in ``.group``.

    Raises:
        InputError: if a number is out of range or there are too few people for three parts.

    Notes:
        Physical: nothing; no tissue, electrode or optics is simulated. Modelled: when the heart beats (integral pulse
        frequency modulation, driven by the breath), one shape per beat for ECG and pulse, the pulse's delay, noise and
        wandering baselines, and how these differ between states and people. What is shared is exact: ECG and pulse have the
        same beats. Not claimed: that stress shows like this in a person; the states' numbers are chosen, not fitted.

        A window starts anywhere in a beat, so that ECG and pulse of one window match in the times of their beats, and
        windows of one person also resemble each other in rate. They are negatives of each other: batches carry no group.

    Example:
        >>> source = load(episodes=3, windows=2)
        >>> {k: m.shape for k, m in source.modalities.items()}, source.targets["state"].names
        ({'bvp': (1, 320), 'ecg': (1, 3500), 'respiration': (1, 3500)}, ('baseline', 'stress', 'amusement'))
    """
    scene = Physiology(windows=windows, spread=spread, noise=noise)
    file = episode_table(scene, episodes=episodes, seed=seed, workers=workers)
    return from_table(file, seed=seed, contrast="rows", rates={"ecg": CHEST, "respiration": CHEST, "bvp": WRIST})


@dataclass(frozen=True, slots=True)
class State:
    """How a body behaves in one state, before differences between people."""

    rate: float
    breath: float
    coupling: float
    delay: float
    pulse: float


STATES = {
    "baseline": State(rate=68.0, breath=14.0, coupling=0.10, delay=0.25, pulse=1.0),
    "stress": State(rate=82.0, breath=18.0, coupling=0.05, delay=0.22, pulse=0.7),
    "amusement": State(rate=74.0, breath=16.0, coupling=0.08, delay=0.235, pulse=0.9),
}
"""Chosen, not fitted."""


@dataclass(frozen=True)
class Physiology:
    """Recordings of one person per episode, in every state, cut into windows of 5 s."""

    name: ClassVar[str] = "physiology"
    version: ClassVar[int] = 1
    windows: int = 20
    spread: float = 1.0
    noise: float = 1.0

    def __post_init__(self) -> None:
        in_range("windows", self.windows, 1)
        in_range("spread", self.spread, 0, 2)
        in_range("noise", self.noise, 0)

    @property
    def about(self) -> dict[str, str]:
        """Return title, origin, units and classes."""
        return about(
            "ECG, respiration and pulse of people in three states (simulated)",
            ecg="mV",
            respiration="volume, arbitrary",
            bvp="blood volume, arbitrary",
            physical=False,
            classes={"state": list(STATES)},
        )

    def episode(self, rng: np.random.Generator) -> Columns:
        """Return the windows of one person, states in order."""
        shift = self.spread * np.clip(rng.normal(size=5), -2, 2)
        parts: list[Columns] = []
        for code, usual in enumerate(STATES.values()):
            state = State(
                rate=usual.rate + 7 * shift[0],
                breath=usual.breath * (1 + 0.1 * shift[1]),
                coupling=usual.coupling * (1 + 0.2 * shift[2]),
                delay=usual.delay + 0.015 * shift[3],
                pulse=usual.pulse * (1 + 0.15 * shift[4]),
            )
            signals = recording(rng, state, seconds=self.windows * SECONDS, noise=self.noise)
            rows = {f"input.{k}": signals[k].reshape(self.windows, 1, -1) for k in ("ecg", "respiration", "bvp")}
            parts.append(
                {k: v.astype(np.float32) for k, v in rows.items()}
                | {
                    "target.state": np.full(self.windows, code, dtype=np.int64),
                    "delay": np.full(self.windows, state.delay, dtype=np.float32),
                }
            )
        return {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}


def recording(rng: np.random.Generator, state: State, *, seconds: int, noise: float = 1.0) -> dict[str, NDArray[np.float64]]:
    r"""Simulate one continuous recording."""
    before = 3  # seconds around the recording, so that its ends have the same beats and waves as the rest
    time = np.arange(-before * CHEST, (seconds + before) * CHEST) / CHEST
    wobble = 1 + 0.1 * _slow(rng, time, period=12.0)
    turn = 2 * np.pi * (rng.random() + np.cumsum(state.breath / 60 * wobble) / CHEST)
    breath = np.sin(turn) * (1 + 0.15 * _slow(rng, time, period=9.0))
    rate = state.rate / 60 * (1 + state.coupling * breath + 0.02 * _slow(rng, time, period=15.0))
    phase = rng.random() + np.cumsum(rate) / CHEST
    beats = np.interp(np.arange(1, int(phase[-1]) + 1), phase, time)
    at_beat = np.interp(beats, time, breath)
    drift = noise * 0.08 * _slow(rng, time, period=4.0)
    ecg = 0.1 * breath + drift + noise * 0.03 * rng.normal(size=len(time))
    gap = np.append(np.diff(beats), 60 / state.rate)
    for lag, height, width in WAVES:
        late = lag * np.sqrt(gap) if lag > 0.1 else np.full(len(beats), lag)  # the T wave follows sooner at a fast rate
        ecg += _beats(time, beats + late, height * (1 + 0.1 * at_beat), before=5 * width, after=5 * width, shape=_bell(width))
    slow_time = np.arange(-before * WRIST, (seconds + before) * WRIST) / WRIST
    tops = state.pulse * (1 + 0.2 * at_beat)
    bvp = _beats(slow_time, beats + state.delay, tops, before=0.0, after=1.5, shape=_pulse)
    bvp += noise * (0.02 * rng.normal(size=len(slow_time)) + 0.08 * _slow(rng, slow_time, period=6.0))
    inside, inside_slow = slice(before * CHEST, -before * CHEST), slice(before * WRIST, -before * WRIST)
    measured = breath + noise * 0.03 * rng.normal(size=len(time))
    return {"ecg": ecg[inside], "respiration": measured[inside], "bvp": bvp[inside_slow], "beats": beats}


def _slow(rng: np.random.Generator, time: NDArray[np.float64], *, period: float) -> NDArray[np.float64]:
    """Draw a smooth signal of deviation about 1: six sines of random phase with periods around ``period`` seconds."""
    frequency = (0.5 + rng.random(6)) / period
    phase = 2 * np.pi * rng.random(6)
    waves = np.sin(2 * np.pi * frequency[:, None] * time + phase[:, None])
    return np.asarray(waves.sum(axis=0) / np.sqrt(3))


def _beats(
    time: NDArray[np.float64],
    starts: NDArray[np.float64],
    heights: NDArray[np.float64],
    *,
    before: float,
    after: float,
    shape: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Add one shape per beat, each at its exact time between the samples."""
    step = time[1] - time[0]
    near = np.arange(-int(before / step) - 1, int(after / step) + 2)
    where = np.round((starts - time[0]) / step).astype(np.int64)[:, None] + near
    values = heights[:, None] * shape(time[0] + where * step - starts[:, None])
    kept = (where >= 0) & (where < len(time))
    return np.bincount(where[kept], weights=values[kept], minlength=len(time)).astype(np.float64)


def _bell(width: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    return lambda t: np.exp(-0.5 * (t / width) ** 2)


def _pulse(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a pulse whose foot is at 0 and whose top, 1, at `RISE`, with a second, smaller wave from the arteries' ends."""
    first, second = np.maximum(t, 0) / RISE, np.maximum(t - 2 * RISE, 0) / RISE
    return first**2 * np.exp(2 * (1 - first)) + 0.3 * second**2 * np.exp(2 * (1 - second))
