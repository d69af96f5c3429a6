"""Log-mel spectrograms: how loud a sound is at each pitch and time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuplet.types import InputError, in_range

WINDOW = 0.032
"""Seconds of sound in a column."""
LOWEST = 50.0
"""Hertz; lower pitches are left out."""


def mel_bands(bands: int, *, rate: int, points: int) -> NDArray[np.float64]:
    r"""Return triangular bands, equally wide on the mel scale."""
    in_range("bands", bands, 1)
    top, bottom = (2595 * np.log10(1 + f / 700) for f in (rate / 2, LOWEST))
    edge = 700 * (10 ** (np.linspace(bottom, top, bands + 2) / 2595) - 1)
    f = np.fft.rfftfreq(points, 1 / rate)
    rising = (f - edge[:-2, None]) / (edge[1:-1] - edge[:-2])[:, None]
    falling = (edge[2:, None] - f) / (edge[2:] - edge[1:-1])[:, None]
    weights: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    if not weights.any(axis=1).all():
        raise InputError(
            f"bands is {bands}, too many for {points} points at {rate} Hz; give fewer bands or more points"
        )
    return weights


def log_mel(
    wave: NDArray[np.floating], *, rate: int, bands: int = 64, frames: int = 64, floor: float = 1e-7
) -> NDArray[np.float32]:
    r"""Return the logarithm of the power in mel bands, over Hann windows of 32 ms spread evenly over the sound."""
    window = int(WINDOW * rate)
    if wave.ndim != 1 or len(wave) < window:
        raise InputError(f"wave has shape {wave.shape}, expected (T,) with T >= {window}, one window of 32 ms")
    in_range("frames", frames, 1)
    start = np.linspace(0, len(wave) - window, frames).astype(np.int64)
    hann = np.hanning(window + 1)[:-1]
    spectrum = np.fft.rfft(wave[start[:, None] + np.arange(window)] * hann, n=2 * window) / hann.sum()
    power = np.abs(spectrum) ** 2 @ mel_bands(bands, rate=rate, points=2 * window).T
    found: NDArray[np.float32] = np.log(power.T + floor).astype(np.float32)
    return found
