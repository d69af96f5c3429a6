"""The types every room speaks: Batch, Embeddings, Loss, Traits, and the one error for bad input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tuplet.errors import InputError as InputError
from tuplet.errors import importing as importing
from tuplet.errors import in_range as in_range
from tuplet.errors import one_of as one_of
from tuplet.errors import positive as positive
from tuplet.errors import some_of as some_of
from tuplet.frames import html

Kind = Literal["vector", "sequence", "padded", "image", "signal", "text"]
"""What a row of a modality is: numbers without order, steps ``(T, d)``, steps padded with zeros ``(T, d)``, a picture
``(C, H, W)``, channels in time ``(C, T)``, a string."""

Start = Literal["random", "gcca"]
"""What untrained encoders give: what random weights make of a row, or the linear closed form of the training rows."""


def kind_of(shape: Sequence[int]) -> Kind | None:
    """Say what a row of this shape is."""
    if len(shape) == 1:
        return "vector"
    if len(shape) == 2 and shape[0] == 1:
        return "signal"
    if len(shape) == 2 and shape[0] > shape[1] > 1:
        return "sequence"
    if len(shape) == 3 and (shape[2] > 4 or shape[0] <= 4):
        return "image"
    return None


@dataclass(frozen=True, slots=True)
class Batch:
    """What a data set hands to a model: ``B`` rows of paired inputs.

    Attributes:
        inputs: modality name -> tensor with ``B`` rows, or a nested dict of such tensors.
        present: modality name -> bool ``(B,)``. A missing row is zero-filled, never dropped.
        index: int64 ``(B,)``, stable sample ids.
        group: int64 ``(B,)`` or None; rows of an equal group are not negatives of each other.
        target: target name -> tensor with ``B`` rows.
        aux: any other per-row tensor that an encoder or an objective needs, such as ``sensor``, the id of the sensor.
    """

    inputs: dict[str, Any]
    present: dict[str, Tensor]
    index: Tensor
    group: Tensor | None = None
    target: dict[str, Tensor] = field(default_factory=dict)
    aux: dict[str, Tensor] = field(default_factory=dict)

    def __repr__(self) -> str:
        shapes = {k: v.shape[1:] if isinstance(v, Tensor) else "nested" for k, v in self.inputs.items()}
        return _rows_repr("Batch", self, shapes)

    def __len__(self) -> int:
        """Return the number of rows ``B``."""
        return int(self.index.shape[0])

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with every tensor changed, for instance moved to a device or cut to some rows."""

        def through(value: Any) -> Any:
            if isinstance(value, dict):
                return {k: through(v) for k, v in value.items()}
            return change(value) if isinstance(value, Tensor) else value

        return Batch(*(through(getattr(self, f.name)) for f in fields(self)))

    def pin_memory(self) -> Batch:
        """Return the batch in memory that a GPU copies from while other work goes on."""
        return self.map(Tensor.pin_memory)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Embeddings of ``B`` tuples in ``M`` modalities; what objectives, evaluation and diagnostics read.

    Attributes:
        z: modality -> ``(B, D)`` projected embedding. Modalities are always visited in sorted order.
        h: modality -> ``(B, H_m)`` encoder representation before projection; what probes and task heads read.
        present: modality -> bool ``(B,)``; rows of ``z`` and ``h`` are zero where it is False.
        index: int64 ``(B,)`` sample ids.
        group: int64 ``(B,)`` or None; rows of an equal group are not negatives of each other.
        target: target name -> tensor with ``B`` rows.
        aux: any other per-row tensor that an objective needs.
        rows: the slice of rows this process owns (all of them in one process).
        complete: whether every row is said to have every modality, by `known`; ``replace`` forgets it, a change in place not.
    """

    z: dict[str, Tensor]
    h: dict[str, Tensor]
    present: dict[str, Tensor]
    index: Tensor
    group: Tensor | None
    target: dict[str, Tensor]
    aux: dict[str, Tensor]
    rows: slice
    complete: bool = field(default=False, init=False)

    def known(self, *, complete: bool) -> Embeddings:
        """Return the same with ``complete`` as told; compiled losses and those on a GPU believe it, even if it is wrong."""
        same = replace(self)
        object.__setattr__(same, "complete", complete)
        return same

    @classmethod
    def of(
        cls,
        z: Mapping[str, Any],
        *,
        present: Mapping[str, Any] | None = None,
        group: Any = None,
        h: Mapping[str, Any] | None = None,
        target: Mapping[str, Any] | None = None,
        aux: Mapping[str, Any] | None = None,
    ) -> Embeddings:
        """Build embeddings by hand from one ``(B, D)`` tensor or NumPy array per modality.

        Args:
            z: modality -> floating ``(B, D)``; same ``B``, ``D``, dtype and device for all.
            present: modality -> bool or 0 and 1, ``(B,)``; names left out are fully present. Missing rows are zero-filled,
                so they may hold anything, NaN included.
            group: ``(B,)`` integers or strings, also as a list; rows of an equal group are not negatives of each other.
            h: modality -> ``(B, H_m)`` encoder representation; ``z`` when left out.
            target: target name -> tensor or array with ``B`` rows.
            aux: name -> any other tensor or array with ``B`` rows, such as ``sensor``.

        Returns:
            Embeddings that own all their rows.

        Raises:
            InputError: naming the argument, when shapes, dtypes, devices or names disagree or a present row is not
                finite.

        Example:
            >>> import torch
            >>> emb = Embeddings.of({"touch": torch.randn(4, 8), "sound": torch.randn(4, 8)})
            >>> emb.modalities, len(emb)
            (('sound', 'touch'), 4)
        """
        z = {k: _tensor(f"z[{k!r}]", v) for k, v in z.items()}
        h = None if h is None else {k: _tensor(f"h[{k!r}]", v) for k, v in h.items()}
        target = {k: _tensor(f"target[{k!r}]", v) for k, v in (target or {}).items()}
        first, size = _check_z(z)
        device = z[first].device
        group = None if group is None else _groups(group, device)
        names = sorted(z)
        for argument, given in (("present", present), ("h", h)):
            if unknown := sorted(set(given or {}) - set(names)):
                raise InputError(f"{argument} names {unknown}, which z does not have; z has {names}")
        if h is not None and set(h) != set(names):
            raise InputError(f"h has modalities {sorted(h)}, expected {names}; give one per modality of z")
        mask = {name: _mask(name, (present or {}).get(name), size, device, first) for name in names}
        filled = {k: torch.where(mask[k][:, None], z[k], 0.0) if k in (present or {}) else z[k] for k in names}
        for name, value in filled.items():
            if torch.compiler.is_compiling() or bool(torch.isfinite(value.detach().sum())):
                continue  # one pass; a sum may also overflow
            if not bool(torch.isfinite(value).all()):
                bad = int((~torch.isfinite(value).all(dim=1)).sum())
                raise InputError(
                    f"z[{name!r}] has NaN or infinite values in {bad} of {size} rows; mark those rows as missing with "
                    f"present[{name!r}] or find where they arise"
                )
        if group is not None and group.shape != (size,):
            raise InputError(f"group has shape {tuple(group.shape)}, expected ({size},) to match z[{first!r}]")
        aux = {k: _tensor(f"aux[{k!r}]", v) for k, v in (aux or {}).items()}
        for argument, values in (("target", target), ("aux", aux)):
            for name, value in values.items():
                if value.shape[:1] != (size,):
                    raise InputError(f"{argument}[{name!r}] has {tuple(value.shape)}, expected {size} rows to match z")
        return cls(
            z=filled,
            h=filled if h is None else {name: torch.where(mask[name][:, None], h[name], 0.0) for name in names},
            present=mask,
            index=torch.arange(size, device=device),
            group=group,
            target=dict(target or {}),
            aux=aux,
            rows=slice(0, size),
        )

    def __repr__(self) -> str:
        return _rows_repr("Embeddings", self, {k: v.shape[1:] for k, v in self.z.items()})

    def _repr_html_(self) -> str:
        rows = [{"modality": k, "width": int(self.z[k].shape[1]), "items": int(self.present[k].sum())} for k in self.modalities]
        return html(f"{len(self)} items", rows)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Return the modality names in sorted order."""
        return tuple(sorted(self.z))

    def __len__(self) -> int:
        """Return the number of rows ``B``."""
        return int(self.index.shape[0])


@dataclass(frozen=True, slots=True)
class Loss:
    """The value of an objective.

    Attributes:
        total: scalar to differentiate; its mean over processes is the global loss.
        terms: name -> detached scalar, already weighted; they sum to ``total``.
    """

    total: Tensor
    terms: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Traits:
    """What an objective is, for tests, tables and documentation.

    Attributes:
        modalities: smallest and largest number of modalities, None for no bound.
        symmetric: True when renaming the modalities does not change the value.
        rowwise: True when the loss is a mean of per-row losses, so that processes may share the rows.
        missing: what a row with absent modalities adds: every ``pairs`` of which both are present; its ``patterns``, the
            same loss over the modalities it has (two or more) beside the rows that have them too; nothing, unless
            ``complete``.
        sign_blind: True when flipping the sign of one modality does not change the score.
        cost: leading cost of one evaluation in ``M``, ``B`` and ``D``.
        needs: what the trainer must add to ``aux``: ``inputs`` (``input.<modality>``), ``views`` (``view0.<modality>`` and
            ``view1.<modality>``).
    """

    modalities: tuple[int, int | None] = (2, None)
    symmetric: bool = True
    rowwise: bool = True
    missing: Literal["pairs", "patterns", "complete"] = "complete"
    sign_blind: bool = False
    cost: str = "B^2 D"
    needs: tuple[str, ...] = ()


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Be in evaluation mode meanwhile; then every module is in its own mode again."""
    modes = {m: m.training for m in net.modules()}
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _rows_repr(what: str, rows: Batch | Embeddings, shapes: Mapping[str, Any]) -> str:
    """Say in a line what rows hold: modalities with their shapes, absent entries, targets and groups."""
    said = []
    for name, shape in shapes.items():
        gone = int((~rows.present[name]).sum()) if name in rows.present else 0
        size = shape if isinstance(shape, str) else " x ".join(map(str, shape))
        said.append(f"{name} {size}" + (f" (absent in {gone})" if gone else ""))
    more = [f"target: {', '.join(rows.target)}"] * bool(rows.target) + ["with groups"] * (rows.group is not None)
    return f"{what}({'; '.join([f'{len(rows)} rows', ', '.join(said), *more])})"


def _check_z(z: dict[str, Tensor]) -> tuple[str, int]:
    if not z:
        raise InputError("z is empty; give at least one modality, {name: (B, D) tensor}")
    first = min(z)
    for name, value in z.items():
        if value.ndim != 2:
            raise InputError(f"z[{name!r}] has shape {tuple(value.shape)}, expected (B, D); flatten it or pool it first")
        if not value.is_floating_point():
            raise InputError(f"z[{name!r}] has dtype {value.dtype}, expected a floating dtype; call .float() on it")
        if value.shape[0] != z[first].shape[0]:
            raise InputError(
                f"z[{name!r}] has {value.shape[0]} rows, expected {z[first].shape[0]} to match z[{first!r}]; "
                f"row i of every modality must be the same thing"
            )
        if value.shape[1] != z[first].shape[1]:
            raise InputError(
                f"z[{name!r}] has D = {value.shape[1]}, expected {z[first].shape[1]} as z[{first!r}] has; project all alike"
            )
        if value.dtype != z[first].dtype:
            raise InputError(f"z[{name!r}] has dtype {value.dtype}, expected {z[first].dtype} to match z[{first!r}]")
        if value.device != z[first].device:
            raise InputError(f"z[{name!r}] is on {value.device}, expected {z[first].device} to match z[{first!r}]")
    return first, int(z[first].shape[0])


def _tensor(name: str, value: Any) -> Tensor:
    """Return a tensor as it is, and anything else that holds numbers as a tensor."""
    if isinstance(value, Tensor):
        return value
    try:
        return torch.as_tensor(value if hasattr(value, "__array__") else list(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name} is no array of numbers ({str(error).splitlines()[0]}); give a tensor or a NumPy array"
        ) from None


def _groups(value: Any, device: torch.device) -> Tensor:
    """Return group ids as whole numbers; strings are numbered in sorted order."""
    if isinstance(value, Tensor):
        return value
    ids = [str(v) if isinstance(v, str) else v for v in (value.tolist() if hasattr(value, "tolist") else value)]
    if any(isinstance(v, str) for v in ids):
        codes = {v: i for i, v in enumerate(sorted({str(v) for v in ids}))}
        ids = [codes[str(v)] for v in ids]
    return _tensor("group", ids).to(device)


def _mask(name: str, given: Any, size: int, device: torch.device, first: str) -> Tensor:
    if given is None:
        return torch.ones(size, dtype=torch.bool, device=device)
    mask = _tensor(f"present[{name!r}]", given).to(device)
    if mask.dtype != torch.bool:
        if not bool(((mask == 0) | (mask == 1)).all()):
            raise InputError(f"present[{name!r}] has dtype {mask.dtype} and other values than 0 and 1, expected bool")
        mask = mask != 0
    if mask.shape != (size,):
        raise InputError(f"present[{name!r}] has shape {tuple(mask.shape)}, expected ({size},) to match z[{first!r}]")
    return mask
