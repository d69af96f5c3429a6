"""Rows with absent modalities: the same loss over the modalities that they have, one batch per pattern of presence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations

import torch
from torch import Tensor

from tuplet.types import Embeddings, InputError

Terms = Callable[[Embeddings], dict[str, Tensor]]

POSITION = "pattern.position"  # name in ``aux`` of the rows' places in the whole batch

COUNTED = "pattern.counted"
"""Name in ``aux`` of the rows whose losses are summed; the others are there to be contrasted with."""

MOST_COMPILED = 5  # modalities whose patterns are all compiled


def without_gaps(emb: Embeddings) -> bool:
    """Tell whether all rows are said to be complete where a look at them is impossible or would wait."""
    return emb.complete and (torch.compiler.is_compiling() or not emb.index.is_cpu)


def over_patterns(emb: Embeddings, terms: Terms) -> dict[str, Tensor]:
    r"""Evaluate a loss per pattern of presence and average over rows."""
    names = emb.modalities
    if without_gaps(emb):
        return terms(emb)
    if torch.compiler.is_compiling():
        return _over_every_set(emb, terms)
    present = torch.stack([emb.present[k] for k in names], dim=1)
    if bool(present.all()):
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


def _over_every_set(emb: Embeddings, terms: Terms) -> dict[str, Tensor]:
    """Evaluate the whole batch once per set of modalities, by masks, which gives every tensor a fixed shape."""
    names = emb.modalities
    if len(names) > MOST_COMPILED:
        raise InputError(
            f"z has {len(names)} modalities under torch.compile, which compiles the loss of every set of them, expected at "
            f"most {MOST_COMPILED}; leave the objective uncompiled (torch.compiler.disable) and compile the encoders only"
        )
    present = torch.stack([emb.present[k] for k in names], dim=1)
    totals: dict[str, Tensor] = {}
    count = present.new_zeros((), dtype=torch.long)
    for size in range(2, len(names) + 1):
        for kept in combinations(range(len(names)), size):
            with_all = present[:, list(kept)].all(dim=1)
            exactly = with_all & (present.sum(dim=1) == size) & (with_all.sum() >= 2)
            chosen = [names[i] for i in kept]
            part = replace(restricted(emb, chosen), aux=emb.aux | {COUNTED: exactly})
            for name, value in terms(part).items():  # summed over the counted rows, divided by all that have these
                totals[name] = totals.get(name, 0.0) + value * with_all.sum()
            count = count + exactly.sum()
    return {name: value / count.clamp_min(1) for name, value in totals.items()}


def restricted(emb: Embeddings, names: Sequence[str]) -> Embeddings:
    """Take some modalities of all rows."""
    z, h, present = ({k: side[k] for k in names} for side in (emb.z, emb.h, emb.present))
    return replace(emb, z=z, h=h, present=present).known(complete=emb.complete)


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
