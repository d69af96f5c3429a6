"""Rows with absent modalities: the same loss over the modalities that they have, one batch per pattern of presence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from tuplet.types import Embeddings

Terms = Callable[[Embeddings], dict[str, Tensor]]

POSITION = "pattern.position"
"""Name in ``aux`` of the rows' places in the whole batch."""


def over_patterns(emb: Embeddings, terms: Terms) -> dict[str, Tensor]:
    r"""Evaluate a loss per pattern of presence and average over rows.

    .. math:: L = \frac1N \sum_{S : |S| \ge 2} \; \sum_{i : S_i = S} \ell_S(i, C_S), \qquad C_S = \{ j : S_j \supseteq S \}

    where :math:`S_i` are the modalities present in row ``i`` and :math:`\ell_S(i, C_S)` is the loss of row ``i`` over the
    modalities ``S``, contrasted with all rows that have them.

    Args:
        emb: the embeddings.
        terms: the loss of embeddings in which everything is present, as the mean over the rows they own.

    Returns:
        The terms. The scores of a query are always taken over the same modalities, so they can be compared. Rows with
        fewer than two modalities, and those that share theirs with no other row, do not count in ``N``.

    Notes:
        At most ``min(B, 2^M)`` batches, each with as many rows as have its modalities. With nothing absent, one. Under
        ``torch.compile`` patterns cannot be read from the data and only complete rows count.

    Source:
        Our definition; OVA-IB, GRAM and Symile train on complete tuples.

    Example:
        >>> e = torch.eye(4)
        >>> emb = Embeddings.of({"a": e, "b": e}, present={"b": torch.tensor([True, True, False, False])})
        >>> over_patterns(emb, lambda part: {"rows": torch.tensor(float(len(part)))})
        {'rows': tensor(2.)}
    """
    names = emb.modalities
    present = torch.stack([emb.present[k] for k in names], dim=1)
    if torch.compiler.is_compiling() or bool(present.all()):
        return terms(emb)
    patterns, which = torch.unique(present, dim=0, return_inverse=True)
    candidates = (present[None] | ~patterns[:, None]).all(dim=2)
    usable = (patterns.sum(dim=1) >= 2) & (candidates.sum(dim=1) >= 2)
    count = int(usable[which].sum())
    own = torch.zeros_like(which, dtype=torch.bool)
    own[emb.rows] = True
    world = len(emb) / (emb.rows.stop - emb.rows.start)
    totals: dict[str, Tensor] = {}
    for i in usable.nonzero()[:, 0].tolist():
        mine = own & (which == i)
        first = int(mine.sum())
        order = torch.cat([mine.nonzero()[:, 0], (candidates[i] & ~mine).nonzero()[:, 0]])
        kept = [k for k, there in zip(names, patterns[i].tolist(), strict=True) if there]
        # a process without such a row still evaluates the loss: random draws must stay in step
        part = terms(_rows(emb, kept, order, slice(0, max(first, 1))))
        for name, value in part.items():
            totals[name] = totals.get(name, 0.0) + value * (first * world / count)
    return totals or terms(emb)


def _rows(emb: Embeddings, names: list[str], order: Tensor, rows: slice) -> Embeddings:
    """Take some modalities of some rows, all of them present."""
    everything = torch.ones(len(order), dtype=torch.bool, device=order.device)
    return replace(
        emb,
        z={k: emb.z[k][order] for k in names},
        h={k: emb.h[k][order] for k in names},
        present=dict.fromkeys(names, everything),
        index=emb.index[order],
        group=None if emb.group is None else emb.group[order],
        target={k: v[order] for k, v in emb.target.items()},
        aux={k: v[order] for k, v in emb.aux.items()} | {POSITION: order},
        rows=rows,
    )
