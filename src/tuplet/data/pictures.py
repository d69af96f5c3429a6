"""Draw rows of any source: pictures, maps, flow, lines over time, bars, each by what its modality is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from tuplet.data._panels import Panel, Values, panels
from tuplet.data.preprocessing import Modality
from tuplet.data.source import Part, Source, Target
from tuplet.types import Batch, InputError, in_range, some_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKED = 64
"""Rows among which those to show are chosen."""


def show(
    source: Source, *, rows: int | Sequence[int] = 3, part: Part = "train", shapes: Mapping[str, tuple[int, ...]] | None = None
) -> Figure:
    """Draw some rows of a source, a column each, with every modality in its own unit.

    Args:
        source: any source.
        rows: how many, 1 to 8: one of each class in turn, else spread evenly; or their positions in the part.
        part: of the split.
        shapes: modality -> shape to draw it in, such as ``(1, 16, 15)`` for the pixels of a flattened picture.

    Returns:
        A matplotlib figure in matplotlib's present style: ``.savefig("rows.png")``. The same rows give the same figure.

    Raises:
        InputError: for a row that is not there, another part, an unknown modality, or a shape of another size.

    Notes:
        How a modality is drawn follows from its shape, kind, unit and rate, as `tuplet.data._panels` says: give ``units``
        and ``rates`` to `tuplet.data.from_arrays` for axes that tell more. Values are in the unit they had before scaling
        where the source knows its scales. All columns share one scale.

    Example:
        >>> from tuplet.data import SOURCES
        >>> figure = show(SOURCES["digits"]().select(["pixels", "zernike"]), rows=2, shapes={"pixels": (1, 16, 15)})
        >>> [text.get_text() for axes in figure.axes for text in axes.texts][2:]
        ['pixels, 240: pixel averages in 2 x 3 windows', 'zernike, 47: Zernike moments']
    """
    from matplotlib.figure import Figure

    batch, where = _chosen(source, rows, part)
    strips: list[tuple[str, Panel, Values, Values]] = []
    for name, modality in source.modalities.items():
        drawn = _as(name, modality, (shapes or {}).get(name))
        scaled = batch.inputs[name].double().numpy()
        values = source.preprocessing[name].scale.undo(scaled).reshape(len(where), *drawn.shape)
        here = batch.present[name].numpy()
        strips += [(name, panel, mine, here) for panel, mine in panels(drawn, values)]
    some_of("shapes", shapes or (), sorted(source.modalities))
    strips.sort(key=lambda strip: strip[2].ndim < 4)  # pictures first
    heads = [_head(source.targets, batch, i, where[i]) for i in range(len(where))]
    heights = [0.2 * (1 + max(h.count("\n") for h in heads)), *(p.height + 0.45 for _, p, _, _ in strips)]
    figure = Figure(figsize=(1.2 + 2.6 * len(where), sum(heights)), layout="constrained")
    grid = figure.subplots(len(heights), len(where), squeeze=False, height_ratios=heights)
    for axes, head in zip(grid[0], heads, strict=True):
        axes.axis("off")
        axes.text(0.5, 0.5, head, ha="center", va="center", transform=axes.transAxes).set_in_layout(False)
    for i, (name, panel, values, here) in enumerate(strips):
        row = list(grid[1 + i])
        several = [k for k, *_ in strips].count(name) > 1
        _strip(figure, row, panel, values, here, short=several or len(panel.label) <= 8)
        if i == 0 or strips[i - 1][0] != name:
            _title(row[0], name, source.modalities[name])
        elif not panel.bare:  # one axis below all strips of a modality
            for axes in grid[i]:
                axes.tick_params(labelbottom=axes.get_xlabel() == "")
                axes.set_xlabel("")
    figure.align_ylabels(list(grid[1:, 0]))
    return figure


def _strip(figure: Figure, row: list[Axes], panel: Panel, values: Values, here: Values, *, short: bool) -> None:
    """Draw one panel for every row shown."""
    image = None
    for axes, value, there in zip(row, values, here, strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize="small")
        axes.xaxis.label.set_fontsize("small")
        if there:
            image = panel.draw(axes, value) or image
        else:
            axes.set(xticks=[], yticks=[])
            axes.text(0.5, 0.5, "missing", ha="center", va="center", transform=axes.transAxes)
        if axes is not row[0] and not panel.bare:
            axes.tick_params(labelleft=False)
    label = panel.label if short else ""  # the title has the others
    if image is not None:
        bar = figure.colorbar(image, ax=row[-1], shrink=0.9, panchor=False)
        bar.set_label(label, size="small")
        bar.ax.tick_params(labelsize="small")
    elif not panel.bare:
        row[0].set_ylabel(label, fontsize="small")
        handles, names = next((found for a in row if (found := a.get_legend_handles_labels())[0]), ([], []))
        if len(names) > 1:
            row[-1].legend(handles, names, loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small", frameon=False)


def _chosen(source: Source, rows: int | Sequence[int], part: Part) -> tuple[Batch, list[int]]:
    """Read the rows to show, and say where in the part they are."""
    data = source.part(part)
    if not isinstance(rows, int):
        where = list(rows)
        return data[where], where
    in_range("rows", rows, 1, 9)
    found = np.unique(np.linspace(0, len(data) - 1, min(LOOKED, len(data))).round().astype(int))
    label = next((k for k, t in source.targets.items() if t.kind == "class"), None)
    codes = np.zeros(len(found)) if label is None else data[found.tolist()].target[label].numpy()
    free, where = np.ones(len(found), dtype=bool), []
    for i in range(min(rows, len(found))):
        classes = np.unique(codes[free])
        like = np.flatnonzero(free & (codes == classes[i % len(classes)]))
        best = like[np.abs(like - (i + 0.5) / rows * len(found)).argmin()]  # spread over the part
        where.append(int(found[best]))
        free[best] = False
    return data[where], where


def _as(name: str, modality: Modality, shape: tuple[int, ...] | None) -> Modality:
    if shape is None:
        return modality
    if prod(shape) != prod(modality.shape):
        raise InputError(f"shapes[{name!r}] is {shape}, expected {prod(modality.shape)} numbers as in {modality.shape}")
    return Modality(shape, unit=modality.unit, rate=modality.rate)


def _title(axes: Axes, name: str, modality: Modality) -> None:
    """Write above the first column, across the others, without making it wider."""
    text = f"{name}, {' x '.join(map(str, modality.shape))}"
    text += f": {modality.unit.replace('^2', '²')}" if modality.unit else ""
    axes.set_title(" ", loc="left", fontsize="medium")  # keeps the room
    axes.annotate(
        text, (0, 1), xytext=(0, 6), xycoords="axes fraction", textcoords="offset points", fontweight="bold"
    ).set_in_layout(False)


def _head(targets: Mapping[str, Target], batch: Batch, i: int, row: int) -> str:
    """Say which row it is and what its targets are; of many numbers, nothing."""
    lines = [f"row {row}"]
    for name, target in targets.items():
        value = batch.target[name][i]
        if target.kind == "class":
            code = int(value)
            lines.append(f"{name}: {target.names[code] if target.names else code}")
        elif target.size <= 3:
            numbers = ", ".join(f"{float(v):.3g}" for v in value.reshape(-1))
            lines.append(f"{name}: {numbers} {target.unit}".strip())
    return "\n".join(lines)
