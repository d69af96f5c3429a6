"""The ``tuplet data`` commands: list, describe, check, convert and simulate data sets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from tyro.conf import Positional, arg, subcommand

from tuplet.cli.source import Reading, opened, pairs
from tuplet.errors import InputError

if TYPE_CHECKING:
    from tuplet.data import Source


@dataclass(frozen=True)
class List:
    """Name the data sets."""


@dataclass(frozen=True)
class Info(Reading):
    """Describe a data set and check it up. Of a reader without --root: what to put there."""

    name: Positional[str]
    """Name of the data set, options after '?', or a file or folder (my.npz, my.csv ...)."""


@dataclass(frozen=True)
class Verify(Reading):
    """Read data whole and say what was found, or what is wrong with it."""

    name: Positional[str]
    """Name of the data set, or a file or folder (my.npz, my.csv ...)."""


@dataclass(frozen=True)
class Convert:
    """Clean real data once and write one file, which then loads at once: give it as root."""

    name: Positional[str]
    """Name of the data set."""
    root: Path
    """Folder or file, as `tuplet data info NAME` says."""
    out: Path
    """File to write, ending in .safetensors."""


@dataclass(frozen=True)
class Simulate:
    """Simulate episodes and keep their rows in one file."""

    name: Positional[str]
    """Which scene, such as push."""
    episodes: int
    """How many; more of them begin with the same ones."""
    seed: int = 0
    """Of the episodes."""
    size: int | None = None
    """Pixels of one side of the pictures [default: the scene's]."""
    out: Path | None = None
    """File to write [default: one in the cache, made only once]."""
    workers: int | None = None
    """Processes; they change the time only [default: one]."""


@dataclass(frozen=True)
class Films:
    """Bring films to vectors by frozen towers, for the reader captions; run again, it goes on where it was stopped."""

    folder: Positional[Path]
    """Folder of films (.mp4, .mkv, .webm ...); needs tuplet[video]."""
    tower: tuple[str, ...]
    """MODALITY=PATH, such as vision=models/siglip audio=models/wav2vec2: a tower of pictures sees frames, one of sound hears
    the sound track (needs tuplet[towers])."""
    out: Path
    """Folder to write MODALITY/NAME.npy to, such as the one that holds the annotations."""
    frames: int = 8
    """Pictures per film."""
    seconds: float = 10.0
    """Length of the pieces of sound that a tower hears."""


@dataclass(frozen=True)
class Show(Reading):
    """Draw rows of a data set: pictures, maps, lines over time, each in its unit."""

    name: Positional[str]
    """Name of the data set, options after '?', or a file or folder (my.npz, my.csv ...)."""
    rows: int = 3
    """How many, one of each class in turn; 1 to 8."""
    part: Literal["train", "val", "test"] = "train"
    """Of the split."""
    out: Path | None = None
    """File to write, ending in .html, .png or .svg [default: NAME.html]."""


@dataclass(frozen=True)
class Data:
    """List the data sets, describe or draw one, check or convert real data, simulate."""

    do: Annotated[
        Annotated[List, subcommand("list")]
        | Annotated[Info, subcommand("info")]
        | Annotated[Show, subcommand("show")]
        | Annotated[Verify, subcommand("verify")]
        | Annotated[Convert, subcommand("convert")]
        | Annotated[Films, subcommand("films")]
        | Annotated[Simulate, subcommand("simulate")],
        arg(name=""),
    ]


def data(command: Data) -> None:
    """Run one of the data commands."""
    from tuplet.catalog import READERS, SOURCES
    from tuplet.data import Table

    do = command.do
    if isinstance(do, List):
        print("\n".join([*SOURCES, *(f"{name} (real data: --root)" for name in READERS)]))
    elif isinstance(do, Info):
        _describe(do)
    elif isinstance(do, Show):
        _show(do)
    elif isinstance(do, Simulate):
        _simulate(do)
    elif isinstance(do, Films):
        _films(do)
    elif isinstance(do, Verify):
        print("\n".join([*_verified(do), "no fault found", "not looked at: whether row i is the same thing in every modality"]))
    elif do.name not in READERS:
        raise InputError(f"name is {do.name!r}, expected one of {sorted(READERS)}")
    else:
        table = Table.open(READERS[do.name].convert(do.root, do.out))
        print(f"{do.out}: {len(table)} rows, {do.out.stat().st_size / 1e6:.1f} MB, sha256 {table.sha256}")
        print(f"now: tuplet data info {do.name} --root {do.out}")


def _verified(do: Verify) -> list[str]:
    """Read every row of real data, of a source or of a user's file."""
    from tuplet.catalog import READERS
    from tuplet.cli.checkup import vanished
    from tuplet.cli.contents import contents
    from tuplet.data._padding import lengths, spread

    if do.name in READERS:
        if do.root is None:
            raise InputError(f"{do.name} reads real data: say where they lie with --root")
        return READERS[do.name].verify(do.root)
    source = opened(do.name, do)
    padded = {k: [np.zeros(0, dtype=np.int64)] for k, m in source.modalities.items() if m.kind == "padded"}
    for part in (source.train, source.val, source.test):
        for start in range(0, len(part), 256):
            batch = part[start : start + 256]
            for k, steps in padded.items():
                steps.append(lengths(batch.inputs[k].numpy())[0])
    said = [f"{k}: rows are {spread(np.concatenate(steps))}" for k, steps in padded.items() if sum(map(len, steps))]
    rows = f"{len(source.train)} training, {len(source.val)} validation and {len(source.test)} test rows read"
    return [contents(source), *said, *vanished(source), rows]


def _describe(do: Info) -> None:
    from tuplet.catalog import READERS
    from tuplet.cli.checkup import checkup
    from tuplet.cli.contents import description

    if do.name in READERS and do.root is None:
        print(READERS[do.name].about)
    else:
        source = opened(do.name, do)
        print("\n".join([description(source), *checkup(source)]))


def _show(do: Show) -> None:
    from tuplet.catalog import READERS, SOURCES
    from tuplet.study._samples import about, write_samples

    source, name = opened(do.name, do), do.name.partition("?")[0]
    load: Callable[..., Source] | None = READERS[name].load if name in READERS else SOURCES.get(name)
    out = do.out or Path(f"{Path(name).stem}.html")
    print(write_samples(source, out, rows=do.rows, part=do.part, words=about(load) if load else []))


def _films(do: Films) -> None:
    from tuplet.model import film_features
    from tuplet.report.progress import Progress

    with Progress(f"films of {do.folder} -> {do.out}") as progress:
        towers = pairs("tower", do.tower)
        found = film_features(do.folder, do.out, towers, frames=do.frames, seconds=do.seconds, report=progress.advance)
    for name, count in found.vectors.items():
        print(f"{name}: {count} of {found.count} films have vectors -> {do.out / name}")
    for what, films in (("without sound", found.silent), ("unreadable", tuple(found.unreadable))):
        if films:
            print(f"{what}: {len(films)}, such as {', '.join(films[:3])}")
    for why in tuple(found.unreadable.values())[:3]:
        print(f"  {why}")


def _simulate(do: Simulate) -> None:
    from tuplet.data import Table
    from tuplet.simulators import simulate

    start = time.perf_counter()
    file = simulate(do.name, episodes=do.episodes, seed=do.seed, size=do.size, out=do.out, workers=do.workers)
    seconds = time.perf_counter() - start
    table = Table.open(file)
    made = file.stat().st_mtime >= time.time() - seconds - 1  # or it was in the cache
    rate = f"{do.episodes / seconds:.2f} episodes/s, {len(table) / seconds:.1f} rows/s" if made else "made before"
    print(f"{file}: {len(table)} rows, {file.stat().st_size / 1e6:.1f} MB, sha256 {table.sha256}")
    print(f"{do.episodes} episodes in {seconds:.1f} s: {rate}")
