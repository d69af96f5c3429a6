"""Columns of files that are decoded when a batch asks for their rows: by the workers that read ahead, if there are some."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._media import opened_picture, read_pictures
from tuplet.data._sound import read_sounds
from tuplet.types import InputError, in_range


class _Files:
    """Files, one a row."""

    dtype: np.dtype[Any]

    def __init__(self, paths: Sequence[str | Path], row: tuple[int, ...]) -> None:
        self.paths, self.shape = [Path(p) for p in paths], (len(paths), *row)

    def _some(self, rows: Any) -> list[Path | bytes | None]:
        return [self.paths[i] for i in np.arange(len(self.paths))[rows]]


class Pictures(_Files):
    """Pictures of one size in files, RGB bytes ``(n, 3, H, W)``: a column of `from_columns` that is never in memory at once.

    Args:
        paths: of the files, one a row; the first one says the size.

    Raises:
        InputError: for no path, or a file that is no picture; when its row is read, for one that is damaged or of another size.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> path = Path(tempfile.mkdtemp()) / "red.png"
        >>> Image.new("RGB", (4, 2), (255, 0, 0)).save(path)
        >>> pictures = Pictures([path] * 3)
        >>> pictures.shape, pictures[[0, 2]].max(axis=(0, 2, 3)).tolist()
        ((3, 3, 2, 4), [255, 0, 0])
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, paths: Sequence[str | Path]) -> None:
        if not len(paths):
            raise InputError("paths is empty, expected the path of a picture for every row")
        wide, high = opened_picture(Path(paths[0]), str(paths[0]))[0].size
        super().__init__(paths, (3, high, wide))

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:
        """Decode some rows."""
        some = self._some(rows)
        found = read_pictures("pictures", some) if some else np.zeros((0, *self.shape[1:]), np.uint8)
        if found.shape[2:] != self.shape[2:]:
            raise InputError(
                f"pictures have different sizes: {self.paths[0]} has {self.shape[3]} x {self.shape[2]} pixels and {some[0]!s} "
                f"{found.shape[3]} x {found.shape[2]}; resize them to one size"
            )
        return np.broadcast_to(found, (len(some), *self.shape[1:]))  # grey ones have one channel


class Sounds(_Files):
    """Sounds of one rate in files, float32 ``(n, C, T)``: a column of `from_columns` that is never in memory at once.

    Args:
        paths: of the files, one a row; the first one says the rate and the channels.
        steps: samples ``T`` of a row; longer sounds are cut, shorter ones end in zeros.

    Raises:
        InputError: for no path, a file that is no sound; when its row is read, for one of another rate or other channels.

    Example:
        >>> import tempfile
        >>> from scipy.io import wavfile
        >>> path = Path(tempfile.mkdtemp()) / "beep.wav"
        >>> wavfile.write(path, 8000, np.full(5, 2**14, np.int16))
        >>> Sounds([path] * 2, steps=7)[[1]].tolist()
        [[[0.5, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0]]]
    """

    dtype = np.dtype(np.float32)

    def __init__(self, paths: Sequence[str | Path], *, steps: int) -> None:
        in_range("steps", steps, 1)
        if not len(paths):
            raise InputError("paths is empty, expected the path of a sound for every row")
        first, self.rate, _ = read_sounds("sounds", [Path(paths[0])])
        super().__init__(paths, (first.shape[1], steps))

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """Decode some rows."""
        some = self._some(rows)
        out = np.zeros((len(some), *self.shape[1:]), np.float32)
        if some:
            found = read_sounds("sounds", [self.paths[0], *some])[0][1:, :, : self.shape[2]]
            out[:, :, : found.shape[2]] = found
        return out
