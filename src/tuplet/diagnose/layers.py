"""Which layers of two networks hold the same: linear CKA of every layer with every other, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from tuplet.frames import frame, html
from tuplet.types import Batch, InputError, evaluating


@dataclass(frozen=True, slots=True)
class LayerMap:
    """Similarity of layers.

    Attributes:
        a: names of the first network's layers, in the order in which they are called.
        b: likewise of the second one.
        values: float64 ``(len(a), len(b))``, unbiased linear CKA: at most 1, around 0 for layers that share nothing, NaN for
            one that does not vary.
        n: rows that were seen.
    """

    a: tuple[str, ...]
    b: tuple[str, ...]
    values: Tensor
    n: int

    def to_frame(self) -> Any:
        """Return a pandas frame, a row per layer of the first network."""
        return frame(self._rows()).set_index("layer")

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {"layer": name, **dict(zip(self.b, row, strict=True))}
            for name, row in zip(self.a, self.values.tolist(), strict=True)
        ]

    def _repr_html_(self) -> str:
        return html(f"CKA of layers, {self.n} rows", self._rows())


@torch.no_grad()
def layer_cka(
    a: nn.Module, b: nn.Module, rows: Iterable[Any], others: Iterable[Any] | None = None, *, layers: Sequence[str] = ()
) -> LayerMap:
    r"""Compare every layer of a network with every layer of another one on the same rows.

    .. math:: \mathrm{CKA}_{st} = \frac{\sum_i n_i \mathrm{HSIC}_1(K^s_i, L^t_i)}
        {\sqrt{\sum_i n_i \mathrm{HSIC}_1(K^s_i, K^s_i)} \sqrt{\sum_i n_i \mathrm{HSIC}_1(L^t_i, L^t_i)}}

    over batches :math:`i`, with the unbiased :math:`\mathrm{HSIC}_1` of the Gram matrices of flattened outputs.

    Args:
        a: first network; in evaluation mode meanwhile.
        b: second one, possibly the same.
        rows: batches for both, of four rows or more: ``(ids, x)`` with ids ``(n,)`` and a tensor ``x`` (a tuple or a dict
            gives several arguments), or `tuplet.Batch`.
        others: batches for the second network, which may read something else of the same rows: the ids must be the same.
        layers: names of modules to compare, as ``named_modules`` has them in either network; those without children when left
            out.

    Returns:
        The `LayerMap`. A module that is called several times counts with its last output; outputs that are no tensor with a
        row per id are left out.

    Raises:
        InputError: if ids differ, repeat or do not match the rows, a batch is too small, or no layer is left.

    Notes:
        Memory holds the Gram matrices of one batch of ``n`` rows. It costs ``n^2`` times all widths, and ``n^2`` per pair.

    Source:
        Nguyen, Raghu and Kornblith (2021), Do wide and deep networks learn the same things?; Song et al. (2012) for HSIC.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> found = layer_cka(net, net, [(range(32), torch.randn(32, 4))])
        >>> found.a, round(float(found.values[1, 1]), 4)
        (('0', '1', '2'), 1.0)
    """
    seen: set[Any] = set()
    names: list[tuple[str, ...]] = []
    cross, own = torch.zeros(0), [torch.zeros(0), torch.zeros(0)]
    pairs = ((batch, batch) for batch in rows) if others is None else zip_longest(rows, others)
    with evaluating(a), evaluating(b):
        for pair in pairs:
            n = _checked(pair, seen)
            found = [_outputs(net, batch, n, layers) for net, batch in zip((a, b), pair, strict=True)]
            if not names:
                names = [tuple(side) for side in found]
                cross = torch.zeros(len(names[0]), len(names[1]), dtype=torch.float64)
                own = [torch.zeros(len(side), dtype=torch.float64) for side in names]
            grams = [torch.stack([_centred(side[k]) for k in of]) for side, of in zip(found, names, strict=True)]  # (L, n * n)
            weight = 1 / (n - 3)  # HSIC is the product over n (n - 3); its sum counts the n rows of the batch
            cross += weight * (grams[0] @ grams[1].mT)
            own = [total + weight * g.square().sum(dim=1) for total, g in zip(own, grams, strict=True)]
    if not seen:
        raise InputError("rows is empty; give one batch or more")
    scale = [torch.where(v > 0, v, torch.nan).sqrt() for v in own]
    return LayerMap(names[0], names[1], cross / scale[0][:, None] / scale[1], len(seen))


def _checked(pair: tuple[Any, Any], seen: set[Any]) -> int:
    """Check that both sides of a batch are the same new rows; return how many."""
    if pair[0] is None or pair[1] is None:
        raise InputError("rows and others have different numbers of batches; give the same ids on both sides")
    ids, other = ([*_parts(batch)[0]] for batch in pair)
    ids, other = ([v.item() if hasattr(v, "item") else v for v in side] for side in (ids, other))
    if ids != other:
        at = next((i for i, (x, y) in enumerate(zip(ids, other, strict=False)) if x != y), min(len(ids), len(other)))
        raise InputError(
            f"ids of the two sides differ from row {at} of a batch on ({ids[at : at + 1]}, {other[at : at + 1]}); sort both"
        )
    if len(ids) < 4:
        raise InputError(f"a batch has {len(ids)} rows, expected at least 4; give larger batches, or leave the last one out")
    if len(set(ids)) < len(ids) or not seen.isdisjoint(ids):
        raise InputError("ids repeat; every row counts once")
    seen.update(ids)
    return len(ids)


def _parts(batch: Any) -> tuple[Any, Any]:
    """Take a batch apart into ids and what the network reads."""
    if isinstance(batch, Batch):
        return batch.index, batch
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise InputError(f"a batch is a {type(batch).__name__}, expected (ids, x) or a tuplet.Batch")
    return batch[0], batch[1]


def _outputs(net: nn.Module, batch: Any, n: int, layers: Sequence[str]) -> dict[str, Tensor]:
    """Run a network and keep the output of its layers, in the order of their calls."""
    modules = dict(net.named_modules())
    chosen = [k for k in modules if k in layers] if layers else [k for k, m in modules.items() if k and not any(m.children())]
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            z = output[0] if isinstance(output, tuple) else output
            if isinstance(z, Tensor) and z.ndim > 0 and len(z) == n and z.is_floating_point():
                kept[name] = z.detach()

        return hook

    hooks = [modules[k].register_forward_hook(keep(k)) for k in chosen]
    try:
        x = _parts(batch)[1]
        net(**x) if isinstance(x, Mapping) else net(*x) if isinstance(x, tuple) else net(x)
    finally:
        for hook in hooks:
            hook.remove()
    if not kept:
        raise InputError(
            f"no layer of {type(net).__name__} gives a row per id; name some in layers, such as {list(modules)[1:4]}"
        )
    return kept


def _centred(z: Tensor) -> Tensor:
    """Return the Gram matrix of some rows without its diagonal, centred so that products are unbiased; flat ``(n * n,)``."""
    x = z.flatten(1).double()
    n = len(x)
    gram = x @ x.mT
    gram.fill_diagonal_(0)
    rows = gram.sum(dim=1) / (n - 2)
    gram = gram - rows[:, None] - rows + rows.sum() / (n - 1)
    return gram.fill_diagonal_(0).flatten()
