"""Figures of scores and similarities as functions of alignment strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tuplet.information.pid import PARTS
from tuplet.report import ink
from tuplet.report.ink import COLOURS, INK, figure_of, legend, styled, svg
from tuplet.report.words import cut
from tuplet.suites.strengths import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = {"redundancy": "redundancy", "unique1": "unique to 1", "unique2": "unique to 2", "synergy": "synergy"}


def strength_axis(axis: Axes, strengths: Sequence[float]) -> None:
    """Give an axis a square-root scale of strengths, 0 included."""
    axis.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    last = max(strengths) or 1.0
    ticks = [t for t in (0, 0.1, 0.5, 1, 2, 4, 8, 16) if t <= last and not (t == 0.1 and last < 1)]
    axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()
    axis.set_xlim(-0.0005 * last, last * 1.03)


def draw_curve(axis: Axes, curve: Curve, *, colour: str, label: str) -> None:
    """Draw mean and 95 % interval over seeds."""
    found = [curve.spread(s) for s in curve.strengths]
    band = [s.low for s in found], np.minimum([s.high for s in found], 1.0)  # no score here exceeds 1
    several = found[0].n > 1
    look = {"colour": colour, "label": label, "markersize": 2.6, "linewidth": 1.3}
    ink.curve(axis, curve.strengths, curve.mean, band if several else None, alpha=0.18, **look)  # type: ignore[arg-type]


def curves_over_strength(
    accuracy: Sequence[Mapping[str, Curve]],
    similarity: Sequence[Mapping[str, Curve]],
    *,
    titles: Sequence[str],
    tuned: Sequence[Mapping[str, Curve]] = (),
    ceilings: Sequence[Mapping[str, float]] = (),
    chance: Sequence[float] = (),
    common: Sequence[float] = (),
    ylabel: str = "test accuracy",
) -> str:
    """Draw the accuracy of each encoder above the similarity between them, one column per data set: Figure 3 of the paper."""
    n = len(titles)
    with styled():
        figure, axes = figure_of(2, n, (max(2.0 * n + 0.6, 5.2), 4.9))
        top, bottom = axes[:n], axes[n:]
        for c, (above, below) in enumerate(zip(top, bottom, strict=True)):
            for i, (name, found) in enumerate(accuracy[c].items()):
                colour = COLOURS[i % 6]
                draw_curve(above, found, colour=colour, label=cut(name))
                if tuned and name in tuned[c]:
                    again, label = tuned[c][name], f"{name}, tuned at each strength"
                    above.plot(again.strengths, again.mean, "--", color=colour, linewidth=0.9, label=label)
                if ceilings:
                    label = "best possible" if i == 0 else "_"
                    above.axhline(ceilings[c][name], color=colour, linestyle=":", linewidth=1, label=label)
            _levels(above, accuracy[c], chance[c : c + 1], common[c : c + 1])
            for i, (name, found) in enumerate(similarity[c].items()):
                draw_curve(below, found, colour=COLOURS[(i + 2) % len(COLOURS)], label=name)
            above.set_title(titles[c])
            below.set_ylim(min(0.0, below.get_ylim()[0]), 1.02)
            for axis in (above, below):
                strength_axis(axis, next(iter(accuracy[c].values())).strengths)
            if c:
                below.set_yticklabels([])
            below.set_xlabel("alignment strength λ")
        top[0].set_ylabel(ylabel)
        bottom[0].set_ylabel("similarity of encoders")
        columns = 3 if n > 1 else 2
        shown = {label: line for axis in top for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
        figure.legend(list(shown.values()), list(shown), loc="outside upper center", ncols=columns)
        legend(figure, bottom[0], columns=columns + n // 3)
        return svg(figure, broad=n > 2)


def _levels(axis: Axes, accuracy: Mapping[str, Curve], chance: Sequence[float], common: Sequence[float]) -> None:
    """Draw what chance and what both encoders see reach, where that does not flatten the curves."""
    lowest = min(float(found.mean.min()) for found in accuracy.values())
    kinds = ((chance, "most frequent class", 0.7, (0, (1, 3))), (common, "best possible from what both see", 0.8, "-."))
    for values, label, width, style in kinds:
        for value in values:
            if lowest < value + 0.1:
                axis.axhline(value, color=INK, linewidth=width, linestyle=style, label=label)
    low, high = axis.get_ylim()
    if high - low < 0.05:  # a narrow axis would make noise look like a trend
        axis.set_ylim((low + high - 0.05) / 2, (low + high + 0.05) / 2)


def change_map(
    changes: Mapping[str, NDArray[np.float64]],
    *,
    rows: Sequence[str],
    strengths: Sequence[float],
    unit: str,
    marks: Mapping[str, NDArray[np.bool_]],
) -> str:
    """Draw the change against strength 0 as a map of data set by strength: Figure 4 of the paper, for each encoder."""
    with styled():
        size = (max(7.2, 0.6 * len(strengths) + 1.3), (0.34 * len(rows) + 0.75) * len(changes))
        figure, axes = figure_of(len(changes), 1, size)
        for axis, (name, values) in zip(axes, changes.items(), strict=True):
            axis.pcolormesh(np.clip(values, -5, 5), cmap="RdBu", vmin=-5, vmax=5, edgecolors="white", linewidth=0.8)
            for i, j in np.ndindex(values.shape):
                shown = f"{values[i, j]:+.1f}" if abs(values[i, j]) < 9.95 else f"{values[i, j]:+.0f}"
                colour = "white" if abs(values[i, j]) > 3.2 else "#1c2126"
                weight = "bold" if marks[name][i, j] else "normal"
                centre = {"ha": "center", "va": "center", "fontsize": 7.5}
                axis.text(j + 0.5, i + 0.5, shown, color=colour, fontweight=weight, **centre)  # type: ignore[arg-type]
            axis.set_xticks(np.arange(len(strengths)) + 0.5, [f"{s:g}" for s in strengths])
            axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
            axis.tick_params(length=0)
            axis.set_title(f"{name}: change against λ = 0, {unit}", loc="left")
        axes[-1].set_xlabel("strength λ")
        return svg(figure, broad=True)


def similarity_scatter(similarity: Sequence[Mapping[str, Curve]], fractions: Sequence[Curve], *, titles: Sequence[str]) -> str:
    """Draw accuracy against similarity, a path over strengths per data set."""
    names = list(similarity[0])
    with styled():
        figure, axes = figure_of(1, len(names), (2.4 * len(names), 3.2))
        for axis, name in zip(axes, names, strict=True):
            for i, (found, fraction) in enumerate(zip(similarity, fractions, strict=True)):
                x, y, colour = found[name].mean, 100 * fraction.mean, COLOURS[i % len(COLOURS)]
                axis.plot(x, y, "-", color=colour, linewidth=0.9, alpha=0.7)
                axis.scatter(x[1:], y[1:], s=11, color=colour, label=titles[i])
                axis.scatter(x[:1], y[:1], s=34, facecolors="none", edgecolors=colour, linewidths=1.4)
            axis.set(xlabel=name)
        for axis in axes[1:]:
            axis.sharey(axes[0])
            axis.tick_params(labelleft=False)
        axes[0].set_ylabel("accuracy, % of the best possible")
        legend(figure, axes[0], columns=5)
        return svg(figure, broad=len(names) > 2)


def parts_bars(parts: Sequence[Mapping[str, float]], *, titles: Sequence[str]) -> str:
    """Draw what two modalities say about the label, in bits."""
    with styled():
        figure, (axis,) = figure_of(1, 1, (5.2, 0.4 * len(titles) + 1.1))
        left = np.zeros(len(titles))
        at = np.arange(len(titles))[::-1]
        for part, colour in zip(PARTS, ink.PARTS, strict=True):
            width = np.array([p[part] for p in parts])
            axis.barh(at, width, left=left, color=colour, label=LABELS[part], height=0.7)
            for x, y, w in zip(left + width / 2, at, width, strict=True):
                if w > 0.12:
                    axis.text(x, y, f"{w:.2f}", ha="center", va="center", color="white", fontsize=7.5)
            left += width
        axis.set_yticks(at, titles)
        axis.set_xlabel("information about the label, bits")
        legend(figure, axis, columns=4)
        return svg(figure)
