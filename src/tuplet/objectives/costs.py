"""What a step of an objective costs: its operations are counted on tensors without data, then weighed by this machine."""

from __future__ import annotations

import copy
import math
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from tuplet.functional._blocks import reuse_memory
from tuplet.types import Embeddings, InputError, Loss, in_range

Rates = tuple[float, float, float, float]
NEAR = 4 * 2**20
"""Bytes of an operation up to which they are taken to lie in a cache."""


@dataclass(frozen=True)
class Cost:
    """One step of an objective on embeddings that are ready: its value and the gradient of every embedding.

    Attributes:
        flops: of matrix products, a multiplication and an addition being two.
        bytes: read and written by all operations.
        cached: those of them that belong to operations of less than 4 MiB.
        operations: number of kernels, each of which costs a few microseconds whatever its size.
        memory: largest number of bytes held at once, embeddings and gradients included.
        seconds: what these take at the rates of a machine.

    Source:
        Elementary.

    Example:
        >>> from tuplet.objectives import Pairwise
        >>> cost(Pairwise(), modalities=2, batch=100, dim=8, rates=(1e10, 1e9, 1e10, 1e-5)).flops == 3 * 2 * 100 * 100 * 8
        True
    """

    flops: int
    bytes: int
    cached: int
    operations: int
    memory: int
    seconds: float


def cost(
    objective: Callable[[Embeddings], Loss],
    *,
    modalities: int | Sequence[str] = 3,
    batch: int = 1024,
    dim: int = 256,
    rates: Rates | None = None,
) -> Cost:
    r"""Predict time and memory of one step of an objective, without running it.

    .. math:: t = F / r_F + b / r_b + c / r_c + n\, s

    for :math:`F` flops of matrix products, :math:`b` bytes in large operations, :math:`c` in those that a cache holds, and
    :math:`n` operations. The objective runs on tensors that have shapes and no data, in float32.

    Args:
        objective: any objective. Its tests of the data find all rows present, of unit length and usual, and what is repeated
            until it converges is counted once: `TransportConsistency` and couplings of `Structure` take several times longer.
        modalities: how many, or their names; all are present in every row.
        batch: rows of a step, on all devices together.
        dim: width of the embeddings.
        rates: flops, bytes and cached bytes a second, and seconds of an operation; measured once on this machine's CPU and
            number of threads when left out, in about a second.

    Returns:
        The `Cost`, encoders aside.

    Raises:
        InputError: for sizes below 1, or an objective that needs the data themselves.

    Source:
        Elementary.

    Example:
        >>> from tuplet.objectives import Gram
        >>> small, large = (cost(Gram(), batch=b, rates=(1e11, 1e9, 1e10, 1e-5)) for b in (512, 1024))
        >>> 3.5 < large.flops / small.flops < 4.5
        True
    """
    in_range("batch", batch, 1)
    in_range("dim", dim, 1)
    names = [f"m{k}" for k in range(modalities)] if isinstance(modalities, int) else list(modalities)
    try:
        done = _traced(objective, names, batch, dim)
    except (RuntimeError, NotImplementedError) as error:
        what = str(error).splitlines()[0]
        raise InputError(f"objective cannot be run on tensors without data ({what}); time it on some instead") from None
    flops, far, near, each = _rates(torch.get_num_threads()) if rates is None else rates
    seconds = done.flops / flops + (done.bytes - done.cached) / far + done.cached / near + done.operations * each
    return Cost(done.flops, done.bytes, done.cached, done.operations, done.peak, seconds)


def _traced(objective: Callable[[Embeddings], Loss], names: Sequence[str], batch: int, dim: int) -> _Count:
    """Run a step on the device that holds no data."""
    if isinstance(objective, nn.Module):
        objective = copy.deepcopy(objective).to("meta")
    count = _Count()
    with count:
        z = {k: torch.empty(batch, dim, device="meta", requires_grad=True) for k in sorted(names)}
        there = {k: torch.ones(batch, dtype=torch.bool, device="meta") for k in z}
        aux = {f"{kind}.{k}": v for kind in ("input", "view0", "view1") for k, v in z.items()}
        rows = torch.arange(batch, device="meta")
        emb = Embeddings(z=z, h=z, present=there, index=rows, group=None, target={}, aux=aux, rows=slice(0, batch))
        count.flops = count.bytes = count.cached = count.operations = 0
        objective(emb.known(complete=True)).total.backward()
    return count


class _Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what passes: flops of matrix products, bytes of operands and results, operations, memory that is held."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.bytes = self.cached = self.operations = self.peak = self._live = 0
        self._held: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, aten = kwargs or {}, torch.ops.aten
        if func is aten._local_scalar_dense.default and args[0].is_meta:  # a number that is asked for
            return int(hasattr(args[0], "usual")) if args[0].dtype == torch.bool else 1.0
        if func is aten._to_copy.default and args[0].is_meta and kwargs.get("device") == torch.device("cpu"):
            return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        if func is aten.nonzero.default and args[0].is_meta:  # no row needs a second look
            return torch.empty(0, args[0].ndim, dtype=torch.int64, device="meta")
        out = func(*args, **kwargs)
        if func is aten.all.default:
            out.usual = True  # whether all rows are there; whether any is odd, or a number too large, is false
        given, results = ([t for t in tree_leaves(x) if isinstance(t, Tensor)] for x in ((args, kwargs), out))
        known = {t.untyped_storage()._cdata for t in given}
        new = [t for t in results if t.untyped_storage()._cdata not in known]
        for storage in (t.untyped_storage() for t in new):
            self._hold(storage)
        if new or func._schema.is_mutable:  # views cost nothing
            self.operations += 1
            size = sum(map(_size, (*given, *results)))
            self.bytes += size
            self.cached += size if size < NEAR else 0
            if func._overloadpacket in flop_registry:
                self.flops += flop_registry[func._overloadpacket](*args, **kwargs, out_val=out)
        return out

    def _hold(self, storage: Any) -> None:
        key: int = storage._cdata
        if key in self._held:
            return
        self._held[key] = storage.nbytes()
        self._live += storage.nbytes()
        self.peak = max(self.peak, self._live)

        def free() -> None:
            self._live -= self._held.pop(key)

        weakref.finalize(storage, free)


def _size(t: Tensor) -> int:
    """Bytes of a tensor, of a repeated row or column once."""
    return t.element_size() * math.prod(n for n, step in zip(t.shape, t.stride(), strict=True) if step)


@lru_cache
def _rates(threads: int) -> Rates:
    """Measure a machine: large matrix products, passes over large and small ones, and tiny operations with gradients."""
    clock = time.process_time if threads == 1 else time.perf_counter  # what else the machine does counts less
    a, tiny = torch.randn(1024, 256), torch.randn(4, 4, requires_grad=True)

    def passes(x: Tensor) -> None:
        ((x - x.amax(1, keepdim=True)).exp() * x + x).sum(1)

    def chain() -> None:
        ((tiny * tiny).exp() @ tiny).sum().backward()  # type: ignore[no-untyped-call]

    def measured(run: Callable[[], object]) -> tuple[float, _Count]:
        count = _Count()
        with count:
            run()
        times, end = list[float](), clock() + 0.3
        while not times or clock() < end:
            began = clock()
            run()
            times.append(clock() - began)
        return sorted(times)[len(times) // 2], count

    reuse_memory()
    product, chained = measured(lambda: a @ a.mT), measured(chain)
    moved = [measured(partial(passes, torch.randn(n, n))) for n in (1024, 256)]
    far, near = (count.bytes / seconds for seconds, count in moved)
    return product[1].flops / product[0], far, near, chained[0] / chained[1].operations
