"""What the numbers say, in plain words, hedged by their intervals; never a fixed conclusion."""

from __future__ import annotations

from tuplet.evaluate._paired import told_apart
from tuplet.study._tables import Row, Table
from tuplet.study.record import grouped
from tuplet.study.suite import Suite


def reading(suite: Suite, table: Table) -> list[str]:
    """Put a table into sentences."""
    said = []
    aligned = [r for r in table.rows if r.entry.aligned]
    for variant, words in (("default", "At the papers' settings"), ("tuned", "After equal tuning on validation data")):
        rows = [r for r in aligned if r.variant == variant]
        said += [
            *_best(table, rows, words, "R@1 cos", "retrieval by mean cosine"),
            *_best(table, rows, words, "3-shot", "3-shot accuracy"),
        ]
        said += _against(suite, rows, words)
    said += _few_shot_beside_full(table, aligned)
    said += _blind(aligned)
    said += _moved(table, aligned)
    return said


def _percent(row: Row, label: str) -> str:
    s = row.cells[label]
    return f"{100 * s.mean:.1f} ± {100 * s.sd:.1f} %" if s.n > 1 else f"{100 * s.mean:.1f} %"


def _best(table: Table, rows: list[Row], words: str, label: str, what: str) -> list[str]:
    """Name the row with the best mean, and whom the paired comparison does not tell apart from it."""
    column = next((c for c in table.task.columns if c.label == label), None)
    found = sorted((r for r in rows if label in r.cells), key=lambda r: -r.cells[label].mean)
    found = [r for r in found if r.cells[label].n == max(f.cells[label].n for f in found)]
    if column is None or len(found) < 2 or not column.higher:
        return []
    first, *others = found
    close = [r for r in others if table.sign(first, r, column) == 0]
    text = f"{words}, {first.entry.label} has the best {what}: {_percent(first, label)}"
    if not close:
        return [f"{text}, ahead of {others[0].entry.label} ({_percent(others[0], label)}) and all others."]
    names = ", ".join(f"{r.entry.label} ({_percent(r, label)})" for r in close[:3])
    more = f" and {len(close) - 3} more" if len(close) > 3 else ""
    return [f"{text}; with {first.seeds} {'seeds' if first.seeds > 1 else 'seed'} not told apart from {names}{more}."]


def _against(suite: Suite, rows: list[Row], words: str) -> list[str]:
    """Say which entries differ clearly from the baseline in 3-shot accuracy."""
    base = next((r for r in rows if r.entry.name == suite.baseline), None)
    if base is None or "3-shot" not in base.cells:
        return []
    signs = {r.entry.label: told_apart(r.differences.get("3-shot")) for r in rows}
    better, worse = ([label for label, sign in signs.items() if sign == s] for s in (1, -1))
    parts = [f"better: {', '.join(better)}"] if better else []
    parts += [f"worse: {', '.join(worse)}"] if worse else []
    if not parts:
        return [f"{words}, nobody differs clearly from {base.entry.label} in 3-shot accuracy (95 %, paired)."]
    return [f"{words}, against {base.entry.label} in 3-shot accuracy (95 %, paired): {'; '.join(parts)}."]


def _few_shot_beside_full(table: Table, aligned: list[Row]) -> list[str]:
    spans = {
        label: (min(v), max(v))
        for label in ("Linear", "3-shot")
        if (v := [r.cells[label].mean for r in aligned if label in r.cells])
    }
    if len(spans) < 2:
        return []
    (a, b), (c, d) = spans["Linear"], spans["3-shot"]
    text = (
        f"With all labels the aligned rows reach {100 * a:.1f} to {100 * b:.1f} % by a linear probe, with three labels per "
        f"class {100 * c:.1f} to {100 * d:.1f} %"
    )
    if d - c > 1.5 * (b - a) and max(r.seeds for r in aligned) > 1:
        text += ": few labels are where the objectives differ"
    return [text + "."]


def _blind(aligned: list[Row]) -> list[str]:
    """Point at spaces that are good by their own score and useless by cosine."""
    tuned = [r for r in aligned if r.variant == "tuned"]
    found = [
        f"{r.entry.label} ({r.variant}: own {100 * r.cells['R@1 own'].mean:.0f} %, cosine "
        f"{100 * r.cells['R@1 cos'].mean:.0f} %, matching embeddings at {r.cells['Pos. cos'].mean:.2f})"
        for r in (tuned or aligned)
        if {"R@1 own", "R@1 cos", "Pos. cos"} <= r.cells.keys()
        and r.cells["R@1 own"].mean > 0.1
        and r.cells["R@1 own"].mean > 2 * r.cells["R@1 cos"].mean
    ]
    if not found:
        return []
    return [
        f"Better by their own score than by cosine, at least twofold: {'; '.join(found)}. A cosine index or a "
        f"nearest-neighbour search finds less than half of what such a space holds."
    ]


def _moved(table: Table, aligned: list[Row]) -> list[str]:
    """Name the entry that tuning helps most, among those that the paired comparison tells apart from their defaults."""
    column = next((c for c in table.task.columns if c.label == "R@1 cos"), None)
    by = [{r.variant: r for r in rows} for rows in grouped((r.entry.name, r) for r in aligned).values()]
    pairs = [v for v in by if len(v) == 2 and all("R@1 cos" in r.cells for r in v.values())]
    if column is None or not pairs:
        return []
    helped = [v for v in pairs if table.sign(v["tuned"], v["default"], column) > 0]
    if not helped:
        return ["Tuning temperature and weights makes no entry's R@1 by cosine clearly better."]
    rows = max(helped, key=lambda v: v["tuned"].cells["R@1 cos"].mean - v["default"].cells["R@1 cos"].mean)
    return [
        f"Tuning helps {rows['tuned'].entry.label} most: R@1 by cosine goes from "
        f"{_percent(rows['default'], 'R@1 cos')} to {_percent(rows['tuned'], 'R@1 cos')}, so a comparison at the papers' "
        f"settings alone would not be fair to it."
    ]
