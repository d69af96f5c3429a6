"""What a data set is to the library: columns by modality, targets, groups, a split, and rows as batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from tuplet.data._columns import positions_in
from tuplet.data._mapped import ByRow
from tuplet.data._scaling import Column
from tuplet.data.preprocessing import Modality, Preprocessing
from tuplet.data.splits import PARTS, Split
from tuplet.frames import html
from tuplet.types import Batch, InputError, in_range, kind_of, one_of, some_of

Part = Literal["train", "val", "test"]
SHOWN = 4
"""Modalities that have a line of their own in ``repr``; of more, the others share one."""


@dataclass(frozen=True, slots=True)
class Target:
    """One target of a source.

    Attributes:
        kind: ``"class"`` (int64 codes) or ``"real"`` (float32).
        size: number of classes, or number of dimensions.
        unit: physical unit of a real target; empty when unknown.
        names: names of the classes, in the order of their codes.
    """

    kind: Literal["class", "real"]
    size: int
    unit: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a data set comes from.

    Attributes:
        title: what it is called.
        citation: how its authors ask to be cited.
        licence: under what it may be used.
        origin: where it was taken from.
        sha256: checksum of the shipped or loaded file; empty for arrays in memory.
        notes: what was taken as what where the file did not say so.
    """

    title: str
    citation: str = ""
    licence: str = ""
    origin: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A column in memory: scaled float32, zero where missing; pictures of bytes stay bytes until a batch asks for them."""

    values: Tensor
    checksum: str  # of the values as given, before scaling, whose last bits depend on the processor


@dataclass(frozen=True, slots=True)
class Hidden:
    """What `hide` hides: each entry of some modalities (None: all), with one probability."""

    rate: float
    seed: int
    modalities: tuple[str, ...] | None
    plain: str  # name of the source before

    def kept(self, part: Part, modality: str, n: int) -> Tensor:
        """Draw which rows of a part keep a modality, bool ``(n,)``; the same in every process."""
        if self.modalities is not None and modality not in self.modalities:
            return torch.ones(n, dtype=torch.bool)
        number = int.from_bytes(hashlib.sha256(f"{self.seed} {part} {modality}".encode()).digest()[:7], "big")
        return torch.rand(n, generator=torch.Generator().manual_seed(number)) >= self.rate


@dataclass(frozen=True, eq=False)
class Source:
    """A paired data set; `from_arrays`, `from_columns`, `from_table` and `read` make one.

    Attributes:
        name: what it is called.
        columns: modality -> its rows, in memory or read on demand.
        preprocessing: modality -> how raw rows become those of a batch; also its shape, kind and unit.
        present: modality -> bool ``(n,)``, where it was recorded.
        values: target -> int64 ``(n,)`` class codes (-1: none) or float32 ``(n, dims)``.
        group: int64 ``(n,)`` or None.
        targets: kinds and sizes.
        split: row numbers of the three parts.
        provenance: where the data come from.
        content: checksum of what columns on demand read, and of how they are scaled; empty for columns in memory.
        contrast: ``"groups"`` if batches carry the groups, so that rows of one group are not negatives of each other.
        hidden: what is hidden of training and validation rows.
        aux: targets that batches also carry in ``aux``, where encoders and objectives find them, such as ``sensor``.
    """

    name: str
    columns: dict[str, Held | Column]
    preprocessing: dict[str, Preprocessing]
    present: dict[str, Tensor]
    values: dict[str, Tensor]
    group: Tensor | None
    targets: dict[str, Target]
    split: Split
    provenance: Provenance
    content: str = ""
    contrast: Literal["groups", "rows"] = "groups"
    hidden: tuple[Hidden, ...] = ()
    aux: tuple[str, ...] = ()

    def __repr__(self) -> str:
        parts = ", ".join(f"{len(getattr(self.split, part))} {part}" for part in PARTS)
        lines = [f"Source {self.name[:60]!r}: {parts} rows{', those to test whole' * bool(self.hidden)}"]
        names = list(self.modalities)
        few = names if len(names) <= SHOWN else names[: SHOWN - 1]
        wide = max(len(k[:30]) for k in few)
        lines += [f"  {k[:30]:<{wide}}  {self._described(k)}" for k in few]
        if rest := names[len(few) :]:
            lines.append(f"  and {len(rest)} more: {_short(', '.join(rest))}")
        targets = [f"{k} ({t.size} {'classes' if t.kind == 'class' else 'real'})" for k, t in self.targets.items()]
        groups = "none" if self.group is None else str(len(torch.unique(self.group)))
        lines.append(f"  target: {_short(', '.join(targets)) or 'none'}; groups: {groups}")
        if notes := len(self.provenance.notes):
            lines.append(f"  {notes} note{'s' * (notes > 1)} in .provenance.notes")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        kinds = {k: m.kind or kind_of(m.shape) or "" for k, m in self.modalities.items()}
        gone = {k: int((~v).sum()) for k, v in self.present.items()}
        rows = [
            {"modality": k, "shape": " x ".join(map(str, m.shape)), "kind": kinds[k], "unit": m.unit, "absent rows": gone[k]}
            for k, m in self.modalities.items()
        ]
        first, *_ = repr(self).splitlines()
        return html(f"{first}; target: {', '.join(self.targets) or 'none'}", rows)

    def _described(self, name: str) -> str:
        about, here = self.modalities[name], self.present[name]
        kind, gone = about.kind or kind_of(about.shape), int((~here).sum())
        missing = f", absent in {gone} of {len(here)} rows ({100 * gone / len(here):.0f} %)" if gone else ""
        return " x ".join(map(str, about.shape)) + (f" ({kind})" if kind else "") + missing

    @cached_property
    def modalities(self) -> dict[str, Modality]:
        """Return shapes, kinds and units."""
        return {k: p.modality for k, p in self.preprocessing.items()}

    @cached_property
    def fingerprint(self) -> str:
        """Return a checksum of data, split, preprocessing and what is hidden: it changes when any of them does."""
        if self.content:
            digest = hashlib.sha256(f"{self.content} {self.split.sha256} {self.contrast}".encode())
        else:
            held = [f"{k} {c.checksum}" for k, c in sorted(self.columns.items()) if isinstance(c, Held | ByRow)]
            digest = hashlib.sha256("".join([self.split.sha256, *held, "rows" * (self.contrast == "rows")]).encode())
        columns = {f"present {k}": v for k, v in self.present.items()}
        columns |= {f"target {k}": v for k, v in self.values.items()}
        columns |= {} if self.group is None else {"group": self.group}
        for name in sorted(columns):
            digest.update(f"{name} {tuple(columns[name].shape)} {columns[name].dtype}".encode())
            digest.update(columns[name].numpy().tobytes())
        mark = digest.hexdigest()
        for h in self.hidden:
            of = "" if h.modalities is None else f" {' '.join(h.modalities)}"
            mark = hashlib.sha256(f"{mark} {h.rate} {h.seed}{of}".encode()).hexdigest()
        return mark

    @property
    def train(self) -> Rows:
        """Return the training rows."""
        return self.part("train")

    @property
    def val(self) -> Rows:
        """Return the validation rows."""
        return self.part("val")

    @property
    def test(self) -> Rows:
        """Return the test rows, of which nothing is hidden."""
        return self.part("test")

    def part(self, name: Part) -> Rows:
        """Return the rows of one part."""
        one_of("part", name, get_args(Part))
        return Rows(self.whole if name == "test" else self, name)

    @property
    def whole(self) -> Source:
        """Return the source with nothing hidden."""
        return replace(self, name=self.hidden[0].plain, hidden=()) if self.hidden else self

    def select(self, modalities: Sequence[str]) -> Source:
        """Return the same rows with fewer modalities."""
        some_of("modalities", modalities, sorted(self.columns))
        if len(set(modalities)) < 2:
            raise InputError(f"modalities is {list(modalities)}, expected two or more different names")
        names = sorted(set(modalities))
        return replace(
            self,
            columns={k: self.columns[k] for k in names},
            preprocessing={k: self.preprocessing[k] for k in names},
            present={k: self.present[k] for k in names},
        )

    def hide(self, rate: float, *, seed: int = 0, modalities: Sequence[str] | None = None) -> Source:
        """Hide entries of training and validation rows, as `tuplet.data.hide` says."""
        in_range("rate", rate, 0, 1)
        some_of("modalities", modalities or (), sorted(self.columns))
        names = None if modalities is None else tuple(sorted(set(modalities)))
        of = "" if names is None else f" of {', '.join(names)}"
        more = Hidden(float(rate), int(seed), names, self.name)
        return replace(self, name=f"{self.name}, {100 * rate:.0f} %{of} missing", hidden=(*self.hidden, more))

    def redrawn(self, seed: int) -> Source:
        """Hide as many entries, drawn with another seed; a source that is whole stays as it is."""
        return replace(self, hidden=(*self.hidden[:-1], *(replace(h, seed=seed) for h in self.hidden[-1:])))

    def ungrouped(self) -> Source:
        """Leave the groups out of all batches, as `tuplet.data.ungroup` says."""
        return replace(self, contrast="rows")

    def labelled(self, target: str | None) -> Source:
        """Leave out the rows without a class of one target."""
        if target is None or target not in self.targets or self.targets[target].kind == "real":
            return self
        here = (self.values[target] >= 0).numpy()
        if here.all():
            return self
        parts = {part: (rows := getattr(self.split, part))[here[rows]] for part in PARTS}
        if empty := [part for part, rows in parts.items() if not len(rows)]:
            raise InputError(f"targets[{target!r}] has no label in the {empty[0]} rows; label more rows, or pass split=")
        return replace(self, split=Split(parts["train"], parts["val"], parts["test"], self.split.seed))

    def read(self, name: str, rows: Tensor) -> Tensor:
        """Return the scaled rows of one modality at some row numbers; zero where it is missing."""
        column, how = self.columns[name], self.preprocessing[name]
        if isinstance(column, Held):
            kept = column.values[rows]
            if kept.dtype != torch.uint8:
                return kept
            return torch.from_numpy(how.block(kept.numpy(), self.present[name][rows].numpy()))
        ascending, back = np.unique(rows.numpy(), return_inverse=True)
        raw = np.asarray(column[ascending]).reshape(len(ascending), *how.modality.shape)
        values = how.block(raw, self.present[name].numpy()[ascending])
        if not np.isfinite(values).all():
            row = ascending[~np.isfinite(values.reshape(len(values), -1)).all(axis=1)][0]
            raise InputError(
                f"modalities[{name!r}] has NaN, infinite or too large values in row {row}; repair it, or mark it as missing"
            )
        return torch.from_numpy(values[back])


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one part of a source; indexing with positions gives a `Batch`.

    Attributes:
        source: the source that they belong to.
        part: ``"train"``, ``"val"`` or ``"test"``.
        chosen: which of them, positions within the part; all when left out.
    """

    source: Source
    part: Part
    chosen: Tensor | None = None

    def __repr__(self) -> str:
        names = _short(", ".join(self.source.modalities))
        return f"{len(self)} {self.part} rows of {self.source.name[:60]!r} ({names})"

    @cached_property
    def positions(self) -> Tensor:
        """Return the row numbers in the source, int64."""
        whole = torch.from_numpy(getattr(self.source.split, self.part))
        return whole if self.chosen is None else whole[self.chosen]

    def take(self, positions: Sequence[int] | Tensor) -> Rows:
        """Return some of the rows, by their positions."""
        chosen = positions_in(positions, len(self))
        return replace(self, chosen=chosen if self.chosen is None else self.chosen[chosen])

    @property
    def fingerprint(self) -> str:
        """Return the checksum of the source these rows belong to."""
        return self.source.fingerprint

    @property
    def group(self) -> Tensor | None:
        """Return the groups of the rows, also where batches do not carry them."""
        return None if self.source.group is None else self.source.group[self.positions]

    @property
    def present(self) -> dict[str, Tensor]:
        """Return modality -> bool ``(n,)``, where it is there and not hidden."""
        found = {k: v[self.positions] for k, v in self.source.present.items()}
        return found | {k: found[k] & kept for k, kept in self._kept.items()}

    @property
    def target(self) -> dict[str, Tensor]:
        """Return target -> its ``(n, ...)`` values."""
        return {k: v[self.positions] for k, v in self.source.values.items()}

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.positions)

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> Batch:
        """Return the batch at these positions within the part; columns on demand are read now."""
        at = torch.arange(len(self))[rows if isinstance(rows, slice) else positions_in(rows, len(self))]
        source, where = self.source, self.positions[at]
        inputs = {k: source.read(k, where) for k in source.columns}
        present = {k: v[where] for k, v in source.present.items()}
        for k, kept in self._kept.items():
            present[k] = present[k] & kept[at]
            inputs[k][~present[k]] = 0
        group = None if source.group is None or source.contrast == "rows" else source.group[where]
        target = {k: v[where] for k, v in source.values.items()}
        return Batch(inputs, present, where, group, target, {k: target[k] for k in source.aux})

    @cached_property
    def _kept(self) -> dict[str, Tensor]:
        """Modality -> where it is not hidden; empty if nothing is."""
        found: dict[str, Tensor] = {}
        for hidden in self.source.hidden:
            for k in self.source.columns:
                drawn = hidden.kept(self.part, k, len(getattr(self.source.split, self.part)))
                drawn = drawn if self.chosen is None else drawn[self.chosen]
                found[k] = drawn & found[k] if k in found else drawn
        return found


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
