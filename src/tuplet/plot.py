"""Small pictures for a notebook: a space, the neighbours of an item, the course of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tuplet.diagnose import LayerMap
from tuplet.functional.rows import unit
from tuplet.report.ink import COLOURS, figure_of
from tuplet.types import Embeddings, InputError, in_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["history", "layers", "neighbours", "space"]
JOINED = 100
"""Items whose embeddings are joined by a line."""


def space(emb: Embeddings, *, rows: int = 2000, seed: int = 0) -> Figure:
    """Draw a space in its two widest directions, a colour per modality; lines join what belongs together.

    Args:
        emb: embeddings.
        rows: items to draw, at most; that many are drawn at random.
        seed: of the draw.

    Returns:
        A matplotlib figure. Short lines mean that matches are near; clouds apart are the modality gap.

    Raises:
        InputError: if no item is present in any modality.

    Example:
        >>> x = torch.randn(30, 8)
        >>> figure = space(Embeddings.of({"image": x, "text": x + 1}))
        >>> [axis.get_title() for axis in figure.axes]
        ['30 items, 8 dimensions']
    """
    in_range("rows", rows, 1)
    if not isinstance(emb, Embeddings):
        raise InputError(f"emb is {emb!r:.60}, expected Embeddings; read a file with tuplet.store.read(path)")
    chosen = torch.from_numpy(np.random.default_rng(seed).permutation(len(emb))[:rows])
    z = {k: unit(emb.z[k].detach()[chosen].double()).cpu() for k in emb.modalities}
    here = {k: emb.present[k][chosen].cpu() for k in z}
    everything = torch.cat([z[k][here[k]] for k in z])
    if not len(everything):
        raise InputError("no item is present in any modality; there is nothing to draw")
    centre = everything.mean(dim=0)
    _, strength, directions = torch.linalg.svd(everything - centre, full_matrices=False)
    places = {k: ((v - centre) @ directions[:2].mT).numpy() for k, v in z.items()}  # (n, 2)
    figure, (axis,) = figure_of(1, 1, (5.2, 4.6))
    for i in range(min(JOINED, len(chosen))):
        line = np.array([places[k][i] for k in z if here[k][i]])
        if len(line) > 1:
            axis.plot(*line.T, color="#999999", linewidth=0.5, alpha=0.6, zorder=0)
    for i, k in enumerate(z):
        x, y = places[k][here[k].numpy()].T
        axis.scatter(x, y, s=9, alpha=0.7, linewidths=0, color=COLOURS[i % len(COLOURS)], label=k)
    share = strength.square() / strength.square().sum().clamp_min(1e-300)
    names = [f"direction {i + 1} ({100 * float(share[i]):.0f} % of the variance)" for i in range(min(2, len(share)))]
    axis.set(xlabel=names[0], ylabel=names[-1], title=f"{len(emb)} items, {emb.z[emb.modalities[0]].shape[1]} dimensions")
    axis.legend(frameon=False)
    return figure


def neighbours(emb: Embeddings, query: int, *, modality: str | None = None, k: int = 8, labels: Sequence[Any] = ()) -> Figure:
    """Draw what is nearest to one item in every other modality, by cosine; its own match is orange.

    Args:
        emb: embeddings.
        query: position of the item.
        modality: that is asked with; the item's first one when left out.
        k: neighbours per modality.
        labels: a name per item, such as its caption; positions when left out.

    Returns:
        A matplotlib figure, a panel per modality that is searched. The title says at which place the match is.

    Raises:
        InputError: for an item or a modality that is not there.

    Example:
        >>> x = torch.eye(5)
        >>> figure = neighbours(Embeddings.of({"image": x, "text": x}), 3, k=2)
        >>> [axis.get_title() for axis in figure.axes]
        ['image -> text: match at place 1 of 5']
    """
    in_range("k", k, 1)
    if not 0 <= query < len(emb):
        raise InputError(f"query is {query}, expected a position from 0 to {len(emb) - 1}")
    if len(labels) not in (0, len(emb)):
        raise InputError(f"labels has {len(labels)} names, expected one for each of {len(emb)} items")
    own = [m for m in emb.modalities if bool(emb.present[m][query])]
    asked = modality if modality is not None else next(iter(own), "")
    if asked not in own:
        raise InputError(f"modality is {asked!r}, but item {query} has {own}")
    others = [m for m in emb.modalities if m != asked and bool(emb.present[m].any())]
    if not others:
        raise InputError(f"only {asked!r} has embeddings; there is nothing to search")
    figure, axes = figure_of(1, len(others), (3.4 * len(others), 0.6 + 0.28 * k))
    for axis, other in zip(axes, others, strict=True):
        rows = emb.present[other].nonzero()[:, 0]
        cosine = unit(emb.z[other].detach()[rows].double()) @ unit(emb.z[asked].detach()[query].double())
        order = cosine.argsort(descending=True, stable=True)
        first = rows[order[:k]].tolist()
        colours = [COLOURS[1] if row == query else COLOURS[0] for row in first]
        axis.barh(range(len(first)), cosine[order[:k]].tolist(), color=colours)
        axis.set_yticks(range(len(first)), [str(labels[row] if len(labels) else row)[:24] for row in first])
        axis.invert_yaxis()
        place = (rows[order] == query).nonzero()
        said = f"match at place {int(place[0, 0]) + 1} of {len(rows)}" if len(place) else "has no match"
        axis.set_title(f"{asked} -> {other}: {said}", fontsize="small")
        axis.set_xlabel("cosine")
    return figure


def layers(found: LayerMap) -> Figure:
    """Draw which layers of two networks hold the same.

    Args:
        found: from `tuplet.diagnose.layer_cka`.

    Returns:
        A matplotlib figure: a row per layer of the first network, a column per layer of the second one.

    Example:
        >>> from tuplet.diagnose import layer_cka
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh())
        >>> layers(layer_cka(net, net, [(range(9), torch.randn(9, 4))])).axes[0].get_title()
        'CKA of layers, 9 rows'
    """
    figure, (axis,) = figure_of(1, 1, (2.2 + 0.3 * len(found.b), 1.6 + 0.3 * len(found.a)))
    image = axis.imshow(found.values.numpy(), vmin=0, vmax=1, cmap="viridis")
    axis.set_xticks(range(len(found.b)), found.b, rotation=90)
    axis.set_yticks(range(len(found.a)), found.a)
    axis.set_title(f"CKA of layers, {found.n} rows")
    figure.colorbar(image, ax=axis)
    return figure


def history(entries: Sequence[Mapping[str, float | int]], *, best: int | None = None) -> Figure:
    """Draw training and validation loss by epoch.

    Args:
        entries: ``run.history``.
        best: epoch to mark, from 1.

    Returns:
        A matplotlib figure.

    Raises:
        InputError: if there is no epoch.

    Example:
        >>> figure = history([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.5}])
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['training']
    """
    if not entries:
        raise InputError("history is empty; train for an epoch first")
    figure, (axis,) = figure_of(1, 1, (5.2, 3.2))
    for i, (key, name) in enumerate((("loss", "training"), ("val", "validation"))):
        seen = [(e["epoch"], e[key]) for e in entries if key in e]
        if seen:
            axis.plot(*zip(*seen, strict=True), "o-", markersize=3, color=COLOURS[i], label=name)
    if best is not None:
        axis.axvline(best, color="#999999", linewidth=0.8, linestyle=":", label="best epoch")
    axis.set(xlabel="epoch", ylabel="loss")
    axis.legend(frameon=False)
    return figure
