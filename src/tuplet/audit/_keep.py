"""Finished pieces of an audit in a folder, so that a stopped one continues."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from tuplet.information.pid import PARTS, TERMS
from tuplet.io import AnyOf, Between, parse_state, read_state, write_atomic
from tuplet.types import InputError

T = TypeVar("T")
NAME = "audit.json"
FILE = {"schema": Between(int, 1, 1), "settings": {...: object}, "pieces": {...: object}}
DECOMPOSED = {
    **dict.fromkeys((*PARTS, *TERMS, "gap"), float),
    "units": {"bits", "nats"},
    "definition": str,
    "estimator": str,
    "corrected": bool,
    "samples": AnyOf(None, Between(int, 0)),
    "null": AnyOf(None, {...: {...: float}}),
    "interval": AnyOf(None, dict.fromkeys((*PARTS, *TERMS), (float, float))),
    "significant": AnyOf(None, dict.fromkeys(PARTS, bool)),
    "warnings": [str],
}
"""A `tuplet.information.PID` in the file."""
TRIED = {
    "strengths": [Between(float, 0)],
    "seeds": [int],
    "metric": {"accuracy", "r2"},
    "scores": {...: [[float]]},
    "gain": [float],
    "covariance": [[float]],
    "rows": Between(int, 0),
    "fitted": {...: float},
    "chance": float,
    "groups": AnyOf(None, Between(int, 0)),
    "folds?": Between(int, 1),
    "bar?": AnyOf(None, float),
    "freedom?": AnyOf(None, Between(float, 1)),
}
"""A `tuplet.audit.Pilot` in the file."""
_NUMBER = AnyOf(None, float)
_SCORE = {"value": _NUMBER, "chance?": _NUMBER, "low": _NUMBER, "high": _NUMBER}
COMPARED = {"mutual_knn": dict.fromkeys(("value", "chance", "low", "high"), _NUMBER), "cka": _SCORE, ...: _SCORE}
"""Similarities in the file; null is a number that is not defined."""


class Kept:
    """Pieces by name, in one file that is written anew after each."""

    def __init__(self, out: Path | None, settings: dict[str, Any]) -> None:
        self.file = None if out is None else Path(out) / NAME
        self.content: dict[str, Any] = {"schema": 1, "settings": json.loads(json.dumps(settings)), "pieces": {}}
        self.new = self.file is not None and not self.file.exists()
        if self.file is None:
            return
        for marker in ("run.json", "suite.json"):
            if (self.file.parent / marker).exists():
                raise InputError(f"{self.file.parent} holds another run ({marker}); choose another --out")
        if self.new:
            return
        found = read_state(self.file, FILE)
        changed = [k for k, v in self.content["settings"].items() if found["settings"].get(k) != v]
        if changed:
            k = changed[0]
            raise InputError(
                f"{self.file.parent} holds an audit with {k} = {found['settings'].get(k)}, this one has {k} = "
                f"{self.content['settings'][k]}; choose another --out, or start this folder anew with --fresh"
            )
        self.content["pieces"] = found["pieces"]

    def __enter__(self) -> Kept:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        """Remove a new file if the audit was refused."""
        if self.new and self.file is not None and isinstance(error, InputError):
            self.file.unlink(missing_ok=True)

    def get(self, name: str, make: Callable[[], T], schema: Any, kind: Callable[..., T] | None = None) -> T:
        """Return a piece, made now unless it is kept; ``schema`` is its form in the file, ``kind`` rebuilds it from that."""
        pieces = self.content["pieces"]
        if name not in pieces:
            made = make()
            plain = asdict(made) if is_dataclass(made) and not isinstance(made, type) else made
            pieces[name] = _defined(json.loads(json.dumps(plain, default=lambda number: number.item())))
            if self.file is not None:
                write_atomic(self.file, json.dumps(self.content, allow_nan=False).encode())
        return restored(self.file, name, pieces[name], schema, kind)  # through JSON always: a continued audit is the same


def restored(file: Path | None, name: str, piece: Any, schema: Any, kind: Callable[..., T] | None) -> T:
    """Read a piece back."""
    kept = parse_state(json.dumps(piece), schema, where=f"{file or 'audit'}, {name}")
    return kept if kind is None else kind(**{k: tuples(v) for k, v in kept.items()})


def _defined(value: Any) -> Any:
    """Write null for what is no number."""
    if isinstance(value, dict):
        return {k: _defined(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_defined(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def tuples(value: Any) -> Any:
    """Make lists, as JSON has them, the tuples that they were."""
    if isinstance(value, dict):
        return {k: tuples(v) for k, v in value.items()}
    return tuple(map(tuples, value)) if isinstance(value, list) else value
