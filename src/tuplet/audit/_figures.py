"""Figures of an audit, as SVG text whose ink follows the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from tuplet.audit.run import PairAudit
from tuplet.information import PID
from tuplet.information.pid import PARTS
from tuplet.report import ink
from tuplet.report.ink import COLOURS, INK, figure_of, svg
from tuplet.report.words import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def information_figure(found: PairAudit) -> str:
    """Draw what a pair says about the target."""
    with ink.styled():
        figure, (axis,) = figure_of(1, 1, (3.9, 2.5))
        a, b = (cut(name) for name in found.pair)
        pid_bars(axis, found.pid, ("shared", f"only {a}", f"only {b}", "only jointly"))
        return svg(figure)


def pilot_figure(found: PairAudit) -> str:
    """Draw what a pair's pilot measured, and the curve that follows."""
    with ink.styled():
        figure, (axis,) = figure_of(1, 1, (3.9, 3.0))
        _curve(axis, found)
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return svg(figure)


def pid_bars(axis: Axes, pid: PID, names: Sequence[str]) -> None:
    """Draw the four parts with intervals, and a tick where chance ends if a null says it."""
    for i, (part, colour) in enumerate(zip(PARTS, ink.PARTS, strict=True)):
        value = getattr(pid, part)
        there = pid.significant is None or pid.significant[part]
        axis.barh(i, value, color=colour, alpha=1.0 if there else 0.25, height=0.62)
        if pid.interval:
            low, high = pid.interval[part]
            axis.plot([low, high], [i, i], color=INK, linewidth=1.2)
        if pid.null and "quantile" in pid.null[part]:
            chance = max(pid.null[part]["quantile"] - pid.null[part]["mean"], 0.0)
            axis.plot([chance, chance], [i - 0.42, i + 0.42], color=INK, linewidth=1.0, linestyle=":")
    axis.axvline(0, color=INK, linewidth=0.6)
    axis.set_yticks(range(4), names)
    axis.invert_yaxis()
    axis.set(xlabel=f"{pid.units} about the target", title="information about the target")
    axis.set_xlim(min(0.0, axis.get_xlim()[0]), max(axis.get_xlim()[1], 0.05))


def _curve(axis: Axes, found: PairAudit) -> None:
    curve, tried = found.advice.curve, found.pilot
    at = np.arange(len(curve.strengths))

    def place(strength: float) -> float:
        return float(np.interp(strength, curve.strengths, at))

    if found.advice.verdict == "helps":
        low, high = found.advice.interval
        axis.axvspan(place(low), place(high), color=COLOURS[2], alpha=0.14, linewidth=0, label="best strength, 80 %")
    axis.fill_between(at, curve.low, curve.high, color=COLOURS[0], alpha=0.18, linewidth=0)
    axis.plot(at, curve.mean, color=COLOURS[0], linewidth=1.5, label="estimate, 80 % band")
    i = curve.strengths.index(found.advice.strength or 1.0)
    ends = [curve.low[i], curve.high[i]]
    axis.plot([i, i], ends, color=COLOURS[0], linewidth=4, alpha=0.6, label="quoted in the answer", solid_capstyle="butt")
    deviation = np.sqrt(np.diag(np.array(tried.covariance)))
    inside = [i for i, s in enumerate(tried.strengths) if 0 < s <= curve.strengths[-1]]
    axis.errorbar(
        [place(tried.strengths[i]) for i in inside],
        [tried.gain[i] for i in inside],
        yerr=[deviation[i] for i in inside],
        fmt="o",
        color=INK,
        markersize=3.5,
        linewidth=1,
        label="measured ± standard error",
    )
    axis.axhline(0, color=INK, linewidth=0.6)
    axis.set_xticks(at, [f"{s:g}" for s in curve.strengths])
    unit = "points of accuracy" if tried.metric == "accuracy" else "hundredths of R2"
    axis.set(xlabel="strength of alignment", ylabel=f"change, {unit}", title="change of the score by strength")


def similarity_figure(pairs: Sequence[PairAudit], metric: Literal["mutual_knn", "cka"]) -> str:
    """Draw how similar separately trained encoders are, beside shuffled pairs."""
    if not pairs:
        return ""
    with ink.styled():
        figure, (axis,) = figure_of(1, 1, (3.9, 0.9 + 0.24 * len(pairs)))
        for i, found in enumerate(pairs):
            score = found.similarity[metric]
            axis.plot([score["low"], score["high"]], [i, i], color=COLOURS[7], linewidth=4, alpha=0.5)
            axis.plot(score["value"], i, "o", color=COLOURS[0], markersize=5)
        axis.set_yticks(range(len(pairs)), [" + ".join(cut(name) for name in p.pair) for p in pairs])
        axis.set(
            title={"mutual_knn": "mutual kNN, k = 10", "cka": "CKA, unbiased"}[metric],
            xlim=(min(-0.02, axis.get_xlim()[0]), max(1.0, axis.get_xlim()[1])),
        )
        axis.set_ylim(len(pairs) - 0.5, -0.5)
        return svg(figure)
