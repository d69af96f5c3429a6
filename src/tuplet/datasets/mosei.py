"""CMU-MOSEI and CMU-MOSI: sentiment of video utterances from vision, audio and words, in MultiBench's files.

``root`` is ``mosei_senti_data.pkl``, ``mosei_raw.pkl``, ``mosi_raw.pkl`` or ``mosi_data.pkl``, or the folder it lies in.
Each holds ``{train, valid, test}``, and these ``vision``, ``audio`` and ``text`` ``(N, T, features)``, ``labels`` from -3 to 3,
and ``id``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source
from tuplet.datasets.multibench import Affect, Nan, Scaling, made, opened, reader
from tuplet.types import InputError, one_of

FILES = ("mosei_senti_data", "mosei_raw", "mosi_raw", "mosi_data")
TITLE = "CMU-MOSEI / CMU-MOSI, features of MultiBench"
CITATION = (
    "A. Zadeh, P. P. Liang, S. Poria, E. Cambria, L.-P. Morency, Multimodal language analysis in the wild: CMU-MOSEI dataset "
    "and interpretable dynamic fusion graph, ACL 2018; P. P. Liang et al., MultiBench, NeurIPS 2021"
)
LICENCE = "academic use; read the terms of the CMU multimodal SDK"
Rule = Literal["positive", "non-negative", "no-neutral"]


def load(
    root: str | Path,
    *,
    rule: Rule = "positive",
    scaling: Scaling = "train",
    nan: Nan = "error",
    group: Literal["none", "video"] = "none",
) -> Source:
    """Load utterances with the published split.

    Args:
        root: the pickle, the folder it lies in, or a file that `Reader.convert` wrote.
        rule: what the class ``label`` is: ``"positive"`` is sentiment > 0, so that neutral counts as negative (MultiBench);
            ``"non-negative"`` is >= 0; ``"no-neutral"`` drops rows of sentiment 0 from all parts.
        scaling: ``"train"`` gives every feature mean 0 and deviation 1 over the words of the training rows;
            ``"train-padded"`` takes padding into these statistics; ``"none"`` leaves values. Padding stays 0 in all.
        nan: ``"error"`` counts NaN and stops; ``"zero"`` replaces them. Infinite values become 0 either way.
        group: ``"video"`` makes the utterances of one video no negatives of each other, and refuses a file that has one
            video in two parts. That the id begins with the video is guessed.

    Returns:
        Modalities ``audio``, ``text`` and ``vision``, ``(T, features)``, words first, zeros behind; targets ``label`` (class)
        and ``sentiment`` (real, -3 to 3).

    Raises:
        InputError: as `tuplet.datasets.multibench.read`, or for an unknown option.

    Notes:
        Report the rule and the share of the larger class beside every accuracy: rules differ by up to the share of neutral
        rows.

    Source:
        Zadeh et al. (2018); files of MultiBench (Liang et al., 2021).

    Example:
        >>> load(Path("nowhere"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        tuplet.types.InputError: root nowhere holds none of mosei_senti_data.pkl, ...
    """
    root = Path(root)
    one_of("rule", rule, get_args(Rule))
    one_of("group", group, ("none", "video"))
    affect = opened(root, FILES, nan=nan)
    keep = _kept(affect, rule)
    y = affect.labels[keep]
    return made(
        affect,
        keep=keep,
        targets={"label": _positive(y, rule).astype(np.int64), "sentiment": y},
        target_kind={"sentiment": "real"},
        classes={"label": ("negative", "positive")},
        group=_videos(affect)[keep] if group == "video" else None,
        scaling=scaling,
        about=(TITLE, CITATION, LICENCE),
    )


def _videos(affect: Affect) -> NDArray[np.str_]:
    """Return what comes before the number of the utterance: ``abc`` of ``abc[3]`` and ``abc$_$3``."""
    if "" in affect.ids:
        raise InputError(f"{affect.file} has no ids, which group='video' needs; pass group='none'")
    return np.array([re.split(r"\[|\$_\$", i)[0] for i in affect.ids.tolist()])


def _kept(affect: Affect, rule: str) -> NDArray[np.int64]:
    return np.flatnonzero(affect.labels != 0) if rule == "no-neutral" else np.arange(len(affect.labels))


def _report(affect: Affect) -> str:
    shares = []
    for rule in get_args(Rule):
        y = affect.labels[_kept(affect, rule)]
        shares.append(f"{rule} {100 * float(_positive(y, rule).mean()) if len(y) else 0.0:.1f} %")
    low, high = affect.labels.min(), affect.labels.max()
    return f"sentiment from {low:g} to {high:g}; positive by the rule: {', '.join(shares)}"


def _positive(y: NDArray[np.float64], rule: str) -> NDArray[np.bool_]:
    return y >= 0 if rule == "non-negative" else y > 0


READER = reader(FILES, load, _report, __doc__)
