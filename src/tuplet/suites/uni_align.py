"""UniAlign's two uses on real packaged pictures and names: search and generation, for every objective at one budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

from tuplet.catalog import SOURCES
from tuplet.evaluate._paired import told_apart
from tuplet.objectives import PUBLISHED, Objective, Structure, UniAlign
from tuplet.study._columns import COLUMNS, Column
from tuplet.study._stats import compare
from tuplet.study.record import Finding, Record
from tuplet.study.suite import Budget, Entry, Settings, Suite, Task
from tuplet.suites._clips import captioned_push
from tuplet.suites.claims import Run
from tuplet.suites.entries import baselines, objectives
from tuplet.suites.generation import EXTRACTOR, Generating

NAME = "uni-align-sim"
COMPARED = ("pairwise", "gram", "uni_align", "one_vs_all", "cone")
MODALITIES = ("noto", "fluent", "twemoji", "english", "french", "german")
WORDS = "words, unseen, guidance 1"
"""The row of the table of generation that claims are judged by: what the space holds of concepts that no training saw."""
BUDGET = Budget(dim=64, epochs=8, lr=5e-4, keep="best", start="gcca")
MADE = (
    Column(
        "scorer/R@1", "mean cosine, words", "words→pair", "words find two other modalities, R@1 by mean cosine, %", ranked=False
    ),
    Column("scorer/R@1", "volume, words", "by volume", "the same by the volume of GRAM and UniAlign, %", ranked=False),
    Column("space/relative_gap", "", "gap", "distance of matches over the spread within modalities", False, False, False),
    Column("space/modality_auc", "", "AUC", "a linear classifier tells modalities apart; 0.5: it cannot", False, False, False),
    Column("generate/kid", WORDS, "KID words", "kernel distance of pictures drawn from unseen names", False, False, False, 3),
    Column("generate/class", WORDS, "class words", "share of them whose group is right, %", ranked=False),
)


def uni_align_sim() -> Suite:
    """Build the suite."""
    task = Task(
        "emoji",
        "Emoji: the same concept drawn by three artists and named in three languages",
        SOURCES["emoji"],
        tuple(sorted(MODALITIES)),
        "group",
        9,
        BUDGET,
        protocol=Generating(),
        columns=(*COLUMNS, *MADE),
    )
    clips = Task(
        "push",
        "Push (simulated): a clip, what the finger feels and where it is, and a templated sentence on what happens",
        captioned_push,
        ("force", "pose", "sentence", "vision"),
        "direction",
        4,
        BUDGET,
        protocol=Generating(words="sentence", drawn=("vision", "pose"), count=0),  # search only
        columns=(*COLUMNS, *MADE[:4]),
    )
    return Suite(
        name=NAME,
        factory="tuplet.suites.uni_align:uni_align_sim",
        tasks=(task, clips) if find_spec("mujoco") else (task,),
        entries=(*baselines()[:3], *entries()),
        baseline="pairwise",
        about=(
            "1,652 emoji: drawings of three artists and names in three languages; where MuJoCo is installed, also 600 clips of "
            "a simulated puck with templated sentences, which are searched only. Encoders begin as the linear closed form, as "
            "the paper's begin pretrained. Each space of emoji gets a decoder of its own, kernel ridge regression of "
            "training pictures on vectors; then it is given the vectors of names. Distances of pictures are of "
            f"features of a small classifier ({EXTRACTOR}), not of Inception: no number here compares with the paper's."
        ),
        claims=uni_align_claims,
    )


def entries() -> tuple[Entry, ...]:
    """List the objectives; all are tuned over as many settings."""
    found = {e.name: e for e in objectives()}
    cone = found["cone"]

    def literal(settings: Settings, task: Task) -> Objective:
        return UniAlign(weighting="literal", **settings)

    def structured(settings: Settings, task: Task) -> Objective:
        base = PUBLISHED["cone"].built(task.modalities, task.budget.dim, settings={"tau": settings["tau"]})
        return base + Structure() * float(settings["weight"])

    return (
        *(found[k] for k in COMPARED),
        replace(found["uni_align"], name="uni_align_literal", label="UniAlign, Eq. 13 as printed", make=literal),
        replace(
            cone,
            name="cone_structure",
            label="Cone + structure",
            make=structured,
            defaults={**cone.defaults, "weight": 1.0},
            trials=({"tau": 0.05, "weight": 1.0}, {"tau": 0.1, "weight": 10.0}),
            note="with UniOMA's regulariser",
        ),
    )


CLAIMS = (
    ("UniAlign retrieves better than InfoNCE", "pairwise", "retrieval/cosine/R@1", "mean", True),
    ("UniAlign retrieves better than GRAM", "gram", "retrieval/cosine/R@1", "mean", True),
    ("UniAlign has a smaller gap than InfoNCE", "pairwise", "space/modality_auc", "", False),
    ("UniAlign's pictures from words are nearer to real ones than InfoNCE's", "pairwise", "generate/kid", WORDS, False),
    ("UniAlign's pictures from words are nearer to real ones than GRAM's", "gram", "generate/kid", WORDS, False),
    (
        "UniAlign's pictures from words have the right class more often than InfoNCE's",
        "pairwise",
        "generate/class",
        WORDS,
        True,
    ),
)
"""Claim, the other entry, metric, detail, and whether higher is better."""


def uni_align_claims(suite: Suite, records: Sequence[Record]) -> list[Finding]:
    """Judge the paper's claims on retrieval, gap, generation and scores: of our variant, and of Eq. 13 as printed."""
    found = list[Finding]()
    variant = "tuned" if any(r.variant == "tuned" for r in records) else "default"
    run = Run(suite, [replace(r, variant="default") for r in records if r.variant == variant])
    for task in suite.tasks:
        place = "" if task is suite.tasks[0] else f", on {task.name}"
        for ours, called in (("uni_align", "UniAlign"), ("uni_align_literal", "Eq. 13 as printed")):
            for claim, other, metric, detail, higher in CLAIMS:
                one, two = (run.of(task, entry, metric, detail) for entry in (ours, other))
                found += _judged(claim.replace("UniAlign", called) + place, one, two, higher)
            by = [run.of(task, ours, "scorer/R@1", f"{name}, words") for name in ("volume", "mean cosine")]
            found += _judged(f"The volume is the score for a space of {called}{place}", by[0], by[1], True)
    return found


def _judged(claim: str, ours: Sequence[Record], theirs: Sequence[Record], higher: bool) -> list[Finding]:
    apart = compare(ours, theirs)
    if apart is None:
        return []
    sign = told_apart(apart, higher=higher)
    word = "seen" if sign > 0 else "the reverse is seen" if sign < 0 else "not told apart"
    means = [sum(r.value for r in side) / len(side) for side in (ours, theirs)]
    text = f"{means[0]:.3f} against {means[1]:.3f}; difference {apart.mean:+.3f} [{apart.low:+.3f}, {apart.high:+.3f}]"
    return [Finding(claim, word, text)]
