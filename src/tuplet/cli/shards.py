"""A job of shards: each is a task that writes a file of its own, so that a job that was stopped computes what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tuplet.errors import InputError
from tuplet.io import fresh, read_state
from tuplet.report.progress import Progress
from tuplet.store._shards import part
from tuplet.study._ledger import MARKER, SCHEMA, Ledger
from tuplet.study._run import run
from tuplet.study.record import Record
from tuplet.study.suite import Cell


@dataclass(frozen=True, order=True)
class Shard(Cell):
    """One shard; its file is its record."""

    @property
    def file(self) -> str:
        """Return the shard's file."""
        return part(self.seed, (self.settings or {})["shards"])

    @property
    def title(self) -> str:
        """Return the shard's name for people."""
        return f"shard {self.seed}"


class Files(Ledger):
    """The folder of a job: a shard is finished when its file is there."""

    anew = "--force"

    def claim(self, name: str, factory: str) -> bool:
        """Mark the folder; what killed tasks left half written goes."""
        super().claim(name, factory)
        for path in self.folder.glob(".part-*.part"):
            path.unlink(missing_ok=True)
        return False  # the mark stays whatever happens: other tasks may have written their files

    def get(self, cell: Cell) -> list[Record]:
        """Return no records: there are none."""
        return []

    def put(self, cell: Cell, records: list[Record]) -> None:
        """Forget why a shard failed before: its task has written its file."""
        self._error(cell).unlink(missing_ok=True)


@dataclass(frozen=True)
class Job:
    """A study whose cells are shards; ``write`` takes the text that marks the folder, a shard's number, and its file."""

    out: Path
    shards: int
    factory: str
    write: Callable[[str, int, Path], None]
    name: str = "embed"

    def cells(self, ledger: Ledger) -> list[Cell]:
        """List the shards."""
        return [Shard("", "", "", k, {"shards": self.shards}) for k in range(self.shards)]

    def run(self, cell: Cell) -> list[Record]:
        """Write the file of a shard."""
        self.write(self.factory, cell.seed, self.out / cell.file)
        return []


def finish(job: Job, *, workers: int | None, executor: str | None, force: bool) -> None:
    """Run the shards that are missing; afterwards none is."""
    out = job.out
    if force:
        fresh(out)
    elif out.is_file():
        raise InputError(f"out {out} is a file; shards are written to a folder: choose another name")
    elif out.exists() and any(not p.name.startswith(".") for p in out.iterdir()):
        read_state(out / MARKER, SCHEMA, fix="choose another --out, or start a job of shards anew with --force")
    with Progress(f"{job.shards} shards -> {out}") as progress:
        run(job, out, workers=workers, executor=executor, report=progress.advance, strict=True, kind=Files)
    if missing := [k for k in range(job.shards) if not (out / part(k, job.shards)).exists()]:
        raise InputError(
            f"{len(missing)} of {job.shards} shards are missing, as their processes died (out of memory?); run the same "
            f"command again, with fewer --workers"
        )
