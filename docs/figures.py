"""Draws the pictures of the objectives' pages, the same each time: python docs/figures.py [--missing] [names].

``<name>-score.svg``: the score of every query on the sphere against one pair of candidates.
``cone-levels.svg``: the same of the cone, mean cosine, projection and volume side by side.
``<name>-training.svg``: eight tuples of free points on the sphere, before and after gradient descent.
"""

import argparse
import re
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot as plt
from torch.nn.functional import normalize

from tuplet import Embeddings, objectives
from tuplet.objectives import CoMM, Objective, Supervised, UnimodalTask

FOLDER = Path(__file__).parent / "figures"
NAMES = ("a", "b", "c")
STYLE = {"a": ("#0072B2", "o"), "b": ("#D55E00", "s"), "c": ("#009E73", "^")}
ROWS, STEPS = 8, 600
MAKE = {  # objectives that need to be told sizes; all others are drawn with their defaults
    "CoMM": lambda: CoMM(NAMES, 3, heads=1),
    "Supervised": lambda: Supervised(3 * len(NAMES), 2),
    "UnimodalTask": lambda: UnimodalTask(dict.fromkeys(NAMES, 3), 2),
}
matplotlib.rcParams |= {
    "svg.hashsalt": "tuplet",
    "svg.fonttype": "none",
    "font.size": 13,
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
}


def make(name: str) -> Objective:
    """Build an objective for three modalities of three dimensions."""
    torch.manual_seed(0)
    return MAKE.get(name, getattr(objectives, name))()


def has_pages() -> list[str]:
    """Name the exported objectives that are drawn: not the sum, the class they inherit from, and those of sensors."""
    found = {k: getattr(objectives, k) for k in objectives.__all__}
    left = {"Objective", "Sum", "Curriculum", "Handed", "SensorDecoupling", "SensorMatching", "SoftTargets"}
    return [k for k, v in found.items() if isinstance(v, type) and issubclass(v, Objective) and k not in left]


def draws_score(name: str) -> bool:
    """Tell whether the objective has a score of its own that does not depend on trained networks."""
    kind = getattr(objectives, name)
    if getattr(kind, "score", None) is None or "score" not in vars(kind):
        return False
    return all(p.ndim < 2 for p in make(name).parameters())


def point(longitude: float, latitude: float) -> np.ndarray:
    """Return a unit vector from degrees."""
    x, y = np.deg2rad(longitude), np.deg2rad(latitude)
    return np.array([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)])


def mollweide(longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project degrees onto an equal-area map of the whole sphere."""
    target = np.pi * np.sin(np.deg2rad(latitude))
    angle = np.deg2rad(np.asarray(latitude, dtype=float)) * 0.9
    for _ in range(60):  # Newton's method
        angle = angle - (2 * angle + np.sin(2 * angle) - target) / np.maximum(2 + 2 * np.cos(2 * angle), 1e-3)
    return 2 * np.sqrt(2) / np.pi * np.deg2rad(longitude) * np.cos(angle), np.sqrt(2) * np.sin(angle)


def map_score(axes: plt.Axes, name: str, *, coarse: int = 2) -> tuple[object, float, float]:
    """Fill a map with the score of every query against the candidate tuple (b, c); return it, and the score's range."""
    longitude, latitude = np.meshgrid(np.linspace(-180, 180, 181), np.linspace(-90, 90, 91))
    grid = np.stack([point(x, y) for x, y in zip(longitude.flat, latitude.flat, strict=True)])
    places = {"b": (-50, 20), "c": (35, -10)}
    candidates = {k: torch.from_numpy(point(*v))[None] for k, v in places.items()}
    with torch.no_grad():
        score = make(name).double().score({"a": torch.from_numpy(grid)}, candidates)[:, 0].numpy()
    score = score.reshape(longitude.shape)
    low, high = float(score.min()), float(score.max())
    x, y = mollweide(longitude, latitude)
    levels = np.linspace(low, high, 11)
    some = (slice(None, None, coarse), slice(None, None, coarse))
    filled = axes.contourf(x[some], y[some], score[some], levels=levels, cmap="Blues")
    edge = [low + 0.95 * (high - low)]
    axes.contour(x, y, score, levels=edge, colors="#D55E00", linewidths=2.2, linestyles="solid")
    for k, (lon, lat) in places.items():
        away = (lon + 180 if lon < 0 else lon - 180, -lat)
        for text, (u, v), face in ((k, (lon, lat), "black"), (f"-{k}", away, "white")):
            u, v = mollweide(np.array(u), np.array(v))
            axes.plot(u, v, "o", color="black", markerfacecolor=face, markersize=9)
            label = axes.annotate(text, (u, v), (8, 7), textcoords="offset points", fontsize=16, fontweight="bold")
            label.set_bbox({"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1})
    edge = np.linspace(-90, 90, 61)
    for side in (-180, 180):
        axes.plot(*mollweide(np.full_like(edge, side), edge), color="#52606d", linewidth=1.2)
    axes.set_aspect("equal")
    axes.axis("off")
    return filled, low, high


def draw_score(name: str) -> plt.Figure:
    """Map the score of one objective."""
    figure = plt.figure(figsize=(6.4, 3.9))
    filled, low, high = map_score(figure.add_axes((0.02, 0.2, 0.96, 0.78)), name)
    bar = figure.add_axes((0.2, 0.12, 0.6, 0.04))
    figure.colorbar(filled, cax=bar, orientation="horizontal", ticks=[low, high])
    bar.set_xticklabels([f"worst match {round(low, 2) + 0.0:.2f}", f"best match {round(high, 2) + 0.0:.2f}"])
    return figure


def draw_levels(name: str) -> plt.Figure:
    """Map the score of one objective beside mean cosine, projection and volume."""
    figure, panels = plt.subplots(2, 2, figsize=(10.4, 6))
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.94, wspace=0.03, hspace=0.12)
    titles = {
        name: "cone",
        "Pairwise": "mean cosine",
        "OneVsAll": "projection onto the span",
        "Gram": "volume (negative)",
    }
    for axes, (kind, title) in zip(panels.flat, titles.items(), strict=True):
        _, low, high = map_score(axes, kind, coarse=6)
        axes.set_title(f"{title}, {round(low, 2) + 0.0:.2f} to {round(high, 2) + 0.0:.2f}", fontsize=15)
    return figure


def train(name: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Move free points by gradient descent; return them before and after."""
    objective = make(name).double()
    g = torch.Generator().manual_seed(1)
    z = {k: torch.randn(ROWS, 3, generator=g, dtype=torch.float64).requires_grad_() for k in NAMES}
    label = torch.arange(ROWS) % 2
    optimizer = torch.optim.Adam([*z.values(), *objective.parameters()], lr=0.03)

    def unit() -> dict[str, np.ndarray]:
        return {k: normalize(v.detach(), dim=1).numpy() for k, v in z.items()}

    before = unit()
    for _ in range(STEPS):
        optimizer.zero_grad()
        emb = Embeddings.of({k: normalize(v, dim=1) for k, v in z.items()}, target={"label": label})
        objective(emb).total.backward()
        optimizer.step()
    return before, unit()


def positive_cosine(z: dict[str, np.ndarray]) -> float:
    """Average the cosine of matches over the three pairs of modalities."""
    return float(np.mean([(z[a] * z[b]).sum(1) for a, b in (("a", "b"), ("a", "c"), ("b", "c"))]))


def draw_training(name: str) -> plt.Figure:
    """Draw the points on a globe, matches joined, before and after training."""
    figure, panels = plt.subplots(1, 2, figsize=(6.4, 3.9))
    figure.subplots_adjust(0.01, 0.1, 0.99, 0.9, wspace=0.02)
    lines = (
        "#52606d",
        "#CC79A7" if name in ("Supervised", "UnimodalTask") else "#52606d",
    )  # by label where labels matter
    for axes, z, title in zip(panels, train(name), ("before", "after"), strict=True):
        axes.add_patch(plt.Circle((0, 0), 1, facecolor="#f4f6f8", edgecolor="#9aa5b1", linewidth=1.2))
        for i in range(ROWS):
            corners = np.stack([z[k][i] for k in (*NAMES, "a")])
            axes.plot(corners[:, 1], corners[:, 2], color=lines[i % 2], linewidth=1.1, zorder=2)
        for k in NAMES:
            colour, marker = STYLE[k]
            size = {"a": 95, "b": 55, "c": 22}[k]  # the one below shows around the one above
            for front in (False, True):
                some = z[k][(z[k][:, 0] > 0) == front]
                order = {"a": 3, "b": 4, "c": 5}[k] + 3 * front
                face = colour if front else "white"
                axes.scatter(some[:, 1], some[:, 2], s=size, c=face, marker=marker, edgecolors=colour, zorder=order)
        axes.set_title(title, fontsize=15)
        axes.text(0, -1.2, f"cosine of matches {round(positive_cosine(z), 2) + 0.0:.2f}", ha="center", fontsize=13)
        axes.set(xlim=(-1.1, 1.1), ylim=(-1.3, 1.08), aspect="equal")
        axes.axis("off")
    return figure


def main() -> None:
    """Draw what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="objectives; all when left out")
    parser.add_argument("--missing", action="store_true", help="only pictures that are not there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    for name in options.names or has_pages():
        kinds = {"training": draw_training} | ({"score": draw_score} if draws_score(name) else {})
        kinds |= {"levels": draw_levels} if name == "Cone" else {}
        for kind, draw in kinds.items():
            file = FOLDER / f"{name.lower()}-{kind}.svg"
            if not (options.missing and file.exists()):
                figure = draw(name)
                figure.savefig(file, metadata={"Date": None})
                if kind == "levels":  # four maps: hundredths of a point keep the file small
                    file.write_text(re.sub(r"(\d\.\d\d)\d+", r"\1", file.read_text()))
                plt.close(figure)


if __name__ == "__main__":
    main()
