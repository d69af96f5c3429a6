"""MUStARD (sarcasm) and UR-FUNNY (humour): short clips with a yes-or-no label, in MultiBench's files.

``root`` is ``sarcasm.pkl`` or ``humor.pkl``, or the folder it lies in. Each holds ``{train, valid, test}``, and these
``vision``, ``audio`` and ``text`` ``(N, T, features)``, ``labels`` (0 and 1, or -1 and 1) and ``id``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, Split, split_rows
from tuplet.datasets.multibench import Affect, Nan, Scaling, made, opened, reader
from tuplet.types import InputError, one_of

FILES = ("sarcasm", "humor")
CLASSES = {"sarcasm": ("sincere", "sarcastic"), "humor": ("serious", "humorous")}
TITLE = "MUStARD / UR-FUNNY, features of MultiBench"
CITATION = (
    "S. Castro et al., Towards multimodal sarcasm detection, ACL 2019; M. K. Hasan et al., UR-FUNNY, EMNLP 2019; "
    "P. P. Liang et al., MultiBench, NeurIPS 2021"
)
LICENCE = "annotations of MUStARD: MIT; the clips are television footage"


def load(
    root: str | Path,
    *,
    split: Literal["published", "speaker"] = "published",
    speakers: Path | None = None,
    scaling: Scaling = "train",
    nan: Nan = "error",
    seed: int = 0,
) -> Source:
    """Load clips with a yes-or-no label.

    Args:
        root: the pickle, the folder it lies in, or a file that `Reader.convert` wrote.
        split: ``"published"`` is the file's, in which one speaker is in several parts; ``"speaker"`` draws the parts anew, 60
            / 20 / 20 %, with every speaker in one of them.
        speakers: for ``"speaker"``: the annotation file ``sarcasm_data.json`` of MUStARD, ``{id: {"speaker": ...}}``. That
            its ids are those of the pickle is guessed; an id it lacks is an error.
        scaling: as `tuplet.datasets.mosei.load`.
        nan: likewise.
        seed: of the ``"speaker"`` split.

    Returns:
        Modalities ``audio``, ``text`` and ``vision``, ``(T, features)``, words first, zeros behind; target ``label``; with
        ``"speaker"``, the speaker in ``.group``. Clips of one speaker are negatives of each other.

    Raises:
        InputError: as `tuplet.datasets.multibench.read`, for labels of more than two values, or for ids without speaker.

    Source:
        Castro et al. (2019); Hasan et al. (2019); files of MultiBench (Liang et al., 2021).

    Example:
        >>> load(Path("nowhere"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        tuplet.types.InputError: root nowhere holds none of sarcasm.pkl, humor.pkl; give the folder, or the file itself
    """
    root = Path(root)
    one_of("split", split, ("published", "speaker"))
    if (speakers is not None) != (split == "speaker"):
        raise InputError(f"speakers is {speakers} and split {split!r}; give speakers= with split='speaker', and only there")
    affect = opened(root, FILES, nan=nan)
    label = _labels(affect)
    group: NDArray[np.str_] | None = None
    parts: Split | None = None
    if speakers is not None:
        group = _speakers(speakers, affect)
        parts = split_rows(len(label), labels=label, group=group, seed=seed)
    return made(
        affect,
        targets={"label": label},
        classes={"label": CLASSES[affect.variant.name]},
        group=group,
        contrast="rows",
        split=parts,
        scaling=scaling,
        about=(TITLE, CITATION, LICENCE),
    )


def _labels(affect: Affect) -> NDArray[np.int64]:
    """Bring 0/1 and -1/1 to classes."""
    values = sorted(set(affect.labels.tolist()))
    if values not in ([0.0, 1.0], [-1.0, 1.0]):
        raise InputError(f"{affect.file} has labels {values[:6]}, expected 0 and 1, or -1 and 1")
    return (affect.labels > 0).astype(np.int64)


def _speakers(file: Path, affect: Affect) -> NDArray[np.str_]:
    try:
        known = json.loads(file.read_bytes())
        return np.array([str(known[i]["speaker"]) for i in affect.ids.tolist()])
    except OSError as error:
        raise InputError(f"speakers {file} cannot be read ({error.strerror}); give MUStARD's sarcasm_data.json") from None
    except KeyError as error:
        raise InputError(f"speakers {file} has no speaker for {error}; the ids of the pickle are others") from None
    except (ValueError, TypeError, RecursionError):
        raise InputError(f"speakers {file} is not {{id: {{'speaker': ...}}}}; give MUStARD's sarcasm_data.json") from None


def _report(affect: Affect) -> str:
    return f"positive: {100 * _labels(affect).mean():.1f} % of {len(affect.labels)} rows"


READER = reader(FILES, load, _report, __doc__)
