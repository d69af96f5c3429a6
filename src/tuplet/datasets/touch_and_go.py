"""Touch and Go (TAG): people press a GelSight on things outdoors and indoors, filmed at the same time.

``root/dataset/{folder}/{gelsight_frame,video_frame}/{frame}.jpg``, and beside ``dataset`` the published lists ``train.txt``,
``test.txt``, ``train_rough.txt`` and ``test_rough.txt``, whose lines are ``folder/frame.jpg,label``. Where
``contact_text_tag_notest.csv`` (rows ``folder,frame,text_id,test_flag``) and ``text/tag_{text_id}.pt`` of AnyTouch are there
too, rows have text, as token ids; flag 1 hides it.

From published code: lists, labels, the hardness of materials, sensor id 0. Guessed: where the text files lie. The published
material split cuts most folders in two, so that test frames have near copies in training: `verify` counts them. Licence: see
the release.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

from tuplet.data import Source
from tuplet.datasets._reader import Content, Reader
from tuplet.datasets._touch_files import Row, content, inside, table, whole
from tuplet.datasets._touch_source import How, Normalisation, Tokenise, assemble, described
from tuplet.types import InputError, one_of

MATERIALS = (
    *("concrete", "plastic", "glass", "wood", "metal", "brick", "tile", "leather", "synthetic fabric", "natural fabric"),
    *("rubber", "paper", "tree", "grass", "soil", "rock", "gravel", "sand", "plants", "others"),
)
SOFT = (7, 8, 9, 11, 13)
"""Labels of soft materials; all others are hard."""
CLASSES = {"hardness": ("hard", "soft"), "material": MATERIALS, "roughness": ("smooth", "rough")}
LISTS = {"material": ("train.txt", "test.txt"), "roughness": ("train_rough.txt", "test_rough.txt")}
TEXTS = "contact_text_tag_notest.csv"
ABOUT = {
    "name": "touch_and_go",
    "title": "Touch and Go",
    "citation": "F. Yang et al., Touch and Go: Learning from Human-Collected Vision and Touch, NeurIPS 2022 Datasets",
    "licence": "see the release of Touch and Go",
}


def read(root: Path, *, side: int = 224) -> Content:
    """Read the lists; frames in any of them are rows."""
    labels: dict[str, dict[str, int]] = {}
    parts: dict[str, dict[str, int]] = {}
    for task, files in LISTS.items():
        if task == "roughness" and not any((root / f).exists() for f in files):
            continue
        for code, name in ((0, files[0]), (2, files[1])):
            for i, (frame, word, *_) in enumerate(table(root / name, 2, "give the folder that holds it"), 1):
                label = whole(word, -1, len(CLASSES[task]) - 1, f"{root / name}, row {i}: label")
                if label < 0:
                    continue
                if parts.setdefault(frame, {}).setdefault(task, code) != code:
                    raise InputError(f"{root / name} has {frame[:80]!a} in train and test; that leaks test data, remove one")
                if labels.setdefault(frame, {}).setdefault(task, label) != label:
                    raise InputError(f"{root / name} has two labels of {frame[:80]!a}; remove one")
    texts = _texts(root / TEXTS) if (root / TEXTS).exists() else {}
    rows = []
    for frame, found in labels.items():
        file = inside(root, frame, root / "train.txt")
        folder, name = file.parent.relative_to(root).as_posix(), file.name
        at = root / "dataset" / folder
        hard = {"hardness": int(found["material"] in SOFT)} if "material" in found else {}
        text = texts.get(f"{folder}/{Path(name).stem}", -1)
        rows.append(
            Row(
                group=folder,
                pictures={"touch": at / "gelsight_frame" / name, "vision": at / "video_frame" / name},
                sensor=0,
                ids=root / "text" / f"tag_{text}.pt" if text >= 0 else None,
                target=found | hard,
                part=parts[frame],
            )
        )
    return content(rows, ABOUT, CLASSES, side=side)


def load(
    root: str | Path,
    *,
    split: Literal["published", "folders"] = "published",
    task: Literal["material", "hardness", "roughness"] = "material",
    side: int = 224,
    normalisation: Normalisation = "clip",
    tokenise: Tokenise | None = None,
    seed: int = 0,
) -> Source:
    """Load touch, vision and text of Touch and Go.

    Args:
        root: folder that holds ``dataset`` and the lists, or a file that `Reader.convert` wrote.
        split: ``"published"``: the lists of the task, a tenth of the training rows, by folder, as validation; ``"folders"``:
            60 / 20 / 20, no folder in two parts.
        task: whose lists make the published split (hardness has those of material), and which classes the drawn one balances.
        side: pixels of one side of all pictures: the shorter side is scaled, the middle kept. A converted file has one side.
        normalisation: of all pictures: mean and deviation of ``"clip"`` or ``"imagenet"``, or ``"none"``: 0 .. 1.
        tokenise: what turns sentences into numbers ``(n, length)``, such as `tuplet.nets.tokeniser`; hashed n-grams when left
            out. Not for a set whose text is stored as token ids.
        seed: of the split, or of the validation rows.

    Returns:
        Modalities ``touch`` and ``vision`` (3, side, side) and ``text``, absent where there is none; targets ``material`` (20),
        ``hardness``, ``roughness`` (-1: not labelled) and ``sensor``, which batches also carry as ``aux["sensor"]``;
        group = folder.

    Raises:
        InputError: for a missing file, a damaged list, a label out of range, or a frame in two parts.

    Source:
        Lists of Touch and Go; labels of hardness as in AnyTouch and TLV-CoRe.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere/train.txt cannot be read (No such file or directory); give the folder that holds it
    """
    one_of("split", split, ("published", "folders"))
    one_of("task", task, tuple(sorted(CLASSES)))
    how = How(side, normalisation, tokenise, seed)
    lists = "roughness" if task == "roughness" else "material"
    published = lists if split == "published" else None
    return assemble(root, ABOUT, partial(read, side=side), how, published=published, label=task)


def _texts(file: Path) -> dict[str, int]:
    """Read which text each frame has, -1 where it is hidden; of repeated rows the first counts."""
    found: dict[str, int] = {}
    for number, row in enumerate(table(file, 4, "copy it again"), 1):
        if number == 1 and not row[2].isdecimal():
            continue  # a header
        where = f"{file}, row {number}"
        hidden = whole(row[3], 0, 1, f"{where}: test flag")
        text = whole(row[2], 0, 10**9, f"{where}: text id")
        found.setdefault(f"{row[0]}/{row[1].removesuffix('.jpg').zfill(10)}", -1 if hidden else text)
    return found


READER = Reader(load, read, partial(described, read=read), __doc__)
