"""The report of the touch comparison: claims, tables in the paper's layout, presses of every sensor, curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tuplet.io import write_atomic
from tuplet.report import Picture, Section, Sheet, Text, Tile, write_page
from tuplet.report.ink import COLOURS, curve, figure_of, legend, styled, svg
from tuplet.report.png import data_uri
from tuplet.study.record import Record
from tuplet.suites.rss_plan import COMPARED, LABELS, NAME, Plan
from tuplet.suites.rss_reading import Reading, batches, findings, tables

TITLE = {
    NAME: "which touch model is robust, and does it forget the sensor?",
    "rss": "which touch model is robust on published sets, and does it forget the sensor?",
}
ABOUT = (
    "Touch towers are trained on simulated presses, next to photographs and sentences of the same objects, and then frozen. "
    "All methods begin with one tiny CLIP, trained on photographs, presses and sentences of other objects. "
    "They get the same epochs and choose their learning rate among the same values, by probes of validation rows of one more "
    "seed. Nothing here compares with the paper's numbers: sensors, objects and towers are ours."
)
HOW = (
    "Probes are linear heads on frozen, projected features, trained as the papers do; tables show the last epoch. Intra: "
    "trained and probed on one sensor. Cross: the touch tower never saw the probed sensor. Multi: it saw several. Objects of "
    "training sets, of probes and of the base are different ones. Touch pictures come with the id of their sensor where the "
    "tower was trained on several. Means ± standard deviations over seeds, which redraw objects and weights."
)
RECORDED = (
    "Touch towers are trained on published touch sets, next to photographs and sentences, and then frozen. All methods begin "
    "with one CLIP, whose vision tower touch copies, and train as TLV-CoRe's paper does: 12 epochs, batches of 64, learning "
    "rate 2e-4. What the sets that were there do not allow to measure is left out."
)
HOW_RECORDED = (
    "Probes are linear heads on frozen, projected features, with the published settings of each set; tables show the last "
    "epoch. Intra: the probed sensor is the one that the touch tower saw. Cross: it saw another one. Multi: it saw several. "
    "The colours of the paper's table go by data set: a pair of one sensor and two sets, marked here as (other set), is cross "
    "there. Touch pictures come with the id of their sensor where the tower was trained on several. Prompts are TLV-Link's; a "
    "search counts what is of the same item. Parts are the published ones where there are any; seeds redraw weights, order "
    "and heads. Pictures are brought to CLIP's mean and deviation, without augmentation."
)
CLAIMS = (
    "Seen: clear in every comparison, by a 95 % interval over seeds; partly seen: in some. Not told apart: in none, in either "
    "direction."
)


def write_rss(records: Sequence[Record], out: Path, *, plan: Plan | None = None) -> Path:
    """Write report.html and table.md."""
    plan = plan or Plan()
    run = Reading(records, plan.world)
    made, said, simulated = tables(run), findings(run), plan.name == NAME
    seeds = len({r.seed for r in records if r.task != "base"})
    page = write_page(
        out / "report.html",
        title=f"{plan.name}: {TITLE[plan.name]}",
        lead="tuplet bench",
        name=plan.name,
        sections=[
            Section("", [_answer(run), ABOUT if simulated else RECORDED]),
            Section("The paper's claims", [{f"{f.claim}: {f.word}": [f.summary] for f in said}, Text(CLAIMS)] if said else []),
            *([Section("What the sensors show", _presses(plan))] if simulated else []),
            *(Section(title, [grid]) for title, grid in made.items()),
            Section("Curves", [Picture([_convergence(run)], _CONVERGENCE), Picture([_batches(run)], _BATCHES)]),
            Section("How it was run", [HOW if simulated else HOW_RECORDED, f"{seeds} seeds.", records[0].environment]),
        ],
    )
    text = "\n".join([*(grid.markdown(f"**{title}**") for title, grid in made.items()), *(f"- {f}" for f in said), ""])
    write_atomic(out / "table.md", text.encode())
    return page


_CONVERGENCE = (
    "Validation loss over epochs, as a share of the first epoch's; mean over seeds. It is all of a method's loss: that of "
    "TLV-CoRe and the rows with its adapters holds the term of the sensor, which rises as the features are turned against it."
)
_BATCHES = "Accuracy of probes over the size of batches; mean over seeds, bands: one standard deviation."


def _answer(run: Reading) -> Text:
    """Say in one sentence whether a method has clearly better probes than the frozen base, and whether they name the sensor."""
    tasks = {task for pairs in run.kinds.values() for task, _ in pairs}
    scores: dict[str, dict[int, float]] = {}
    for entry in LABELS:
        by = [run.score(task, entry, lambda m, _: m == "probe") for task in tasks]
        if seeds := set.intersection(*map(set, by)):
            scores[entry] = {seed: float(np.mean([one[seed] for one in by])) for seed in sorted(seeds)}
    if not scores:
        return Text("Not finished: repeat the command.", look="answer")
    means = {entry: 100 * float(np.mean(list(found.values()))) for entry, found in scores.items()}
    best = max(means, key=lambda entry: means[entry])
    words = f"{LABELS[best]} has the best probes, {means[best]:.1f} % on average"
    if best != "clip" and "clip" in means:
        apart = run.apart(scores[best], scores["clip"])
        if apart is not None and apart.n > 1 and apart.low > 0:
            words += f", clearly more than frozen CLIP ({means['clip']:.1f} %)"
        else:
            words = f"No method has clearly better probes than frozen CLIP ({means['clip']:.1f} % on average); the best, "
            words += f"{LABELS[best]}, has {means[best]:.1f} %"
    if sensor := run.score(run.main, best, lambda m, d: (m, d) == ("sensor", "sensor")):
        words += f". Its features name the sensor in {100 * np.mean(list(sensor.values())):.0f} %"
    return Text(words + ".", look="answer")


def _presses(plan: Plan) -> list[Any]:
    """Show some objects as every sensor, the camera and the words have them."""
    shared = plan.world.across(0)
    source = shared.source
    names = source.targets["sensor"].names
    pictures = {k: source.columns[k].values.numpy() for k in ("touch", "vision")}  # type: ignore[union-attr]
    labels = [source.targets[t] for t in shared.targets]
    rows = []
    for contact in range(0, 6 * len(names), len(names)):
        tiles = [_tile(pictures["vision"][contact], "camera")]
        tiles += [_tile(pictures["touch"][contact + k], name) for k, name in enumerate(names)]
        codes = [int(source.values[t][contact]) for t in shared.targets]
        rows.append((", ".join(t.names[c] for t, c in zip(labels, codes, strict=True)), "", tiles))
    sheet = Sheet("Six objects, seen by a camera and pressed on every sensor", rows, large=True)
    return [[sheet], list(source.provenance.notes)]


def _tile(picture: np.ndarray, name: str) -> Tile:
    return Tile(data_uri(np.ascontiguousarray(picture.transpose(1, 2, 0))), name, name.replace("_", " "))


def _convergence(run: Reading) -> str:
    lines: dict[str, tuple[Any, ...]] = {}
    for entry in LABELS:
        falls = [r.items for r in run.found.get((run.main, entry, "default"), []) if r.metric == "training/val"]
        if falls and all(f[0] > 0 for f in falls):
            y = np.mean([np.array(f) / f[0] for f in falls], axis=0)
            lines[entry] = np.arange(1, len(y) + 1), y
    return _drawn(lines, 3.6, xlabel="epoch", ylabel="validation loss / first")


def _batches(run: Reading) -> str:
    lines: dict[str, tuple[Any, ...]] = {}
    for entry in COMPARED:
        if len(found := batches(run, entry)) > 1:
            values = [100 * np.array(list(v.values())) for v in found.values()]
            mean, sd = np.array([v.mean() for v in values]), np.array([v.std(ddof=len(v) > 1) for v in values])
            lines[entry] = list(found), mean, (mean - sd, mean + sd)
    sizes = sorted({size for x, *_ in lines.values() for size in x})
    return _drawn(lines, 3.4, sizes, xscale="log", xlabel="batch", ylabel="accuracy of probes, %")


def _drawn(lines: dict[str, tuple[Any, ...]], height: float, ticks: Sequence[int] = (), **axes: str) -> str:
    """Draw a line per method."""
    if not lines:
        return ""
    with styled():
        figure, (axis,) = figure_of(1, 1, (6.0, height))
        for entry, line in lines.items():
            curve(axis, *line, colour=COLOURS[list(LABELS).index(entry)], label=LABELS[entry])
        axis.set(**axes)
        if ticks:
            axis.set_xticks(ticks, list(map(str, ticks)))
            axis.minorticks_off()
        legend(figure, axis)
        return svg(figure)
