"""How one modality is drawn: as a picture, a map, arrows, frames of a film, lines over time or bars, as its rows are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data.preprocessing import Modality

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = NDArray[np.float64]
FEW = 16
"""Up to so many numbers are bars, and up to half as many columns are lines of their own."""
FRAMES = 4
"""Of a film."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")
SPATIAL = ("N", "N m", "m", "m/s", "m/s²", "rad/s", "g")
"""Units of which three columns are x, y and z."""


@dataclass(frozen=True)
class Panel:
    """A strip of a figure: what a modality holds in one unit, drawn once for every row that is shown."""

    draw: Callable[[Axes, Values], Any]
    height: float
    label: str = ""
    bare: bool = False


def panels(modality: Modality, rows: Values) -> list[tuple[Panel, Values]]:
    """Choose how to draw some rows of a modality by shape, kind, unit and rate."""
    unit, kind, rate = modality.unit.replace("^2", "²"), modality.kind, modality.rate
    if rows.ndim == 4:
        return [(_picture(unit, rate, rows), rows)]
    if rows.ndim == 3:
        steps, columns = rows.shape[1:]
        if kind == "signal" or (kind is None and steps == 1):
            rows = rows.transpose(0, 2, 1)
        elif kind not in ("sequence", "padded") and steps <= columns:
            return [(_map(unit, rate, rows, axis="column"), rows)]
        if rows.shape[2] > FEW // 2:
            rows = rows.transpose(0, 2, 1)
            return [(_map(unit, rate, rows), rows)]
        return [(_lines(u, rate, v), v) for u, v in _by_unit(unit, rows)]
    flat = rows.reshape(len(rows), -1)
    if rate is None and flat.shape[1] <= FEW and rows.ndim == 2:
        return [(_bars(u, v), v) for u, v in _by_unit(unit, flat)]
    thin = flat[:, :, None]
    return [(_lines(_short(unit), rate, thin, axis="step" if rate else "number"), thin)]


def _picture(unit: str, rate: float | None, rows: Values) -> Panel:
    channels = rows.shape[1]
    low, high = float(rows.min()), float(rows.max())
    if channels == 1:
        flat = _map(unit, None, rows[:, 0], upright=False)
        return Panel(lambda axes, row: flat.draw(axes, row[0]), flat.height, flat.label, bare=True)
    if channels == 2 and "pixel" in unit:
        return Panel(lambda axes, row: _arrows(axes, row, float(np.hypot(*rows.swapaxes(0, 1)).max())), 1.9, bare=True)
    if channels == 3:
        stretched = low < -1e-6 or high > 1 + 1e-6

        def colour(axes: Axes, row: Values) -> None:
            scaled = (row - low) / ((high - low) or 1) if stretched else row
            axes.imshow(np.clip(scaled, 0, 1).transpose(1, 2, 0), interpolation="none")
            _empty(axes)

        return Panel(colour, 1.9, "colours stretched" if stretched else "", bare=True)
    if "0 to 1" in unit:
        low, high = 0.0, 1.0
    at = np.unique(np.linspace(0, channels - 1, FRAMES).round().astype(int))

    def film(axes: Axes, row: Values) -> Any:
        width = row.shape[2]
        gap = np.full((row.shape[1], max(1, width // 16)), np.nan)
        strip = np.concatenate([part for i in at for part in (row[i], gap)][:-1], axis=1)
        image = axes.imshow(strip, interpolation="none", vmin=low, vmax=high, cmap="gray")
        every, name = _time(channels, rate)
        axes.set_xticks([(width + gap.shape[1]) * i + width / 2 for i in range(len(at))], [f"{every[i]:.3g}" for i in at])
        axes.set(yticks=[], xlabel=name if rate else "channel")
        axes.spines[:].set_visible(False)
        return image

    return Panel(film, 1.1, _short(unit), bare=True)


def _map(unit: str, rate: float | None, rows: Values, *, upright: bool = True, axis: str = "step") -> Panel:
    low, high = float(rows.min()), float(rows.max())

    def draw(axes: Axes, row: Values) -> Any:
        at, name = _time(row.shape[1], rate)
        sides = (at[0], at[-1] + (at[1] - at[0] if len(at) > 1 else 1), -0.5, row.shape[0] - 0.5)
        image = axes.imshow(
            row,
            interpolation="none",
            vmin=low,
            vmax=high,
            cmap="gray" if "grey" in unit or "brightness" in unit else "viridis",
            origin="lower" if upright else "upper",
            aspect="auto" if upright else "equal",
            extent=sides if upright else None,
        )
        if upright:
            axes.set_xlabel(name if rate else axis)
        else:
            _empty(axes)
        return image

    return Panel(draw, 1.5 if upright else 1.9, _short(unit), bare=True)


def _arrows(axes: Axes, row: Values, longest: float) -> Any:
    """Draw every so many-th displacement; the longest of all rows is two arrows' distance long."""
    height, width = row.shape[1:]
    step = max(1, width // 16)
    y, x = (np.arange(step // 2, n, step) for n in (height, width))
    across, down = row[:, y[:, None], x[None, :]]
    size = np.hypot(*row)
    image = axes.imshow(size, interpolation="none", cmap="Blues", vmin=0, vmax=longest or 1)
    seen = np.hypot(across, down) > 0.02 * longest
    at = np.meshgrid(x, y)
    scale = (longest or 1) / (2.0 * step)
    parts = (v[seen] for v in (*at, across, down))
    axes.quiver(*parts, angles="xy", scale_units="xy", scale=scale, width=0.006)
    _empty(axes)
    return image


def _lines(unit: str, rate: float | None, rows: Values, *, axis: str = "step") -> Panel:
    low, high = float(rows.min()), float(rows.max())
    room = 0.06 * ((high - low) or 1)
    names = _names(unit, rows.shape[2])

    def draw(axes: Axes, row: Values) -> None:
        at, name = _time(len(row), rate)
        for i in range(row.shape[1]):
            axes.plot(*_outline(at, row[:, i]), color=COLOURS[i % len(COLOURS)], linewidth=0.9, label=names[i])
        axes.set(ylim=(low - room, high + room), xlim=(at[0], at[-1] or 1.0), xlabel=name if rate else axis)

    return Panel(draw, 1.15, unit)


def _bars(unit: str, rows: Values) -> Panel:
    low, high = min(0.0, float(rows.min())), max(0.0, float(rows.max()))
    room = 0.06 * ((high - low) or 1)
    names = _names(unit, rows.shape[1])

    def draw(axes: Axes, row: Values) -> None:
        axes.bar(range(len(row)), row, color=COLOURS[0], width=0.7)
        axes.axhline(0, color=axes.xaxis.label.get_color(), linewidth=0.6)
        axes.set(ylim=(low - room, high + room), xticks=range(len(row)))
        axes.set_xticklabels(names)

    return Panel(draw, 1.0, unit)


def _by_unit(unit: str, rows: Values) -> list[tuple[str, Values]]:
    parts = [_short(part) for part in unit.split(" and ")]
    size = rows.shape[-1]
    last = 4 if "quaternion" in parts[-1] else size // 2
    known = len(parts) == 2 and all(part in SPATIAL or "quaternion" in part for part in parts)
    if not known or last >= size or ("quaternion" not in parts[-1] and size % 2):
        return [(_short(unit), rows)]
    return [(parts[0], rows[..., : size - last]), (parts[1], rows[..., size - last :])]


def _names(unit: str, size: int) -> Sequence[str]:
    if size == 4 and "quaternion" in unit:
        return "wxyz"
    return "xyz" if size == 3 and unit in SPATIAL else [str(i + 1) for i in range(size)]


def _short(unit: str) -> str:
    return unit.split(" (")[0]


def _time(steps: int, rate: float | None) -> tuple[Values, str]:
    at = np.arange(steps, dtype=np.float64)
    if rate is None:
        return at, "step"
    return (at / rate, "s") if steps / rate > 0.1 else (at / rate * 1e3, "ms")


def _outline(at: Values, row: Values) -> tuple[Values, Values]:
    """Thin a long signal to its least and greatest value in each of so many bins, which looks the same."""
    bins = 400
    width = len(row) // bins
    if width < 3:
        return at, row
    whole = row[: bins * width].reshape(bins, width)
    ends = np.sort(np.stack([whole.argmin(axis=1), whole.argmax(axis=1)], axis=1), axis=1)
    keep = np.concatenate([(ends + np.arange(bins)[:, None] * width).reshape(-1), np.arange(bins * width, len(row))])
    return at[keep], row[keep]


def _empty(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
