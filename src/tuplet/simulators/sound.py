"""Log-mel spectrograms, and recorded and synthetic speech brought to one form: 4 kHz wide, without silence around it."""

from __future__ import annotations

import io
import wave as riff
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuplet.types import InputError, in_range

WINDOW = 0.032
"""Seconds of sound in a column."""
LOWEST = 50.0
"""Hertz; lower pitches are left out."""
RATE = 8_000
"""Samples per second to which all speech is brought; that of telephone prompts and of the Free Spoken Digit Dataset."""
LOUDEST = 40.0
"""Decibels below the loudest 10 ms of a clip at which its beginning and end are cut."""
LONGEST = 60
"""Seconds; more is refused."""


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
        raise InputError(f"bands is {bands}, too many for {points} points at {rate} Hz; give fewer bands or more points")
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
    return np.asarray(np.log(power.T + floor).astype(np.float32))


def read_wav(file: Path) -> tuple[NDArray[np.float64], int]:
    """Read a wav file of 16-bit samples; channels are averaged."""
    try:
        with riff.open(io.BytesIO(file.read_bytes())) as sound:
            channels, width, rate, frames = sound.getparams()[:4]
            content = sound.readframes(min(frames, LONGEST * 200_000))
    except (OSError, EOFError, riff.Error, MemoryError, OverflowError, ValueError, RuntimeError) as error:
        raise InputError(f"{file} cannot be read ({type(error).__name__}); give a wav file of 16-bit samples") from None
    if width != 2 or not 4_000 <= rate <= 200_000 or not 0 < frames <= LONGEST * rate:
        raise InputError(
            f"{file} has {width}-byte samples, {frames} of them at {rate} Hz, expected 2 bytes, at most {LONGEST} s"
        )
    if len(content) != 2 * channels * frames:
        raise InputError(f"{file} is cut off; copy it again")
    samples = np.frombuffer(content, "<i2").reshape(frames, channels)
    return samples.mean(axis=1) / 32768, rate


def clip_features(wave: NDArray[np.floating] | NDArray[np.integer], *, rate: int, frames: int = 48) -> NDArray[np.float32]:
    """Return the log-mel spectrogram of a clip, mean 0 and deviation 1 over its own values."""
    from scipy.signal import resample_poly

    narrow = wave.astype(np.float64)
    if rate != RATE:
        common = int(np.gcd(rate, RATE))
        narrow = resample_poly(narrow, RATE // common, rate // common)
    sound = _trimmed(narrow)
    made = log_mel(sound / np.abs(sound).max(), rate=RATE, bands=32, frames=frames, floor=1e-6).T.astype(np.float64)
    return np.asarray(((made - made.mean()) / made.std()).astype(np.float32))


def _trimmed(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut silence at both ends, and pad to the 32 ms of one window."""
    step = RATE // 100
    blocks = np.pad(wave, (0, -len(wave) % step)).reshape(-1, step)
    power = (blocks**2).mean(axis=1)
    if not power.any():
        raise InputError("the clip is silent; give one with sound")
    loud = np.flatnonzero(power >= power.max() * 10 ** (-LOUDEST / 10))
    kept = blocks[loud[0] : loud[-1] + 1].reshape(-1)
    return np.pad(kept, (0, max(0, int(0.032 * RATE) - len(kept))))
