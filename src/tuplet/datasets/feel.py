"""Feel (the feeling of success): will a grasp hold? Two GelSights on a gripper, before, during and after.

``root/feel.csv`` (rows ``object,i,grip``), ``root/feel/{object}/touch_{moment}/{i}_{A,B}.png``, ``vision_{moment}/{i}.png``,
as AnyTouch unpacks the recordings, and ``root/split_{k}.json`` ``{"train", "val", "test": [objects]}``.

From published code: files, columns, moments, sensor id 0, that finger A and finger B of one grasp are read by one encoder. A
row is a grasp with the modalities ``touch_a`` and ``touch_b``, because a probe reads the features of both fingers side by
side; rows of one finger each would halve what it sees. The published split is a pickle ``split_{k}.npy``, which is not
opened here. Licence: CC BY-NC-ND, as third parties say.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

from tuplet.data import Source
from tuplet.data.splits import PARTS
from tuplet.datasets._files import json_in
from tuplet.datasets._reader import Content, Reader
from tuplet.datasets._touch_files import Row, content, homes, inside, strings, table, whole
from tuplet.datasets._touch_source import How, Normalisation, assemble, described
from tuplet.types import InputError, in_range, one_of

MOMENTS = ("before", "during", "after")
CONVERT = (
    'python -c "import json, pathlib, tuplet.io.npy as npy; print(json.dumps({{k: list(map(str, v)) for k, v in '
    "npy.read_npy(pathlib.Path('{}')).item().items()}}))\" > {}"
)
PICTURES = ("touch_a", "touch_b", "vision")
ABOUT = {
    "name": "feel",
    "title": "Feel: grasp success from vision and touch",
    "citation": "R. Calandra et al., The Feeling of Success: Does Touch Sensing Help Predict Grasp Outcomes?, CoRL 2017",
    "licence": "CC BY-NC-ND (as third parties say)",
}


def read(root: Path, *, moment: Literal["before", "during", "after"] = "during", fold: int = 3, side: int = 224) -> Content:
    """Read the grasps, and the part of every object where a split lies beside them."""
    one_of("moment", moment, MOMENTS)
    in_range("fold", fold, 0)
    file = root / "feel.csv"
    lines = table(file, 3, "give the folder that holds it")
    lines = lines[1:] if lines and not lines[0][1].isdecimal() else lines
    parts, rows = _parts(root, fold), []
    for number, (thing, i, grip, *_) in enumerate(lines, 1):
        folder, n = inside(root / "feel", thing, file), whole(i, 0, 10**9, f"{file}, grasp {number}: i")
        if parts and thing not in parts:
            raise InputError(f"{root} has object {thing[:60]!a} in no part of split_{fold}.json; add it to one")
        rows.append(
            Row(
                group=thing,
                pictures={f"touch_{k.lower()}": folder / f"touch_{moment}" / f"{n}_{k}.png" for k in "AB"}
                | {"vision": folder / f"vision_{moment}" / f"{n}.png"},
                sensor=0,
                target={"grasp": whole(grip, 0, 1, f"{file}, grasp {number}: grip")},
                part={"feel": parts[thing]} if parts else {},
            )
        )
    return content(rows, ABOUT, {"grasp": ("lost", "held")}, side=side, moment=moment, fold=fold)


def load(
    root: str | Path,
    *,
    split: Literal["published", "objects"] = "published",
    moment: Literal["before", "during", "after"] = "during",
    fold: int = 3,
    side: int = 224,
    normalisation: Normalisation = "clip",
    seed: int = 0,
) -> Source:
    """Load both fingers and the camera of every grasp.

    Args:
        root: the folder, or a file that `Reader.convert` wrote.
        split: ``"published"``: the file ``split_{fold}.json``; ``"objects"``: 60 / 20 / 20, no object in two parts.
        moment: when the pictures were taken; published code reads those during the grasp.
        fold: number of the split; published code takes 3.
        side, normalisation, seed: as in `tuplet.datasets.touch_and_go.load`.

    Returns:
        Modalities ``touch_a``, ``touch_b`` and ``vision``; targets ``grasp`` and ``sensor``, also in ``aux``; group = object.

    Raises:
        InputError: for a missing file, a damaged list, an object in no part or in two, or a split that is a pickle.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere/feel.csv cannot be read (No such file or directory); give the folder that holds it
    """
    one_of("split", split, ("published", "objects"))
    reading, how = partial(read, moment=moment, fold=fold, side=side), How(side, normalisation, None, seed)
    published = "feel" if split == "published" else None
    return assemble(root, ABOUT, reading, how, published=published, label="grasp", pictures=PICTURES, texts=())


def _parts(root: Path, fold: int) -> dict[str, int]:
    """Read the part of every object; nothing if there is no split."""
    file, pickled = root / f"split_{fold}.json", root / f"split_{fold}.npy"
    if not file.exists():
        if pickled.exists():
            raise InputError(
                f"{pickled} is a pickle; convert it, which runs nothing that it names: {CONVERT.format(pickled, file)}"
            )
        return {}
    found = json_in(file, "copy it again")
    views = found if isinstance(found, dict) else {}
    return homes([(file, i, strings(views.get(p, []), f"{file}: {p}")) for i, p in enumerate(PARTS)], "object")


READER = Reader(load, read, partial(described, read=read), __doc__)
