"""Figures as SVG text whose ink follows the page's text colour: style, axes, curves, legend."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"
"""Stands for the page's text colour; replaced by ``currentColor`` in the SVG."""
COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"),
    *("#b15928", "#66a61e", "#e7298a", "#3b4cc0", "#a6761d", "#6a3d9a", "#17becf", "#fb8072"),
)
PARTS = ("#009e73", "#0072b2", "#56b4e9", "#d55e00")
"""Colours of what is shared, in the first only, in the second only, and visible only jointly."""
PLAIN: dict[Any, Any] = {
    "text.parse_math": False,  # a name may hold any text, "$\\frac{$" too
    "font.size": 8.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "tuplet",
}
STYLE: dict[Any, Any] = PLAIN | {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"), INK),
    "legend.frameon": False,
    "legend.fontsize": 7.5,
}


@contextmanager
def styled() -> Iterator[None]:
    """Set matplotlib's style while a figure is made; names may be of any script, which the reader's browser draws."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        yield


def figure_of(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Make a figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(rows, columns)).ravel())


def curve(
    axis: Axes,
    x: ArrayLike,
    y: ArrayLike,
    band: tuple[ArrayLike, ArrayLike] | None = None,
    *,
    colour: str,
    style: str = "o-",
    alpha: float = 0.15,
    **options: Any,
) -> None:
    """Draw a curve and the band around it."""
    axis.plot(x, y, style, color=colour, **{"markersize": 3, "linewidth": 1.4} | options)
    if band is not None:
        axis.fill_between(x, *band, color=colour, alpha=alpha, linewidth=0)


def legend(figure: Figure, axis: Axes, *, columns: int = 3) -> None:
    """Put the legend of an axis below the figure."""
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=columns)


def named(axis: Axes, names: Sequence[str]) -> None:
    """Write a name beside each row of an axis, without ticks."""
    axis.set_yticks(range(len(names)), list(names))
    axis.tick_params(axis="y", length=0)


def short_paths(text: str) -> str:
    """Round the coordinates of an SVG's paths to hundredths of a point, which halves long curves."""
    return re.sub(r' d="[^"]+"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)


def svg(figure: Figure, *, broad: bool = False) -> str:
    """Print a figure as SVG that takes its ink from the page."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    for patch in (figure.patch, *(axis.patch for axis in figure.axes)):
        patch.set(facecolor="none", edgecolor="none")
    out = io.StringIO()
    FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})  # type: ignore[no-untyped-call]  # savefig draws twice
    text = short_paths(out.getvalue())
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    return text.replace("<svg ", f'<svg role="img" class="figure{" broad" if broad else ""}" ', 1)


def alone(drawn: str) -> bytes:
    """Return an SVG for a file of its own, which has no page to take its ink from: a grey that shows on light and dark."""
    return drawn.replace("currentColor", "#7a848d").encode()
