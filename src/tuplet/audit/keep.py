"""Finished pieces of an audit in a folder, so that a stopped one continues."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from tuplet.io.files import write_atomic
from tuplet.types import InputError

T = TypeVar("T")
NAME = "audit.json"


class Kept:
    """Pieces by name, in one file that is written anew after each.

    Args:
        out: folder; None keeps nothing.
        settings: what the pieces depend on.

    Raises:
        InputError: if the folder holds the pieces of an audit with other settings, a run of another command, or a damaged file.

    As a context, it removes a file that it made if the audit is refused later: bad input leaves nothing behind.

    Example:
        >>> Kept(None, {}).get("answer", lambda: 42)
        42
    """

    def __init__(self, out: Path | None, settings: dict[str, Any]) -> None:
        self.file = None if out is None else Path(out) / NAME
        self.content: dict[str, Any] = {"schema": 1, "settings": json.loads(json.dumps(settings)), "pieces": {}}
        self.new = self.file is not None and not self.file.exists()
        if self.file is None:
            return
        for marker in ("run.json", "suite.json"):
            if (self.file.parent / marker).exists():
                raise InputError(f"{self.file.parent} holds another run ({marker}); choose another out folder")
        if self.new:
            return
        try:
            found = json.loads(self.file.read_text())
            there = found["settings"]
            pieces = dict(found["pieces"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{self.file} is no readable audit; remove it, or choose another out folder") from None
        changed = [k for k in self.content["settings"] if there.get(k) != self.content["settings"][k]]
        if changed:
            k = changed[0]
            raise InputError(
                f"{self.file.parent} holds an audit with {k} = {there.get(k)}, this one has {k} = "
                f"{self.content['settings'][k]}; choose another out folder"
            )
        self.content["pieces"] = pieces

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        if self.new and self.file is not None and isinstance(error, InputError):
            self.file.unlink(missing_ok=True)

    def get(self, name: str, make: Callable[[], T], kind: Callable[..., T] | None = None) -> T:
        """Return a piece, made now unless it is kept; ``kind`` rebuilds it from its fields."""
        pieces = self.content["pieces"]
        if name not in pieces:
            made = make()
            plain = asdict(made) if is_dataclass(made) and not isinstance(made, type) else made
            pieces[name] = json.loads(json.dumps(plain, default=lambda number: number.item()))
            if self.file is not None:
                write_atomic(self.file, json.dumps(self.content).encode())
        kept = pieces[name]  # through JSON always, so that a continued audit is the same
        return kept if kind is None else kind(**{k: tuples(v) for k, v in kept.items()})


def tuples(value: Any) -> Any:
    """Make lists, as JSON has them, the tuples that they were.

    Args:
        value: of lists and dicts, nested.

    Returns:
        The same of tuples and dicts.

    Example:
        >>> tuples({"interval": [[0.0, 1.0]]})
        {'interval': ((0.0, 1.0),)}
    """
    if isinstance(value, dict):
        return {k: tuples(v) for k, v in value.items()}
    return tuple(map(tuples, value)) if isinstance(value, list) else value
