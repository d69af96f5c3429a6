"""An inspected space on a screen, on a page, and as numbers in the shape of an mteb task result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuplet.evaluate import Inspection
from tuplet.evaluate.screen import WIDTH, wrapped
from tuplet.report import Grid, Section, Text, write_page
from tuplet.report.page import tight
from tuplet.report.words import cut

NAME = 14
"""Characters of a modality's name in a table."""
SCORES = {
    "recall_at_1": "R@1",
    "recall_at_5": "R@5",
    "recall_at_10": "R@10",
    "ndcg_at_10": "nDCG@10",
    "mrr": "MRR",
    "map": "mAP",
}
"""Name of a measure in mteb -> here."""
SEARCH = (
    "Queries whose match is first (R@1) or among the first 10, its median rank, items searched; how uneven it is which items "
    "are found (skew), and how often the largest hub is."
)
PAIRS = (
    "Mean cosine of matches and of others, share of matches below 0; distance of centroids (0 to 2), relative modality gap, "
    "how well a plane tells the two apart (0.5: not at all), share of items nearer than the match."
)
SPREAD = (
    "Items, those that no other modality has, vectors that equal another's, vectors of zeros; directions that the vectors fill "
    "(effective rank) of all there are, and uniformity (lower is more even)."
)


def screen(found: Inspection, about: str = "") -> str:
    """Write everything for a terminal, the answer first."""
    lines = [*wrapped(found.verdict), *(line for note in found.notes for line in wrapped(note, bullet="- ")), ""]
    lines += wrapped(_items(found, about))
    for title, words, grid in tables(found):
        lines += ["", *wrapped(f"{title}: {words}"), *(part.text() for part in grid.blocks(WIDTH))]
    return "\n".join(lines)


def page(out: Path, found: Inspection, emb: Path, about: str = "") -> None:
    """Write everything as a page, the answer first."""
    notes = [tight(note) for note in found.notes]
    sections = [Section("", [Text(tight(found.verdict), "answer"), notes, _items(found, about)])]
    sections += [Section(title, [words, grid]) for title, words, grid in tables(found, arrow=" → ")]
    write_page(out, title=f"Inspection of {emb.name}", sections=sections)


def tables(found: Inspection, arrow: str = " -> ") -> list[tuple[str, str, Grid]]:
    """Make the tables, each with a title and what its columns mean."""
    rows = []
    for (q, c), r in found.directions.items():
        hubs = found.hubs.get((q[0], c[0])) if len(q) == 1 else None
        name = "+".join(cut(k, NAME) for k in q) + arrow + cut(c[0], NAME)
        about = ["", ""] if hubs is None else [f"{hubs.skew:.1f}", f"{hubs.largest:.0f}"]
        rows.append([name, *_ranks(r.values), f"{r.pool}", *about])
    if chance := len({r.pool for r in found.directions.values()}) == 1:
        rows.append(["by guessing", *_ranks(next(iter(found.directions.values())).chance), "", "", ""])
    keys = ("cosine", "cosine_others", "negative", "centroid_gap", "relative_gap", "separable", "foscttm")
    pairs = [[f"{cut(a, NAME)}, {cut(b, NAME)}", *(_number(p.get(k)) for k in keys)] for (a, b), p in found.pairs.items()]
    counts = (found.items, found.alone, found.copies, found.zeros)
    spread = [[cut(k, NAME * 2), *(str(v[k]) for v in counts), *_spread(s)] for k, s in found.spread.items()]
    return [
        ("Search", SEARCH, Grid(["direction", "R@1", "R@10", "MdR", "pool", "skew", "hub"], rows, chance=chance)),
        ("Pairs", PAIRS, Grid(["pair", "match", "other", "below 0", "gap", "RMG", "plane", "FOSCTTM"], pairs)),
        ("Modalities", SPREAD, Grid(["modality", "items", "alone", "copies", "zeros", "directions", "uniformity"], spread)),
    ]


def _ranks(values: dict[str, float]) -> list[str]:
    return [f"{values['R@1']:.3f}", f"{values['R@10']:.3f}", f"{values['MdR']:g}"]


def _spread(s: dict[str, float]) -> list[str]:
    return [f"{s['effective_rank']:.0f} of {s['width']:.0f}", _number(s["uniformity"])]


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"


def _items(found: Inspection, about: str) -> str:
    """Say how many items each modality has, how many have all, and how many were searched."""
    counts = ", ".join(f"{k} {n:,}" for k, n in found.items.items())
    every = "both" if len(found.items) == 2 else "all"
    return f"{about}Items: {counts}, {every} {found.complete:,}; {found.pool:,} were searched."


def result(found: Inspection, *, name: str, part: str, seconds: float, revision: str | None) -> dict[str, Any]:
    """Give the numbers the shape of an mteb task result, a subset per direction."""
    scores = []
    for (q, c), r in found.directions.items():
        entry: dict[str, Any] = {k: r.values[own] for k, own in SCORES.items()} | {"median_rank": r.values["MdR"]}
        entry |= {"pool": r.pool, "queries": r.queries} | {f"chance_{k}": r.chance[own] for k, own in SCORES.items()}
        if len(q) == 1:
            hubs = found.hubs[q[0], c[0]]
            entry |= {"hub_skew": hubs.skew, "hub_largest": hubs.largest, "hub_never": hubs.never}
            entry |= found.pairs[min(q[0], c[0]), max(q[0], c[0])]
        entry = {k: v if v == v else None for k, v in entry.items()}  # JSON has no NaN
        scores.append(entry | {"main_score": r.values["nDCG@10"], "hf_subset": f"{'+'.join(q)}-{c[0]}", "languages": []})
    more = ("verdict", "notes", "items", "alone", "complete", "copies", "zeros", "spread", "relevance")
    return {
        "dataset_revision": revision or "unknown",
        "task_name": name,
        "mteb_version": None,
        "scores": {part: scores},
        "evaluation_time": seconds,
        "kg_co2_emissions": None,
        "tuplet": {k: getattr(found, k) for k in more},
    }
