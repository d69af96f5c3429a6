"""UniAlign's retrieval on published annotation files: vectors of one's own towers, and heads that every objective trains."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

import numpy as np

from tuplet.catalog import READERS
from tuplet.data import Source
from tuplet.diagnose import modality_auc, relative_gap
from tuplet.evaluate import Result, embed, mean_cosine, retrieve
from tuplet.evaluate.scoreboard import scorers
from tuplet.model import AlignmentModel
from tuplet.model.frozen import Passed
from tuplet.nets import pretrained
from tuplet.study._columns import Column
from tuplet.study.suite import Budget, ByKind, Objective, Suite, Task
from tuplet.suites.entries import baselines
from tuplet.suites.papers import check_preset
from tuplet.suites.uni_align import BUDGET, entries
from tuplet.types import InputError

TEXT: Literal["text"] = "text"
PAPER = Budget(dim=512, batch_size=512, epochs=5, lr=2e-5, trials=0, start="gcca")
T2V, V2T = "text→media", "media→text"
"""Directions: a caption finds the media of its item, and they find one of its captions."""
COLUMNS = (
    Column("retrieval/cosine/R@1", T2V, "T2V R@1", "a caption finds its item by mean cosine, %"),
    Column("retrieval/cosine/R@10", T2V, "T2V R@10", "the same among the first ten, %"),
    Column("retrieval/own/R@1", T2V, "T2V own", "the same by the objective's own score, first, %"),
    Column("retrieval/cosine/R@1", V2T, "V2T R@1", "an item finds one of its captions by mean cosine, %"),
    Column("retrieval/own/R@1", V2T, "V2T own", "the same by the objective's own score, %"),
    Column("space/relative_gap", "", "gap", "distance of matches over the spread within modalities", False, False, False),
    Column("space/modality_auc", "", "AUC", "a linear classifier tells modalities apart; 0.5: it cannot", False, False, False),
)


@dataclass(frozen=True)
class Captioned(ByKind):
    """Retrieval between captions and all media of an item together: every caption is a query, every item one candidate."""

    def measure(
        self, model: AlignmentModel, objective: Objective | None, source: Source, task: Task, seed: int
    ) -> list[Result]:
        """Measure both directions by both scores, the scorers beside each other, and the gap."""
        test = embed(model, source.test)
        media = tuple(k for k in sorted(test.modalities) if k != TEXT)
        own = getattr(objective, "score", None)
        found = []
        for kind, score in {"cosine": mean_cosine, **({"own": own} if own else {})}.items():
            for way, (query, answers) in ((T2V, ((TEXT,), media)), (V2T, (media, (TEXT,)))):
                r = retrieve(test, query, answers, score=score, relevance="group", once=media)
                found += [
                    Result(f"retrieval/{kind}/{k}", v, way, k not in ("MdR", "MnR"), r.chance[k], r.pool, tuple(r.items[k]))
                    for k, v in r.values.items()
                ]
        return [
            *found,
            *(replace(r, detail=f"{r.detail}, captions") for r in scorers(test, TEXT, media, relevance="group")),
            Result("space/relative_gap", relative_gap(test), higher=False),
            Result("space/modality_auc", modality_auc(test), higher=False),
        ]


def uni_align(root: str, tower: str, preset: str = "paper") -> Suite:
    """Build the suite on the user's folder of annotations and vectors, with a text tower of the user's."""
    budget = PAPER if check_preset(preset) == "paper" else BUDGET
    load = partial(captioned, root, tower)
    source = load()
    if not len(source.test) or TEXT not in source.modalities:
        raise InputError(f"root {root} has no test captions; give annotation files whose names say train and test")
    names = tuple(sorted(source.modalities))
    task = Task("captions", Path(root).name, load, names, "", 0, budget, protocol=Captioned(), columns=COLUMNS)
    fits = [e for e in (*baselines()[1:3], *entries()) if e.sizes is None or len(names) in e.sizes]
    fits = fits if budget.trials else [replace(e, trials=()) for e in fits]
    options = {"root": root, "tower": tower, "preset": preset}
    return Suite(
        name="uni-align",
        factory=f"tuplet.suites.captioned:uni_align?{urlencode(options)}",
        tasks=(task,),
        entries=tuple(fits),
        baseline="pairwise",
        title=f"UniAlign's retrieval on {Path(root).name}",
        about=(
            f"{len(source.train):,} captions to train on, {len(source.test):,} to test. The towers stay frozen: the media have "
            "the vectors that the folder holds, captions those of the text tower. Heads begin as the linear closed form, as "
            "the paper's models begin pretrained. The paper fine-tunes the towers of VAST: no number here compares with it."
        ),
    )


def captioned(root: str, tower: str) -> Source:
    """Read annotations and vectors; captions become vectors of the tower, which are kept in the cache."""
    passed = Passed(TEXT, pretrained(tower, part=TEXT), cache=True)
    return READERS["captions"].load(Path(root), tokenise=lambda texts: passed(np.array(texts), None))
