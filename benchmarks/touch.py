"""How fast simulated touch is made, whether sensors dominate it, and how its measured light compares with real presses.

    python benchmarks/touch.py [--contacts 400] [--size 64] [--seed 0] [--calibration WHEEL]

Probes are logistic regressions on contacts that every sensor saw, trained on half of them and scored on the rest (chance:
one half, and one of the number of sensors for the sensor). Pixels are averaged to 16 x 16; the spectrum is the log power in
12 rings per colour. With the wheel of taxim 1.4.1, the 72 presses of a ball in it stand beside a ball that is simulated.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from itertools import product
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tuplet.simulators import touch
from tuplet.simulators._touch_calibration import CALIBRATED, area, calibrations, measured, opened
from tuplet.simulators._touch_gel import SENSORS
from tuplet.simulators._touch_surface import FIELD

BALL = 2.0
"""Radius of the ball in millimetres; found from the contrast of GelSight's presses, not documented in the wheel."""


def spectrum(pictures: np.ndarray) -> np.ndarray:
    """Log power in 12 rings of every colour, ``(n, 36)``."""
    n, c, size, _ = pictures.shape
    power = np.abs(np.fft.rfft2(pictures - pictures.mean(axis=(2, 3), keepdims=True))) ** 2
    ring = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)) * 2 * 12
    masks = [(ring >= i) & (ring < i + 1) for i in range(12)]
    return np.log(np.stack([power[:, :, m].mean(axis=-1) for m in masks], axis=-1) + 1e-6).reshape(n, c * 12)


def accuracy(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    return float(probe.fit(x[train], y[train]).score(x[test], y[test]))


def probes(source: touch.Source, contacts: int) -> None:
    pictures = source.columns["touch"].values.numpy() / 255  # type: ignore[union-attr]
    sensor = source.values["sensor"].numpy()
    k = int(sensor.max()) + 1
    half = np.random.default_rng(0).permutation(contacts) < contacts // 2
    train, test = np.repeat(half, k), np.repeat(~half, k)
    features = {"pixels": area(pictures, 16).reshape(len(pictures), -1), "spectrum": spectrum(pictures)}
    print("\n| features | sensor | target | same sensor | other sensor | other, each sensor standardised |")
    print("| --- | --- | --- | --- | --- | --- |")
    knows = {name: accuracy(x, sensor, train, test) for name, x in features.items()}
    for (name, x), target in product(features.items(), ("hardness", "roughness", "family")):
        y, even = source.values[target].numpy(), np.empty_like(x)
        for a in range(k):  # statistics of training contacts
            known = x[train & (sensor == a)]
            even[sensor == a] = (x[sensor == a] - known.mean(axis=0)) / known.std(axis=0)
        pairs = [(a, b) for a, b in product(range(k), repeat=2) if a != b]
        found = [
            [accuracy(f, y, train & (sensor == a), test & (sensor == b)) for a, b in which]
            for f, which in ((x, [(a, a) for a in range(k)]), (x, pairs), (even, pairs))
        ]
        row = " | ".join(f"{np.mean(scores):.2f}" for scores in found)
        print(f"| {name} | {knows[name]:.2f} | {target} | {row} |", flush=True)


def figures(pictures: np.ndarray) -> str:
    """Mean, spread and gradient energy of pictures ``(n, 3, size, size)`` in 0 .. 1, times 100, 100 and 10^4."""
    down, right = np.gradient(pictures, axis=(2, 3))
    return f"{100 * pictures.mean():.2f} | {100 * pictures.std():.2f} | {1e4 * (down**2 + right**2).mean():.2f}"


def balls(wheel: Path, size: int) -> None:
    """Compare real presses of a ball with the same presses by table, as differences from the untouched gel."""
    print("\n| presses, less the untouched gel | n | mean | spread | gradient energy | correlation within the contact |")
    print("| --- | --- | --- | --- | --- | --- |")
    fine, tables = 240, calibrations(wheel)
    x, y = np.meshgrid(*(np.arange(fine) * 480 / fine + start for start in (80, 0)))
    for name in CALIBRATED:
        real, untouched = measured(wheel, name)
        centres, radii = (opened(wheel, name, "dataPack.npz", f"touch_{k}").astype(float) for k in ("center", "radius"))
        away = ((x - centres[:, :1, None]) ** 2 + (y - centres[:, 1:, None]) ** 2) * (FIELD / 480) ** 2
        reach = (radii[:, None, None] * FIELD / 480) ** 2
        deep = np.where(away < reach, np.sqrt(np.maximum(BALL**2 - away, 0)) - np.sqrt(BALL**2 - reach), 0)
        table = tables[name]
        made = table.light(*np.gradient(deep.astype(np.float32), FIELD / fine, axis=(1, 2)), fine) - area(untouched, fine)
        seen = area(real - untouched, fine)
        inside = (away < reach)[:, None] & np.ones((1, 3, 1, 1), bool)
        like = [np.corrcoef(a[m], b[m])[0, 1] for a, b, m in zip(made, seen, inside, strict=True) if m.sum() > 100]
        print(f"| {name}, real | {len(real)} | {figures(area(seen, size))} | |")
        print(f"| {name}, simulated | {len(real)} | {figures(area(made, size))} | {np.mean(like):.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=400)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calibration", default="approximate")
    asked = parser.parse_args()
    options = {"size": asked.size, "seed": asked.seed, "calibration": asked.calibration}
    touch.load(contacts=96, **options)  # imports and tables
    print(f"{platform.machine()}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for same in (False, True):
        start, spent = time.perf_counter(), time.process_time()
        source = touch.load(contacts=asked.contacts, same_contact=same, **options)
        start, spent = time.perf_counter() - start, time.process_time() - spent
        made = len(source.group) + asked.contacts  # type: ignore[arg-type]
        print(f"same_contact={same}: {made} pictures, {made / spent:.0f} a CPU second, {made / start:.0f} a second")
    print(*source.provenance.notes, sep="\n")
    print("\n| simulated presses | n | mean | spread | gradient energy |\n| --- | --- | --- | --- | --- |")
    pictures = source.columns["touch"].values.numpy() / np.float32(255)  # type: ignore[union-attr]
    for i, name in enumerate(SENSORS):
        print(f"| {name} | {asked.contacts} | {figures(pictures[i :: len(SENSORS)])} |")
    probes(source, asked.contacts)
    if asked.calibration != "approximate":
        balls(Path(asked.calibration), asked.size)


if __name__ == "__main__":
    main()
