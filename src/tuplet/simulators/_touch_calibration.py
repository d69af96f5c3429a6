"""The measured light of GelSight and GelSight Mini: the tables of the package taxim, read without importing it."""

from __future__ import annotations

import importlib.util
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from tuplet.io.files import BAD_ZIP
from tuplet.types import InputError

CALIBRATED = ("gelsight", "gelsight_mini")
SHAPE = (480, 640)
BINS = 125
Maps = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One sensor's measurements, red first, in 0 .. 1."""

    # change of colour = sum of terms * (x^2, y^2, xy, x, y, 1), x and y in pixels of the frame; the bins are steepness
    # (0 to 90 degrees) and direction (-180 to 180) of the slope
    terms: Maps  # (3, 125, 125, 6)
    background: Maps  # (3, 480, 480), the middle square of the untouched gel

    def light(self, down: Maps, right: Maps, size: int) -> Maps:
        """Look up the colour of slopes ``(B, size, size)``; a level gel looks untouched. Returns ``(B, 3, size, size)``."""
        steep = np.arctan(np.hypot(down, right)) * ((BINS - 1) / (np.pi / 2))
        way = (np.arctan2(down, right) + np.pi) * ((BINS - 1) / (2 * np.pi))
        at = steep.astype(np.int64) * BINS + way.astype(np.int64)
        x, y = np.meshgrid(*((np.arange(size) + 0.5) * (SHAPE[0] / size) + start for start in (80, 0)))
        places = np.stack([x * x, y * y, x * y, x, y, np.ones_like(x)], axis=-1).astype(np.float32)  # (size, size, 6)
        plain = area(self.background, size)
        seen = np.empty((len(at), 3, size, size), np.float32)
        for c, terms in enumerate(self.terms.reshape(3, BINS * BINS, 6)):
            level = places @ terms[:BINS].mean(axis=0)  # up to a tenth in Mini's table, and not seen in its presses
            seen[:, c] = plain[c] - level + np.einsum("bijk,ijk->bij", terms[at], places)
        return seen


def area(pictures: NDArray[Any], size: int) -> Maps:
    """Average pictures ``(..., C, H, W)`` down to a side."""
    whole = torch.from_numpy(np.ascontiguousarray(pictures, np.float32))
    shrunk = interpolate(whole.reshape(-1, *whole.shape[-3:]), size=(size, size), mode="area")
    return shrunk.reshape(*whole.shape[:-2], size, size).numpy()


def calibrations(where: str | Path) -> dict[str, Table]:
    """Return the tables by sensor: of an installed taxim, of a wheel or folder, or none for ``"approximate"``."""
    if where == "approximate":
        return {}
    if where == "installed":
        found = importlib.util.find_spec("taxim")  # finds, and does not run
        if found is None or not found.submodule_search_locations:
            return {}
        where = found.submodule_search_locations[0]
    return {name: _table(Path(where), name) for name in CALIBRATED}


def measured(where: str | Path, sensor: str) -> tuple[Maps, Maps]:
    """Return the real presses that a sensor was calibrated with, and its untouched gel; red first, the middle squares."""
    presses, background = (opened(Path(where), sensor, "dataPack.npz", k) for k in ("imgs", "f0"))
    return _square(presses), _square(background)


def opened(where: Path, sensor: str, file: str, array: str) -> NDArray[Any]:
    """Read one array of a calibration file in a wheel, or in a folder that holds ``calib`` or is it."""
    inside = f"calib/{sensor}/{file}"
    try:
        if where.is_file():
            with zipfile.ZipFile(where) as wheel:
                data = BytesIO(wheel.read(f"taxim/{inside}"))
        else:
            roots = (where, where / "taxim", where.parent)
            data = BytesIO(next(p for r in roots if (p := r / inside).is_file()).read_bytes())
        with np.load(data, allow_pickle=False) as arrays:
            found: NDArray[Any] = arrays[array]
    except (StopIteration, *BAD_ZIP):
        raise InputError(
            f"calibration {where} has no readable {inside}; give the wheel of taxim 1.4.1 (pip download --no-deps "
            f"taxim==1.4.1), the folder that it is installed in, or 'approximate'"
        ) from None
    return found


def _square(frames: NDArray[np.uint8]) -> Maps:
    """Cut the middle out of frames ``(..., 480, 640, 3)``, blue first; return ``(..., 3, 480, 480)`` in 0 .. 1."""
    return np.moveaxis(frames[..., 80:560, ::-1], -1, -3).astype(np.float32) / 255


@lru_cache(maxsize=4)
def _table(where: Path, sensor: str) -> Table:
    # the first channel of frames and tables is blue, whatever the tables are called
    terms = np.stack([opened(where, sensor, "polycalib.npz", f"grad_{c}") for c in "bgr"])
    background = opened(where, sensor, "dataPack.npz", "f0")
    if terms.shape != (3, BINS, BINS, 6) or background.shape != (*SHAPE, 3) or not np.isfinite(terms).all():
        raise InputError(f"calibration {where} has tables of another shape for {sensor}; give those of taxim 1.4.1")
    return Table((terms / 255).astype(np.float32), _square(background))
