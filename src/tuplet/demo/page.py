"""What was found, in words, pictures and a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuplet.audit import Audit
from tuplet.audit._words import answer
from tuplet.data import Source
from tuplet.datasets.emoji import Emoji
from tuplet.demo.study import FIRST, INTO, METHODS, SCRATCH, SHOWN, STARTED, TRAINED, Found, chosen
from tuplet.evaluate._paired import paired_difference, told_apart
from tuplet.evaluate._units import unit_ids
from tuplet.report import Answers, Grid, Section, Sheet, Text, Tile, data_uri, write_page

WORDS = 6
"""Words that are shown."""
Said = list[tuple[str, str]]


def verdict(found: dict[str, list[Found]], names: Sequence[str], concepts: ArrayLike, audit: Audit) -> Said:
    """Answer the four questions of the first screen."""
    typed = {m: np.mean([r.ranks <= FIRST for r in runs], axis=0) for m, runs in found.items() if len(runs[0].ranks)}
    whole = {m: np.mean([r.whole for r in runs], axis=0) for m, runs in found.items() if len(runs[0].whole)}
    best = chosen(found)

    def against(other: str) -> int:
        return told_apart(paired_difference(whole[best], whole[other]))

    part, name = ({m: f"{np.mean(h):.0%}" for m, h in side.items()} for side in (whole, typed))
    chance = f"chance {FIRST / len(names):.0%}"
    align = {1: "Yes, to search", -1: "No", 0: "No gain was found"}[against("random")]
    others = [m for m in TRAINED if m != best]
    words = {1: "finds fewer", 0: "cannot be told apart from it", -1: "finds more on them"}
    told = ", ".join(f"{METHODS[m]} ({part[m]}) {words[against(m)]}" for m in others)
    gain = {1: "finds more than", 0: "cannot be told apart from", -1: "finds fewer than"}
    linear, by_name = against("linear"), told_apart(paired_difference(typed[best], typed["linear"], group=concepts))
    fix = " With so few rows, try the closed form first: it needs no training." if linear < 0 else ""
    begun = "from random weights" if best == "scratch" else "started from the linear closed form"
    probe = {m: f"{_mean(found[m], 'linear'):.0%}" for m in (best, "inputs", "linear")}
    lost = np.mean([(run.ranks > 100).mean() for run in found[best]])
    worst = int(np.argmax(found[best][0].ranks))
    return [
        (
            "Should names and pictures be aligned?",
            f"{align}: asked for a picture or a name by all the rest of its emoji, or the reverse, encoders aligned by "
            f"{METHODS[best]} {begun} have the right one among the first {FIRST} in {part[best]}, the closed form alone, "
            f"searched by the cone, in {part['linear']}, unaligned encoders in {part['random']} ({chance}). Asked by a typed "
            f"name alone: {name[best]}, {name['linear']} and {name['random']} of {len(names)} test names. "
            f"To predict the emoji's group, a short audit says: {answer(audit.pairs[0])}",
        ),
        (
            "With which objective?",
            f"{METHODS[best]}, which finds most on validation rows. On test rows it finds {part[best]}; {told}.",
        ),
        (
            "What does training gain over simpler methods?",
            f"{METHODS[best]} {gain[linear]} regularised linear CCA searched by the cone, which takes seconds: {part[best]} "
            f"against {part['linear']} (by cosine {_mean(found['linear'], 'cosine'):.0%}).{fix} By a typed name alone it "
            f"{gain[by_name]} it: {name[best]} against {name['linear']}. A linear classifier of the nine groups is right in "
            f"{probe[best]} on its representations, in {probe['inputs']} on plain inputs, {probe['linear']} on linear CCA's.",
        ),
        (
            "Where does it fail?",
            f"For {lost:.0%} of the typed names the right picture is not among the first 100 of {len(names)}. Worst: "
            f"'{names[worst]}', place {found[best][0].ranks[worst]}.",
        ),
    ]


def tell(found: dict[str, list[Found]], source: Source, shown: Emoji, said: Said, out: Path) -> Path:
    """Write the page."""
    rows = source.split.test
    names = [shown.names["english"][i] for i in rows]
    best = chosen(found)
    uris = [data_uri(shown.pictures[INTO[0]][i]) for i in rows]

    def tile(i: int, right: bool = False, note: str = "") -> Tile:
        return Tile(uris[i], names[i], note, right)

    def sheet(q: int, methods: Sequence[str]) -> Sheet:
        lines = []
        for m in methods:
            run = found[m][0]
            tiles = [tile(int(i), bool(i == q)) for i in run.top[q][:SHOWN]]
            lines.append((METHODS[m], f"right one: place {run.ranks[q]}", tiles))
        return Sheet(f"“{names[q]}”", lines, tile(q))

    asked = np.linspace(0, len(rows) - 1, WORDS).round().astype(int)
    ranks = found[best][0].ranks
    near = np.flatnonzero((ranks > 1) & (ranks <= SHOWN))[:4]
    lost = np.argsort(-ranks, kind="stable")[:4]
    searched = ("cone", "pairwise", "gram", "ova_ib", "linear", "random")
    sections = [
        Section(
            "Type a word, see what each method finds",
            [
                f"The words are names of test rows, which no method has trained on: {WORDS} rows at equal distances in the "
                f"file, whatever they show. Each line is the first {SHOWN} of {len(rows)} test pictures, best first; the right "
                "one has a green frame, and stands beside the word. Seed 0.",
                [sheet(int(q), searched) for q in asked],
            ],
        ),
        Section(
            "Near misses",
            [
                f"The first test rows whose picture {METHODS[best]} ranks just below the top.",
                [sheet(int(q), (best,)) for q in near],
            ],
        ),
        Section("Failures", [f"The four test rows that {METHODS[best]} ranks worst.", [sheet(int(q), (best,)) for q in lost]]),
        Section(
            "Hubs: pictures that are found too often",
            [
                f"Each picture should be among the first {FIRST} of about {FIRST} of the {len(rows)} names. The number below a "
                "picture counts the names for which it is.",
                [Sheet("Most often found", [_hubs(METHODS[m], found[m][0].top, tile) for m in searched])],
            ],
        ),
        Section("All numbers", [_numbers(found, len(rows))]),
        Section("How it was measured", _about(source, shown)),
    ]
    lead = (
        f"{len(shown.characters):,} emoji, drawn by three artists and named in English and French. "
        "tuplet trained small encoders to bring names and pictures into one space."
    )
    return write_page(
        out, title="Emoji: can a word find a picture?", sections=[Section("", [Text(lead), Answers(said)]), *sections]
    )


def _hubs(name: str, top: NDArray[np.int64], tile: object) -> tuple[str, str, list[Tile]]:
    """Return the pictures found most often, as a line of a sheet."""
    counts = np.bincount(top.ravel(), minlength=len(top))
    most = np.argsort(-counts, kind="stable")[:SHOWN]
    return name, f"{(counts == 0).mean():.0%} never found", [tile(int(i), False, str(counts[i])) for i in most]  # type: ignore[operator]


def _numbers(found: dict[str, list[Found]], pool: int) -> Grid:
    """Return the table of all numbers."""
    columns = ["", "name, own score", "name, cosine", "all, own score", "all, cosine", "group", "group, 3 labels", "cosine"]
    rows = []
    for m, runs in found.items():
        cells = [METHODS[m]]
        for attribute in ("ranks", "cosine_ranks"):
            values = [100 * float((getattr(r, attribute) <= FIRST).mean()) for r in runs if len(r.ranks)]
            cells.append(_spread(values, 0))
        kept = ("own", "cosine", "linear", "few")
        cells += [_spread([100 * r.numbers[key] for r in runs if key in r.numbers], 0) for key in kept]
        cells.append(_spread([r.numbers["positive"] for r in runs if "positive" in r.numbers], 2))
        rows.append(cells)
    rows.append(["Chance", *[f"{1000 / pool:.0f}"] * 4, "", "", ""])
    note = (
        f"Percent but for the last column; mean, and (lowest to highest) of two seeds. 'name': the right picture is "
        f"among the first {FIRST} of {pool} for a typed English name. 'all': the same, averaged over each modality searched "
        "with all others and the reverse; a picture that is absent is no candidate. 'own score': as the objective compares, or "
        "the cone where nothing was trained; 'cosine': as an index does. 'group': a linear classifier of the nine groups, "
        "with all labels or three per group. Last: mean cosine of embeddings that belong together."
    )
    return Grid(columns, rows, note=note)


def _about(source: Source, shown: Emoji) -> list[str]:
    """Say what was done."""
    sizes = [len(getattr(source.split, part)) for part in ("train", "val", "test")]
    concepts = len(np.unique(np.asarray(unit_ids(source, "test"))))
    absent = int((~shown.present["fluent"]).sum())
    return [
        f"{sizes[0]} rows to train, {sizes[1]} to validate, {sizes[2]} to test. Variants of one concept (man, woman, person; "
        f"hearts; arrows; an open and a closed mailbox) are in the same part and are not negatives of each other. {absent} "
        "Fluent pictures are absent and masked.",
        "Modalities: Noto, Fluent and Twemoji pictures (32 x 32, small convolutional networks), English and French names "
        "with tags (hashed word and character n-grams, MLPs). A typed word is the name alone. Search ranks Noto and "
        "Twemoji pictures of the test rows together. Validation rows choose the ridge of the linear closed form. "
        f"Pairwise, GRAM, OVA-IB and Cone start from that closed form and train for {STARTED.epochs} "
        "epochs, with a learning rate that validation rows preferred to twice as much; pairwise from "
        f"scratch starts at random and trains for {SCRATCH.epochs}. All have their objective's default settings; a tuned "
        "or longer one may do better. Validation rows choose the objective that is named best; the seeds are 0 and 1. The "
        "audit is a quick one: one strength, two pilots of 60 steps.",
        f"'More' and 'fewer' mean that a paired 95 % interval over the {concepts} concepts of the test rows (of those with "
        "all modalities, where all are asked), averaged over both seeds, leaves out 0. It speaks of other names, not of other "
        "trainings.",
        f"Licences: {source.provenance.licence}. {source.provenance.citation}.",
    ]


def _mean(runs: Sequence[Found], name: str) -> float:
    """Average a number over seeds."""
    return float(np.mean([run.numbers[name] for run in runs]))


def _spread(values: Sequence[float], digits: int) -> str:
    """Write a mean and a range."""
    if not values:
        return "-"
    text = f"{np.mean(values):.{digits}f}"
    low, high = (f"{v:.{digits}f}" for v in (min(values), max(values)))
    return text if low == high else f"{text} ({low} to {high})"
