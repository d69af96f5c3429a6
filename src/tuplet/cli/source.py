"""What a command line names as its data: a source that ships, a reader with ``--root``, or a user's own file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from numpy.typing import NDArray

from tuplet.cli.limits import SEED
from tuplet.errors import InputError
from tuplet.io.state import AnyOf

if TYPE_CHECKING:
    from tuplet.data import Source


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How to read the data; every command that takes data has these options."""

    root: Path | None = None
    """Where a reader's data lie."""
    modalities: tuple[str, ...] = ()
    """Names of the modalities to take [default: all]. Of a table also NAME=COLUMN,COLUMN, or 'force=force_*'."""
    target: str | None = None
    """Name of what is to be predicted [default: label, or the only target]."""
    group: str | None = None
    """Of a file: name of the ids that must stay in one part of the split, such as subject [default: group]."""
    id: str | None = None
    """Of a file: name of the ids of its rows."""
    kind: tuple[str, ...] = ()
    """Of a file: what rows are, NAME=KIND with vector, sequence, padded, image, signal or text; several may follow."""
    scaling: tuple[str, ...] = ()
    """Of a file: NAME=standard, NAME=channels or NAME=none; several may follow, and a bare word is for all."""
    target_kind: tuple[str, ...] = ()
    """Of a file: NAME=class or NAME=real, where the values of a target shall not decide; a bare word is for all."""
    tower: tuple[str, ...] = ()
    """NAME=PATH: a frozen pretrained tower (a local folder of sentence-transformers, transformers or timm, or a .safetensors or
    .onnx file), whose features of the raw rows are the modality; several may follow. A bare PATH is a CLIP for all, which
    `tuplet train --method` and `tuplet bench rss` take."""

    def given(self) -> dict[str, Any]:
        """Return the options of reading that were given."""
        return {f.name: v for f in fields(Reading) if (v := getattr(self, f.name)) not in (None, ())}

    def words(self) -> list[str]:
        """Write the given options as a command line has them."""
        return [
            word
            for k, v in self.given().items()
            for word in (f"--{k.replace('_', '-')}", *(map(str, v) if isinstance(v, tuple) else [str(v)]))
        ]

    def note(self) -> dict[str, Any]:
        """Write all options of reading as JSON values."""
        values = {f.name: getattr(self, f.name) for f in fields(Reading)}
        values["tower"] = tuple(_absolute(word) for word in self.tower)
        return {k: list(v) if isinstance(v, tuple) else None if v is None else str(v) for k, v in values.items()}

    @staticmethod
    def noted(note: dict[str, Any]) -> Reading:
        """Read what `note` wrote."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in note.items()}
        return Reading(**values | {"root": Path(note["root"]) if note["root"] else None})


ARRAYS = (".npz", ".safetensors")
"""Endings of files of arrays; others are tables."""
NOTED: dict[str, Any] = {f.name: [str] if f.default == () else AnyOf(None, str) for f in fields(Reading)}
"""Schema of `Reading.note`."""
NOTED["tower?"] = NOTED.pop("tower")  # older folders do not have it


def opened(name: str, reading: Reading | Path | None = None, *, tokenise: Callable[[list[str]], Any] | None = None) -> Source:
    """Load the data that a command was given; a source of touch turns its texts into numbers as it is told."""
    from tuplet.catalog import READERS, SOURCES
    from tuplet.data import read
    from tuplet.model import features

    how = reading if isinstance(reading, Reading) else Reading(root=reading)
    file, _, text = name.partition("?")
    if "\0" in name:
        raise InputError(f"source is {name[:80]!r}, which has a NUL character in it; give a name or a path")
    towers = pairs("tower", how.tower)
    if "" in towers:
        raise InputError(
            f"--tower is {towers['']!r}, expected NAME=PATH, such as --tower text=PATH; a bare PATH is for --method"
        )
    if file in READERS or file in SOURCES:
        source = _catalog(file, text, how, tokenise)
        return features(source, towers) if towers else source
    try:
        folder = Path(file).is_dir()
    except OSError as error:
        raise InputError(f"source {name[:80]!r} cannot be read: {error.strerror}") from None
    if not folder and not Path(file).suffix:
        raise InputError(
            f"source is {name[:80]!r}, expected one of {sorted([*SOURCES, *READERS])} or the path of a file (.npz, "
            f".safetensors, .csv, .parquet ...) or of a folder of tables"
        )
    if how.root is not None:
        raise InputError(f"root is {how.root}, but {file} is a file; leave --root out")
    given = arguments(file, text, how)
    return features(Path(file), towers, **given) if towers else read(Path(file), **given)


def arguments(file: str, text: str, how: Reading) -> dict[str, Any]:
    """Return the options of reading a file as `tuplet.data.read` takes them."""
    kinds = dict(parse_qsl(text, keep_blank_values=True)) | pairs("kind", how.kind)
    scaling, target_kind = pairs("scaling", how.scaling), pairs("target-kind", how.target_kind)
    return {
        "modalities": (Path(file).suffix.lower() not in ARRAYS and _columns(how.modalities)) or how.modalities or None,
        "target": how.target,
        "group": how.group,
        "id": how.id,
        "kinds": kinds,
        "scaling": scaling.get("", scaling or None),
        "target_kind": target_kind.get("", target_kind or None),
    }


def _columns(given: tuple[str, ...]) -> dict[str, list[str]]:
    """Read NAME=COLUMN,COLUMN words, which group the columns of a table; nothing where words are plain names."""
    if not any("=" in word for word in given):
        return {}
    split = [word.partition("=") for word in given]
    if wrong := [word for word, (name, sign, columns) in zip(given, split, strict=True) if not (name and sign and columns)]:
        raise InputError(f"--modalities is {wrong[0]!r} beside NAME=COLUMNS, expected NAME=COLUMN,COLUMN in each")
    return {name: columns.split(",") for name, _, columns in split}


def _catalog(name: str, text: str, how: Reading, tokenise: Callable[[list[str]], Any] | None = None) -> Source:
    """Load a source that ships, or real data with a reader."""
    from tuplet.catalog import READERS, SOURCES

    for option in ("group", "id", "kind", "scaling", "target_kind"):
        if getattr(how, option):
            raise InputError(
                f"--{option.replace('_', '-')} is for your own files, but {name} describes itself; leave it out, or give the "
                f"options of {name} after a '?'"
            )
    load: Callable[..., Source] = READERS[name].load if name in READERS else SOURCES[name]
    known = signature(load).parameters
    if name in SOURCES and how.root is not None:
        raise InputError(f"root is {how.root}, but {name} ships with tuplet; leave --root out")
    if name in READERS and how.root is None and known["root"].default is Parameter.empty:
        raise InputError(f"{name} reads real data: say where they lie with --root")
    options: dict[str, Any] = {k: _value(v) for k, v in parse_qsl(text, keep_blank_values=True)}
    allowed = sorted(set(known) - {"root", "path", "tokenise"})
    if unknown := sorted(set(options) - set(allowed)):
        raise InputError(f"{name} has no option {unknown[0]!r}, expected some of {allowed}")
    for key, value in options.items():
        if isinstance(value, int | float) and abs(value) > MOST and "seed" not in key:
            raise InputError(f"{name}?{key} is {value:g}, expected at most {MOST:,}: it would fill the memory")
        if "seed" in key and isinstance(value, int) and not 0 <= value < SEED:
            raise InputError(f"{name}?{key} is {value}, expected a whole number from 0 to {SEED - 1}")
        if isinstance(value, float) and isinstance(known[key].default, int):
            raise InputError(f"{name}?{key} is {value:g}, expected a whole number")
    if tokenise is not None and "tokenise" in known:
        options["tokenise"] = tokenise
    try:
        source = load(**options) if how.root is None else load(how.root, **options)
    except TypeError as error:  # a word where a number belongs
        raise InputError(f"{name} does not take {text!r}: {str(error).splitlines()[0]}") from None
    if how.target is not None and how.target not in source.targets:
        what = ", which is a modality;" if how.target in source.modalities else ","
        raise InputError(f"target is {how.target!r}{what} expected one of {sorted(source.targets)}")
    return source.select(how.modalities) if how.modalities else source


def pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    """Read NAME=WORD options; a single bare word has the name ''."""
    if len(given) == 1 and "=" not in given[0] and option != "kind":
        return {"": given[0]}
    found = {}
    for text in given:
        name, sign, word = text.rpartition("=")
        if not (name and sign and word):
            raise InputError(f"--{option} is {text!r}, expected NAME=WORD such as --{option} force=...")
        found[name] = word
    return found


Table = dict[str, NDArray[Any]]
MOST = 10_000_000
"""Rows, episodes, pixels and so on that an option may ask for."""


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _absolute(word: str) -> str:
    """Write the path of a tower so that it is found from any folder."""
    name, sign, path = word.rpartition("=")
    return name + sign + str(Path(path).absolute())


def placed(data: str) -> str:
    """Write data so that they are found from any folder: a file by its whole path."""
    name, mark, options = data.partition("?")
    return str(Path(name).absolute()) + mark + options if is_file(name) else data


def is_file(name: str) -> bool:
    """Tell whether data are a file or a folder rather than a source that has a name."""
    from tuplet.catalog import READERS, SOURCES

    return name not in READERS and name not in SOURCES and (bool(Path(name).suffix) or Path(name).is_dir())
