"""Start a run folder anew, without ever removing what somebody else put there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from tuplet.errors import InputError
from tuplet.io.files import locked

MARKERS = ("run.json", "suite.json", "audit.json", "demo.json", "index.json", "towers.json")
"""Files by which a folder is known to be a run's."""
WRITTEN = (
    *MARKERS,
    *("checkpoint.safetensors", "config.json", "model.safetensors", "train.jsonl", "README.md", "samples.json"),
    *("report.html", "table.md", "table.csv", "table.tex", "curve.svg", "retrieval.svg"),
    *("store.safetensors", "*.faiss", "*.onnx", "*.pt2", "part-*-of-*.parquet", "part-*-of-*.error.json"),
    *("cells/*/*.error.json", "cells/*/*.s*.jsonl", "cells/*.s*.jsonl"),
    *(f"audit/{name}" for name in ("audit.json", "report.html", "table.md", "*.svg")),
    *("records/*.json", *(f"models/*/{name}" for name in ("*.json", "*.jsonl", "*.safetensors", "README.md"))),
)
"""All that commands write to a run folder; ``*`` stays within a folder. A command that writes more adds it here."""
_SCRATCH = re.compile(r"\..+\.\d+(\.[0-9a-f]{8})?\.part|\.lock")


def fresh(folder: Path) -> None:
    """Empty a run folder, so that a command begins anew in it. Call it after all arguments are checked.

    Of several training processes only the first one (``RANK`` or ``LOCAL_RANK`` 0) removes anything.

    Args:
        folder: that a command of tuplet wrote to. Nothing happens if it is missing or empty.

    Raises:
        InputError: and nothing is removed, if the folder is no run's, holds anything that tuplet did not write, or is in use.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as made:
        ...     for name in ("run.json", "train.jsonl"):
        ...         _ = Path(made, name).write_text("{}")
        ...     fresh(Path(made))
        ...     print(sorted(p.name for p in Path(made).iterdir() if p.name != ".lock"))
        ...     _ = Path(made, "run.json").write_text("{}"), Path(made, "thesis.tex").write_text("")
        ...     fresh(Path(made))
        Traceback (most recent call last):
        tuplet.types.InputError: ... holds thesis.tex, which tuplet did not write; move it away, or choose another --out
    """
    if int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) or not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"out is {folder}, which is a file; choose another --out")
    with locked(folder):
        entries = list(_walk(folder))
        files = [p for p in entries if not (p.is_dir() and not p.is_symlink())]
        names = {p: p.relative_to(folder).as_posix() for p in files}
        for path, name in names.items():
            known = _SCRATCH.fullmatch(path.name) or any(fnmatchcase(name, pattern) for pattern in _patterns(name))
            if path.is_symlink() or not path.is_file() or not known:
                raise InputError(f"{folder} holds {name}, which tuplet did not write; move it away, or choose another --out")
        own = [p for p in files if not _SCRATCH.fullmatch(p.name)]
        if own and not any((folder / name).is_file() for name in MARKERS):
            raise InputError(
                f"{folder} is no run folder (it has none of {', '.join(MARKERS)}); empty it, or choose another --out"
            )
        for path in files:
            if path != folder / ".lock":
                path.unlink()
        for path in reversed(entries):  # folders, the deepest first
            if path not in names:
                path.rmdir()


def _walk(folder: Path) -> Iterator[Path]:
    """Yield all below a folder, parents first; links are not followed."""
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def _patterns(name: str) -> list[str]:
    """Return the patterns of a file's depth: ``*`` must not reach into folders."""
    return [p for p in WRITTEN if p.count("/") == name.count("/")]
