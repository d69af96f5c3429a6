"""Make a source of named arrays: which are modalities, which are targets, groups and ids, and what a row of each is."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.data._columns import as_array, check_names, is_frame, is_series, is_text
from tuplet.data._encoded import Encode, encode_rows
from tuplet.data._hints import with_hints
from tuplet.data._join import join, one_column
from tuplet.data._mapped import ByRow, Mapped
from tuplet.data._padding import padding_note
from tuplet.data._scaling import Scaling
from tuplet.data._sparse import Sparse
from tuplet.data.arrays import from_arrays
from tuplet.data.preprocessing import Preprocessing
from tuplet.data.source import Provenance, Source
from tuplet.data.splits import Split
from tuplet.types import InputError, Kind, kind_of, one_of, some_of

TARGETS = ("label", "target")
"""Names that are targets unless somebody says otherwise; so are names that begin with ``target.``"""
GROUPS = (
    *("subject", "participant", "patient", "person", "speaker", "user", "donor"),
    *("session", "group", "recording", "trial", "episode", "trajectory", "clip", "video", "scene"),
)
"""Names that say who or where, so that their rows may belong together; alone, with a number or with ``_id`` behind them."""
RESERVED = ("id", "group", *TARGETS)
"""Names that say what an array, or a column of frames, is."""


@dataclass(frozen=True)
class Known:
    """What is known of named arrays beside their values, from the form in which they came."""

    present: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    offered: Sequence[str] = ()
    rates: Mapping[str, float] = field(default_factory=dict)


def from_named(
    arrays: Mapping[str, Any],
    *,
    modalities: Iterable[str] | None = None,
    target: str | Mapping[str, Any] | None = None,
    group: Any = None,
    id: Any = None,
    kinds: Mapping[str, Kind] | None = None,
    scaling: Scaling | Mapping[str, Scaling] | None = None,
    target_kind: Mapping[str, str] | str | None = None,
    encode: Mapping[str, Encode] | None = None,
    split: Split | None = None,
    seed: int = 0,
    name: str = "arrays",
    provenance: Provenance | None = None,
    known: Known = Known(),
) -> Source:
    """Make a source of named arrays."""
    names = check_names("data", arrays)
    for argument, given in (("kinds", kinds), ("target_kind", target_kind), ("scaling", scaling)):
        if not (given is None or isinstance(given, Mapping) or (isinstance(given, str) and argument != "kinds")):
            what = "a dict" if argument == "kinds" else "one word for all, or a dict"
            raise InputError(f"{argument} is {str(given)[:40]!r}, expected {what} such as {{{names[0]!r}: ...}}")
    left = dict(arrays)
    if not isinstance(modalities, Iterable | None):
        raise InputError(f"modalities is {modalities!r}, expected a list of names")
    wanted = [modalities] if isinstance(modalities, str) else None if modalities is None else list(modalities)
    some_of("modalities", wanted or (), names)
    keep = set(wanted or ())
    frames = _Frames(left, keep, known.offered)
    ids = frames.ids(id, (target, group))
    targets = frames.targets(target, group)
    groups = frames.take("group", "group" if group is None and "group" in frames.free([target]) else group)
    single = [] if wanted is not None else [k for k, v in left.items() if _is_single(v)]
    chosen = {k: left[k] for k in wanted} if wanted is not None else {k: left[k] for k in left if k not in single}
    if len(chosen) < 2:
        besides = f"; {single} hold one value for all rows" * bool(single)
        raise InputError(
            f"{name} has {len(chosen)} modality ({', '.join(sorted(chosen)) or 'none'}) beside "
            f"{sorted(targets) or 'no target'}, expected two or more to align with each other{besides}"
        )
    if wanted is None and ids is None:
        _equal_lengths(chosen)
    rows = join(chosen, {k: v for k, v in ids.items() if k in chosen} if ids else None, known.present, shared=frames.shared)
    for k, kind in (kinds or {}).items():
        one_of("the modality in kinds", k, tuple(sorted(chosen)))
        one_of(f"kinds[{k!r}]", kind, get_args(Kind))
    encode_rows(rows.arrays, rows.present, encode, known.rates)
    kinds = {k: v for k, v in (kinds or {}).items() if k not in (encode or {})}  # those were of the raw rows
    guesses, notes = _guesses({k: v for k, v in rows.arrays.items() if k not in kinds})
    notes += tuple(f"{k} holds one value for all rows and was left out" for k in single)
    for k, v in rows.arrays.items():
        if isinstance(v, ByRow):
            continue
        array = as_array(f"modalities[{k!r}]", v)
        notes += padding_note(k, array[rows.present[k]] if k in rows.present else array, kinds.get(k))
    provenance = provenance or Provenance(title=name)
    source = from_arrays(
        rows.arrays,
        targets={k: rows.column(f"target {k!r}", v) for k, v in targets.items()},
        group=None if groups is None else rows.column("group", groups),
        present=rows.present,
        split=split,
        seed=seed,
        scaling=scaling,
        kinds={**guesses, **kinds},
        rates={k: v for k, v in known.rates.items() if k in rows.arrays and k not in (encode or {})},
        target_kind=target_kind,
        name=name,
        provenance=replace(provenance, notes=(*provenance.notes, *known.notes, *rows.notes, *notes)),
    )
    prepared = {
        k: replace(p, columns=known.columns.get(k) or _column_names(chosen[k], p))
        for k, p in source.preprocessing.items()
        if k not in (encode or {})
    }
    return with_hints(replace(source, preprocessing=source.preprocessing | prepared))


class _Frames:
    """Named arrays from which targets, groups and ids are taken out."""

    def __init__(self, left: dict[str, Any], keep: set[str], offered: Sequence[str]) -> None:
        self.left, self.keep, self.offered = left, keep, offered
        self.shared = ""  # name of the array that holds the ids of the rows of all others

    def free(self, asked: Iterable[Any]) -> list[str]:
        """Return the names of arrays and columns that say what they are, unless the user uses them for something else."""
        used = {name for name in asked if isinstance(name, str)}
        columns = [c for v in self.left.values() if is_frame(v) for c in v.columns]
        names = [n for n in dict.fromkeys([*self.left, *columns]) if isinstance(n, str)]
        return [n for n in names if (n in RESERVED or n.startswith("target.")) and n not in self.keep | used]

    def take(self, argument: str, name: Any) -> Any:
        """Take out one array by its name, or one column of frames; values are returned as they are."""
        if not isinstance(name, str):
            return name
        if name in self.left and name not in self.keep:
            return self.left.pop(name)
        holders = [k for k, v in self.left.items() if is_frame(v) and name in list(v.columns)]
        if holders:
            found = one_column(argument, name, {k: self.left[k] for k in holders})
            for k in holders:
                self.left[k] = self.left[k].drop(columns=[name])
                if not len(self.left[k].columns) and k not in self.keep:
                    del self.left[k]
            return found
        if name in self.keep:
            raise InputError(f"{argument} is {name!r}, which modalities names as a modality; leave it out of one of them")
        offered = self._offered()
        near = get_close_matches(name, offered, 1)
        fix = (
            f"did you mean {near[0]!r}? Expected one of {offered}"
            if near
            else f"expected one of {offered}"
            if offered
            else "but nothing in the data has one value per row; add such an array, or leave it out"
        )
        raise InputError(f"{argument} is {name!r}, {fix}")

    def _offered(self) -> list[str]:
        """List what can be a target or a group: arrays and columns with one value per row, but no text that never repeats."""
        found = [k.removeprefix("target.") or k for k in self.left if k in TARGETS or k.startswith("target.")]
        for k, v in self.left.items():
            if is_frame(v):
                found += [str(c) for c in list(v.columns)[:50]]
            elif (
                k not in self.keep
                and not isinstance(v, ByRow)
                and (array := as_array(k, v)).ndim == 1
                and (not is_text(array) or _repeats(array))
            ):
                found.append(k)
        return list(dict.fromkeys([*found, *self.offered]))

    def targets(self, target: Any, group: Any) -> dict[str, Any]:
        """Take out the targets that are named, or those that bear the name of one."""
        if isinstance(target, Mapping):
            return dict(target)
        if target is not None and not isinstance(target, str):
            raise InputError(f"target is a {type(target).__name__}, expected a name, or a dict such as {{'label': values}}")
        found = {}
        free = self.free([group])
        if target is not None:
            named = f"target.{target}" if target not in self.left and f"target.{target}" in free else target
            found[target] = self.take("target", named)
        for k in free:
            if k in ("id", "group") or k in (target, f"target.{target}"):
                continue
            values = self.take("target", k)
            if target is None:
                found[k.removeprefix("target.") or k] = values
        return found

    def ids(self, id: Any, asked: Iterable[Any]) -> dict[str, Any] | None:
        """Return the ids of the rows of each modality."""
        if id is None and "id" not in self.free(asked):
            return None
        id = "id" if id is None else id
        if isinstance(id, Mapping):
            some_of("id", id, sorted(self.left))
            return dict(id)
        if isinstance(id, str) and id not in self.left:
            held = [k for k, v in self.left.items() if is_frame(v)]
            if not held:
                raise InputError(f"id is {id!r}, expected one of {sorted(self.left)}")
            for k in held:
                if id not in list(self.left[k].columns):
                    raise InputError(f"id is {id!r}, which modalities[{k!r}] does not have; it has {_some(self.left[k])}")
                self.left[k] = self.left[k].set_index(id)
            return None
        self.shared = id if isinstance(id, str) else "id"
        values = self.take("id", id)
        others = {k for k in self.left if k != "group" and k not in TARGETS and not k.startswith("target.")}
        return dict.fromkeys(others, values)


def _column_names(values: Any, how: Preprocessing) -> tuple[str, ...]:
    """Return the names of the columns of a frame of numbers, if all are text and different."""
    names = list(values.columns) if is_frame(values) and how.modality.kind != "text" else []
    usable = all(isinstance(c, str) for c in names) and len(set(names)) == len(names)
    return tuple(str(c) for c in names) if usable and how.modality.shape == (len(names),) else ()


def _is_single(values: Any) -> bool:
    """Tell whether this is one number, one word or one date, such as the sampling rate of a recording."""
    array = values if isinstance(values, np.ndarray) else np.asarray(values) if np.isscalar(values) else None
    return array is not None and array.ndim == 0 and array.dtype.kind in "biufcUSmM"


def _equal_lengths(chosen: Mapping[str, Any]) -> None:
    """Refuse an array that has other rows than most, and say how to leave it out."""
    plain = {
        k: v if isinstance(v, ByRow) else as_array(f"modalities[{k!r}]", v)
        for k, v in chosen.items()
        if not (is_frame(v) or is_series(v))
    }
    counts = {k: len(v) for k, v in plain.items() if len(v.shape)}
    if len(set(counts.values())) < 2:
        return
    most, times = Counter(counts.values()).most_common(1)[0]
    if times > 1:
        other = next(k for k in counts if counts[k] != most)
        names = [k for k in chosen if counts.get(k, most) == most]
        raise InputError(
            f"modalities[{other!r}] has {counts[other]} rows, expected {most} as in the others; to leave it out, name those to "
            f"take: modalities={names} ({shlex.join(['--modalities', *names])})"
        )


def _some(frame: Any) -> list[str]:
    return [str(c) for c in list(frame.columns)[:20]]


def _repeats(array: NDArray[Any]) -> bool:
    """Tell whether values come twice or more on average, as those of subjects and classes do."""
    return 2 * len(set(array.tolist())) <= len(array)


def _one_value(name: str, array: NDArray[Any]) -> list[str]:
    """Say how to use a column of ids or codes, which was taken as a modality, as a group or as a target."""
    word = name.lower().removesuffix("id").rstrip("_-. 0123456789").removesuffix("s")
    group, target = shlex.join(["--group", name]), shlex.join(["--target", name])
    if word in GROUPS and _repeats(array):
        return [
            f"{name} was taken as a modality; if rows of one {word} belong together, use {group} (group={name!r}), which keeps "
            f"them in one part of the split"
        ]
    if name.lower().endswith(("id", "ids", "key")) and len(set(array.tolist())) == len(array):
        use = shlex.join(["--id", name])
        return [f"{name} was taken as a modality; if it names the rows, use {use} (id={name!r})"]
    what = "one whole number per row"
    if is_text(array):
        kinds = len(set(array.tolist()))
        if 10 * kinds > len(array):
            return []
        what = f"{kinds} different texts in {len(array)} rows"
    return [
        f"{name} holds {what} and was taken as a modality: if it says who or where, use {group}; if it is to be predicted, use "
        f"{target}"
    ]


def _guesses(inputs: Mapping[str, Any]) -> tuple[dict[str, Kind], tuple[str, ...]]:
    """Choose kinds that shapes leave open, and note every choice that a user may not have meant."""
    found: dict[str, Kind] = {}
    notes = []
    for name, values in inputs.items():
        if isinstance(values, Sparse):
            continue
        if isinstance(values, Mapped):  # its shape and dtype are all that is looked at
            values = np.broadcast_to(np.zeros((), values.dtype), values.shape)
        array = as_array(f"modalities[{name!r}]", values)
        shape = array.shape[1:]
        if not shape and (is_text(array) or array.dtype.kind in "biu"):
            notes += _one_value(name, array)
        if is_text(array):
            continue
        if len(shape) == 3 and shape[2] in (1, 3, 4) and shape[0] not in (1, 3, 4):
            found[name] = "image"
        if not shape or kind_of(shape) is not None or name in found:
            continue
        if len(shape) != 2 or shape[0] == shape[1]:
            raise InputError(
                f"modalities[{name!r}] has rows of shape {shape}, which may mean several things; say which: "
                f"--kind {name}=KIND, in Python kinds={{{name!r}: KIND}}, with KIND one of {', '.join(get_args(Kind))}"
            )
        steps, channels = max(shape), min(shape)
        found[name] = "sequence" if shape[0] == steps else "signal"
        notes.append(
            f"{name} has rows of shape {shape}: taken as a {found[name]} of {steps} steps and {channels} channel"
            f"{'s' * (channels > 1)}; if it is another, say --kind {name}=KIND, one of {', '.join(get_args(Kind))}"
        )
    return found, tuple(notes)
