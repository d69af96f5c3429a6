"""Make a source of what a user has: named arrays and frames, ``.npz`` files, and files of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuplet.data._arrow import FILES, checksum, is_table
from tuplet.data._columns import is_frame
from tuplet.data._encoded import Encode
from tuplet.data._hints import noted, with_hints
from tuplet.data._inputs import gathered, open_data
from tuplet.data._large import arrow_files, in_parquet, large
from tuplet.data._named import from_named
from tuplet.data._npz import members
from tuplet.data._omics import FILES as OMICS
from tuplet.data._omics import is_annotated, is_multi
from tuplet.data._padding import padding_note
from tuplet.data._scaling import Scaling
from tuplet.data._targets import class_names
from tuplet.data.arrays import from_columns
from tuplet.data.source import Provenance, Source
from tuplet.data.splits import Split
from tuplet.data.table import Table
from tuplet.errors import plain_text
from tuplet.types import InputError, Kind


def read(
    x: Any,
    *,
    modalities: Iterable[str] | Mapping[str, Sequence[str]] | None = None,
    target: str | Mapping[str, Any] | None = None,
    group: Any = None,
    id: Any = None,
    kinds: Mapping[str, Kind] | None = None,
    scaling: Scaling | Mapping[str, Scaling] | None = None,
    split: Split | None = None,
    target_kind: Mapping[str, str] | str | None = None,
    encode: Mapping[str, Encode] | None = None,
) -> Source:
    """Make a source of your own data.

    Args:
        x: one of

            - name -> array, torch tensor, SciPy sparse matrix, list of strings, of paths of pictures or sounds, of series of
              different length; paired by position.
            - name -> pandas frame or Series, joined by index; or polars frame or Arrow table, joined by a column ``id``. Rows
              that a modality lacks are absent in it, and the same ids in another order give the same pairs.
            - one frame or table of any kind, or a data set of Hugging Face, also a stream of one or a dict of its parts. Each
              column of lists, text or paths of files is a modality; columns of numbers are grouped by the part of their name
              before the first ``.`` or ``/``.
            - AnnData (also as an entry of a dict) or MuData, joined by ``obs_names``, with labels in ``obs``.
            - the path of an ``.npz``, ``.safetensors``, ``.h5ad``, ``.h5mu``, ``.csv``, ``.tsv``, ``.parquet``, ``.feather`` or
              ``.arrow`` file, or of a folder of tables: parts of one table, or one table per modality, joined by a column
              ``id``.
        modalities: names of those to take; all when left out. Of one table also name -> columns.
        target: name of an array or of a column of a frame, or a dict of name -> values. ``label``, ``target`` and
            ``target.NAME`` are targets by their name.
        group: likewise one name, or values ``(n,)``, such as subject or file: a group stays in one part of the split. An
            array called ``group`` is one by its name.
        id: name of an array with the ids of all rows or of a column that each frame has, values ``(n,)``, or a dict of
            modality -> ids; the index of frames when left out.
        kinds: modality -> ``"vector"``, ``"sequence"``, ``"padded"``, ``"image"``, ``"signal"`` or ``"text"``.
        scaling: ``"standard"``, ``"channels"`` or ``"none"``, for all modalities or by name; see `tuplet.data.from_arrays`.
        split: the parts; 60 / 20 / 20 by label and group when left out.
        target_kind: ``"class"`` or ``"real"``, for all targets or by name, where the values shall not decide.
        encode: modality -> function of its raw rows, and of their samples a second or None, to vectors ``(n, d)`` that take
            their place; `tuplet.features` gives those of towers.

    Returns:
        The source. ``source.provenance.notes`` say what was taken as what, and what you may not have meant.

    Raises:
        InputError: naming the argument, what was seen, and the fix.

    Example:
        >>> import numpy as np
        >>> force = np.random.default_rng(0).normal(size=(50, 3))
        >>> source = read({"force": force, "note": ["soft", "hard"] * 25, "label": ["cup", "ball"] * 25})
        >>> {k: m.shape for k, m in source.modalities.items()}, source.targets["label"].names
        ({'force': (3,), 'note': (1024,)}, ('ball', 'cup'))
    """
    asked: dict[str, Any] = {
        "modalities": [modalities] if isinstance(modalities, str) else modalities,
        "target": target,
        "group": group,
        "id": id,
        "kinds": kinds,
        "scaling": scaling,
        "split": split,
        "target_kind": target_kind,
        "encode": encode,
    }
    if isinstance(x, str | Path):
        return _file(Path(x), asked)
    with in_parquet(x, "the data set") as folder:
        if folder is not None:
            found = large(folder, "the data set")
            return gathered(open_data(folder)[0] if found is None else found, asked, where="the data set").source(asked)
    if not (isinstance(x, Mapping) or is_frame(x) or is_table(x) or is_annotated(x) or is_multi(x)):
        raise InputError(
            f"x is a {type(x).__name__}, expected a dict of name -> array, text, frame or Series, one frame or table, AnnData, "
            f"MuData, or the path of a file"
        )
    return gathered(x, asked).source(asked)


def _file(path: Path, asked: dict[str, Any]) -> Source:
    suffix = path.suffix.lower()
    try:
        path.exists()
    except (OSError, ValueError) as error:
        raise InputError(f"path {str(path)[:80]!a} cannot be read: {error}"[:200]) from None
    if suffix in (".npz", ".safetensors") and isinstance(asked["modalities"], Mapping):
        raise InputError(f"modalities is a dict of columns, but {path} holds arrays; list their names")
    if suffix == ".npz":
        return from_npz(path, **asked)
    if suffix == ".safetensors":
        return _table(path, **asked)
    if suffix not in (*FILES, *OMICS) and not path.is_dir():
        what = f"ends in {suffix[:20]!a}" if suffix else "has no ending and is no folder"
        raise InputError(
            f"path {str(path)[:200]!a} {what}, expected a folder of tables, or a file that ends in .npz, .safetensors, "
            f"{', '.join((*FILES, *OMICS))}; save arrays with numpy.savez, or read the file with pandas and give the frame"
        )
    with in_parquet(path, str(path)) as copy:
        own = None if copy is None else checksum([p for files in arrow_files(path).values() for p in files])
        file = large(copy or path, str(path), own)
        x, files = open_data(path) if file is None else (file, [])
        try:
            found = gathered(x, asked, where=str(path), folder=path if path.is_dir() else path.parent)
            about = Provenance(title=path.name, origin=str(path), sha256=file.sha256 if file else checksum(files))
            del x  # its values were copied
            return found.source(asked, name=path.stem, provenance=about)
        except InputError as error:
            raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from None


def _table(path: Path, **asked: Any) -> Source:
    """Read a file of columns; where none is called ``input.NAME``, as an ``.npz`` file of the same arrays."""
    table = Table.open(path)
    if not any(k.startswith("input.") for k in table.columns):
        about = Provenance(title=path.name, origin=str(path), sha256=table.sha256)
        return from_named(table.columns, **asked, name=path.stem, provenance=about)
    target, group = asked.pop("target"), asked["group"]
    if asked.pop("encode"):
        raise InputError(f"path {path} is a file of columns; give its source to tuplet.features")
    if isinstance(target, Mapping) or asked.pop("id") is not None or not (group is None or isinstance(group, str)):
        raise InputError(
            f"path {path} names its targets, group and rows itself; give target= and group= as names, and leave id out"
        )
    names = asked.pop("modalities")
    source = from_table(
        table, modalities=None if names is None else list(names), targets=None if target is None else [target], **asked
    )
    inputs = {k: table.columns[f"input.{k}"] for k in source.modalities}
    return with_hints(noted(source, [n for k, v in inputs.items() for n in padding_note(k, v, source.modalities[k].kind)]))


def from_npz(
    path: str | Path,
    *,
    modalities: Iterable[str] | None = None,
    target: str | Mapping[str, Any] | None = None,
    group: Any = None,
    id: Any = None,
    kinds: Mapping[str, Kind] | None = None,
    scaling: Scaling | Mapping[str, Scaling] | None = None,
    split: Split | None = None,
    target_kind: Mapping[str, str] | str | None = None,
    encode: Mapping[str, Encode] | None = None,
    seed: int = 0,
) -> Source:
    """Make a source from a file that ``numpy.savez`` wrote.

    Args:
        path: holds two or more modalities, each ``(n, ...)``; perhaps ``label`` or ``target`` ``(n,)`` (more of them as
            ``target.NAME``), ``group`` ``(n,)``, such as subject or file, which stays in one part of the split, and ``id``
            ``(n,)``, the ids of the rows. A row that is NaN throughout is missing.
        modalities: as in `read`, like all that follow.
        target: a name, or a dict of name -> values.
        group: a name, or values.
        id: a name, values, or a dict of modality -> ids.
        kinds: modality -> what its rows are; ``provenance.notes`` say where a shape left it open. On the command line:
            ``--kind sound=sequence`` or ``my.npz?sound=sequence``.
        scaling: for all modalities or by name.
        split: the parts.
        target_kind: ``"class"`` or ``"real"``.
        encode: functions of raw rows.
        seed: of the split, 60 / 20 / 20, stratified.

    Returns:
        The source.

    Raises:
        InputError: naming the file and what is wrong with it.

    Notes:
        Nothing in the file is executed: objects are refused, as with ``allow_pickle=False``.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(Path(folder, "my.npz"), force=x, sound=x[:, :2], label=np.arange(50) % 2)
        ...     source = from_npz(Path(folder, "my.npz"))
        >>> sorted(source.modalities), source.targets["label"].size
        (['force', 'sound'], 2)
    """
    path = Path(path)
    modalities = [modalities] if isinstance(modalities, str) else modalities
    wanted = None if modalities is None else list(modalities)
    named = (*target,) if isinstance(target, Mapping) else (target, group, id)
    asked = None if wanted is None else {*wanted, *(v for v in named if isinstance(v, str))}
    arrays, checksum = members(path, asked)
    try:
        return from_named(
            arrays,
            modalities=wanted,
            target=target,
            group=group,
            id=id,
            kinds=kinds,
            scaling=scaling,
            split=split,
            target_kind=target_kind,
            encode=encode,
            seed=seed,
            name=path.stem,
            provenance=Provenance(title=path.name, origin=str(path), sha256=checksum),
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def from_table(
    table: Table | Path | str,
    *,
    modalities: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
    group: str | None = None,
    contrast: Literal["groups", "rows"] = "groups",
    split: Split | None = None,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    scaling: Scaling | Mapping[str, Scaling] | None = None,
    units: Mapping[str, str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    rates: Mapping[str, float] | None = None,
    target_kind: Mapping[str, str] | str | None = None,
    name: str | None = None,
    provenance: Provenance | None = None,
) -> Source:
    """Make a source from one file of columns.

    Args:
        table: a file that `tuplet.data.write_table` wrote; its docstring lists the names of columns.
        modalities: which ``input.<name>`` columns to take; all of them when left out.
        targets: which ``target.<name>`` columns to take; all of them when left out.
        classes: target -> names of its classes; the file's ``classes.<target>`` where left out.
        group: which column holds the groups; ``group`` when left out.
        contrast: as in `from_columns`, for the groups.
        split: the parts; the file's ``split`` column when left out, and drawn with ``fractions`` and ``seed``, groups
            whole, when it has none.
        fractions, seed, scaling, kinds, rates: as in `from_columns`.
        units: modality or target name -> unit; the file's ``unit.<name>`` where left out.
        target_kind: as in `from_arrays`; targets with names of classes are classes.
        name: what to call the source; the file's ``name``, or its file name, when left out.
        provenance: where the data come from; the file's title, citation, licence and origin when left out.

    Returns:
        The source. Its fingerprint covers every byte of the file, which is read once for it.

    Raises:
        InputError: naming the file or the argument.

    Example:
        >>> import tempfile
        >>> from tuplet.data.table import write_table
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> columns = {"input.force": x, "input.sound": x[:, :2], "target.label": np.arange(50) % 2}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = write_table(Path(folder, "a.safetensors"), columns, about={"classes.label": '["up", "down"]'})
        ...     source = from_table(file)
        ...     source.modalities["force"].shape, source.targets["label"].names, len(source.train)
        ((3,), ('up', 'down'), 30)
    """
    opened = table if isinstance(table, Table) else Table.open(table)
    about, where = {k: plain_text(v) for k, v in opened.about.items()}, f"path {opened.path}"
    if group is not None and group not in opened.columns:
        raise InputError(f"group is {group!r}, which {where} does not have; it has {sorted(opened.columns)}")

    def named(prefix: str, wanted: Sequence[str] | None) -> dict[str, NDArray[np.generic]]:
        found = {k.removeprefix(prefix): v for k, v in opened.columns.items() if k.startswith(prefix)}
        if absent := sorted(set(wanted or ()) - set(found)):
            raise InputError(f"{where} has no column {prefix}{absent[0]}; it has {sorted(opened.columns)}")
        return {k: found[k] for k in (found if wanted is None else wanted)}

    inputs, labels = named("input.", modalities), named("target.", targets)
    known = {k: about[f"unit.{k}"] for k in [*inputs, *labels] if f"unit.{k}" in about}
    if split is None and "split" in opened.columns:
        part = opened.columns["split"]
        if part.ndim != 1 or not np.isin(part, (0, 1, 2)).all():
            raise InputError(f"{where} has a split column that is not 0 (train), 1 (val) or 2 (test) in every row")
        split = Split.of(part)
    present = {k: v for k, v in named("present.", None).items() if k in inputs}
    named_classes = {k: class_names(where, k, opened.about[f"classes.{k}"]) for k in labels if f"classes.{k}" in about}
    about_origin: dict[str, Any] = {k: about.get(k, "") for k in ("citation", "licence", "origin")}
    return from_columns(
        inputs,
        checksum=opened.sha256,
        targets=labels,
        classes=named_classes | dict(classes or {}),
        group=opened.columns.get(group or "group"),
        contrast=contrast,
        present=present,
        split=split,
        fractions=fractions,
        seed=seed,
        scaling=scaling,
        units=known | dict(units or {}),
        kinds=kinds,
        rates=rates,
        target_kind=target_kind,
        name=name or about.get("name", "").replace("/", " ").replace("\\", " ").strip()[:80] or opened.path.stem,
        provenance=provenance or Provenance(about.get("title") or opened.path.stem, sha256=opened.sha256, **about_origin),
    )
