"""Figures of scores and similarities as functions of alignment strength."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tuplet.information.pid import PARTS
from tuplet.study._figures import COLOURS, INK, figure_of, styled, svg
from tuplet.suites.strengths import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENCODERS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
PART_COLOURS = dict(zip(PARTS, ("#009e73", "#0072b2", "#56b4e9", "#d55e00"), strict=True))
LABELS = {"redundancy": "redundancy", "unique1": "unique to 1", "unique2": "unique to 2", "synergy": "synergy"}


LONGEST = 28
"""Characters of a name in a figure."""


@contextmanager
def drawing() -> Iterator[None]:
    """Set the style of a figure; names may be of any script, which the reader's browser draws."""
    with styled(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        import matplotlib as mpl

        with mpl.rc_context({"text.parse_math": False}):
            yield


def cut(name: str, longest: int = LONGEST) -> str:
    """Shorten a name for a figure or a table."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def strength_axis(axis: Axes, strengths: Sequence[float]) -> None:
    """Give an axis a square-root scale of strengths, 0 included."""
    axis.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    last = max(strengths) or 1.0
    ticks = [t for t in (0, 0.1, 0.5, 1, 2, 4, 8, 16) if t <= last and not (t == 0.1 and last < 1)]
    axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()
    axis.set_xlim(-0.0005 * last, last * 1.03)


def draw_curve(axis: Axes, curve: Curve, *, colour: str, label: str, dashed: bool = False) -> None:
    """Draw mean and 95 % interval over seeds."""
    if dashed:
        axis.plot(curve.strengths, curve.mean, "--", color=colour, linewidth=0.9, label=label)
        return
    axis.plot(curve.strengths, curve.mean, "o-", color=colour, markersize=2.6, linewidth=1.3, label=label)
    found = [curve.spread(s) for s in curve.strengths]
    if found[0].n > 1:
        low, high = [s.low for s in found], np.minimum([s.high for s in found], 1.0)  # no score here exceeds 1
        axis.fill_between(curve.strengths, low, high, color=colour, alpha=0.18, linewidth=0)


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
    with drawing():
        figure, axes = figure_of(2, n, (max(2.0 * n + 0.6, 5.2), 4.9))
        top, bottom = np.array(axes).reshape(2, n)
        for c in range(n):
            for i, (name, found) in enumerate(accuracy[c].items()):
                colour = ENCODERS[i % len(ENCODERS)]
                draw_curve(top[c], found, colour=colour, label=cut(name))
                if tuned and name in tuned[c]:
                    draw_curve(
                        top[c], tuned[c][name], colour=colour, label=f"{name}, tuned at each strength", dashed=True
                    )
                if ceilings:
                    label = "best possible" if i == 0 else "_"
                    top[c].axhline(ceilings[c][name], color=colour, linestyle=":", linewidth=1, label=label)
            lowest = min(float(found.mean.min()) for found in accuracy[c].values())
            if chance and lowest < chance[c] + 0.1:  # elsewhere it would flatten the curves
                top[c].axhline(chance[c], color=INK, linewidth=0.7, linestyle=(0, (1, 3)), label="most frequent class")
            if common and lowest < common[c] + 0.1:
                top[c].axhline(
                    common[c], color=INK, linewidth=0.8, linestyle="-.", label="best possible from what both see"
                )
            low, high = top[c].get_ylim()
            if high - low < 0.05:  # a narrow axis would make noise look like a trend
                top[c].set_ylim((low + high - 0.05) / 2, (low + high + 0.05) / 2)
            for i, (name, found) in enumerate(similarity[c].items()):
                draw_curve(bottom[c], found, colour=COLOURS[(i + 2) % len(COLOURS)], label=name)
            top[c].set_title(titles[c])
            bottom[c].set_ylim(min(0.0, bottom[c].get_ylim()[0]), 1.02)
            for axis in (top[c], bottom[c]):
                strength_axis(axis, next(iter(accuracy[c].values())).strengths)
            if c:
                bottom[c].set_yticklabels([])
            bottom[c].set_xlabel("alignment strength λ")
        top[0].set_ylabel(ylabel)
        bottom[0].set_ylabel("similarity of encoders")
        columns = 3 if n > 1 else 2
        shown = {label: line for axis in top for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
        figure.legend(list(shown.values()), list(shown), loc="outside upper center", ncols=columns)
        figure.legend(*bottom[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns + n // 3)
        return svg(figure, broad=n > 2)


def change_map(
    changes: Mapping[str, NDArray[np.float64]],
    *,
    rows: Sequence[str],
    strengths: Sequence[float],
    unit: str,
    marks: Mapping[str, NDArray[np.bool_]] | None = None,
) -> str:
    """Draw the change against strength 0 as a map of data set by strength: Figure 4 of the paper, for each encoder."""
    with drawing():
        figure, axes = figure_of(
            len(changes), 1, (max(7.2, 0.6 * len(strengths) + 1.3), (0.34 * len(rows) + 0.75) * len(changes))
        )
        for axis, (name, values) in zip(axes, changes.items(), strict=True):
            axis.pcolormesh(np.clip(values, -5, 5), cmap="RdBu", vmin=-5, vmax=5, edgecolors="white", linewidth=0.8)
            for i, j in np.ndindex(values.shape):
                bold = marks is not None and bool(marks[name][i, j])
                shown = f"{values[i, j]:+.1f}" if abs(values[i, j]) < 9.95 else f"{values[i, j]:+.0f}"
                colour = "white" if abs(values[i, j]) > 3.2 else "#1c2126"
                weight = "bold" if bold else "normal"
                axis.text(
                    j + 0.5, i + 0.5, shown, ha="center", va="center", fontsize=7.5, color=colour, fontweight=weight
                )
            axis.set_xticks(np.arange(len(strengths)) + 0.5, [f"{s:g}" for s in strengths])
            axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
            axis.tick_params(length=0)
            axis.set_title(f"{name}: change against λ = 0, {unit}", loc="left")
        axes[-1].set_xlabel("strength λ")
        return svg(figure, broad=True)


def similarity_scatter(
    similarity: Sequence[Mapping[str, Curve]], fractions: Sequence[Curve], *, titles: Sequence[str]
) -> str:
    """Draw accuracy against similarity, a path over strengths per data set."""
    names = list(similarity[0])
    with drawing():
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
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
        return svg(figure, broad=len(names) > 2)


def parts_bars(parts: Sequence[Mapping[str, float]], *, titles: Sequence[str]) -> str:
    """Draw what two modalities say about the label, in bits."""
    with drawing():
        figure, (axis,) = figure_of(1, 1, (5.2, 0.4 * len(titles) + 1.1))
        left = np.zeros(len(titles))
        at = np.arange(len(titles))[::-1]
        for part, colour in PART_COLOURS.items():
            width = np.array([p[part] for p in parts])
            axis.barh(at, width, left=left, color=colour, label=LABELS[part], height=0.7)
            for i in range(len(titles)):
                if width[i] > 0.12:
                    middle = left[i] + width[i] / 2
                    axis.text(middle, at[i], f"{width[i]:.2f}", ha="center", va="center", color="white", fontsize=7.5)
            left += width
        axis.set_yticks(at, titles)
        axis.set_xlabel("information about the label, bits")
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return svg(figure)
