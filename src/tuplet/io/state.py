"""State on disk is read here and nowhere else: JSON against a schema, so that a damaged file is one line and no traceback.

A schema is a Python value that looks like the content:

============================  ==========================================================================
``str``, ``int``, ``bool``    of that type; ``float`` takes whole numbers too; ``None`` is null
``object``                    anything
``Between(int, 0, 9)``        a number from 0 to 9, both included
``{"a", "b"}``                one of these words
``[s]``                       a list of ``s``
``(s, t)``                    a list of one ``s`` and one ``t``
``{"a": s, "b?": t}``         a dict with the key ``a``, perhaps ``b``, and no other
``{...: s}``                  a dict with any other keys, each with an ``s``; may stand beside named keys
``AnyOf(s, t)``               an ``s`` or a ``t``
============================  ==========================================================================

Whatever the schema says, a file holds UTF-8, no NaN or infinity, no key twice, no half of a surrogate pair, no whole number
beyond 64 bits, and is nested at most ``DEPTH`` deep.
"""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuplet.errors import InputError

DEPTH = 32
"""Lists and dicts within each other, at most."""
LARGEST = 2**28
"""Bytes of a file, at most."""
FIX = "start the folder anew with --fresh, or restore the file"
"""What to do about a damaged file, if the caller knows nothing better."""
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}


@dataclass(frozen=True)
class Between:
    """A number from ``low`` to ``high``, both included."""

    kind: type[int] | type[float]
    low: float | int = -math.inf
    high: float | int = math.inf


class AnyOf:
    """One of several schemas."""

    def __init__(self, *schemas: Any) -> None:
        self.schemas = schemas


class _FaultError(Exception):
    """Where, what was seen, what was expected."""


class _NewerError(Exception):
    """A newer version wrote the file."""


def read_state(path: Path, schema: Any, *, fix: str = FIX, largest: int = LARGEST) -> Any:
    """Read a JSON file that tuplet wrote, and refuse one that it cannot have written.

    Args:
        path: the file.
        schema: see above. A key ``schema`` says which versions are read: a file with a higher one asks for a newer tuplet.
        fix: ends the error: what to do about a damaged file.
        largest: bytes of the file, at most.

    Returns:
        The content; with a dict as schema, a dict.

    Raises:
        InputError: naming the file, the key, what was seen and what was expected.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "run.json")
        ...     _ = path.write_text('{"seed": 1, "names": ["a"]}')
        ...     read_state(path, {"seed": int, "names": [str], "note?": str})
        ...     read_state(path, {"seed": str, "names": [str]})
        Traceback (most recent call last):
        tuplet.types.InputError: ...run.json: seed is 1, expected a text; start the folder anew with --fresh, or restore...
    """
    try:
        seen = path.stat()
        if not stat.S_ISREG(seen.st_mode):
            raise InputError(f"{path} is no file; {fix}")
        if seen.st_size > largest:
            raise InputError(f"{path} has {seen.st_size} bytes, expected at most {largest}; {fix}")
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is not there; {fix}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise InputError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); {fix}") from None
    return parse_state(content, schema, where=str(path), fix=fix)


def parse_state(content: bytes | str, schema: Any, *, where: str, fix: str = FIX) -> Any:
    """Read JSON that tuplet wrote, such as one line of a log or the metadata of a checkpoint.

    Args:
        content: the JSON.
        schema, fix: as in `read_state`.
        where: begins the error: the file, and the line if it has several.

    Returns:
        The content.

    Raises:
        InputError: as `read_state` does.

    Example:
        >>> parse_state('{"a": 1, "a": 2}', {"a": int}, where="run.json", fix="remove it")
        Traceback (most recent call last):
        tuplet.types.InputError: run.json: the key 'a' is there twice; remove it
    """
    try:
        text = content.decode() if isinstance(content, bytes) else content
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite)
        _plain(value, 0)
        _check(value, schema, "")
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8 (byte {error.start}); {fix}") from None
    except RecursionError:
        raise InputError(f"{where} is nested more than {DEPTH} deep; {fix}") from None
    except _NewerError as newer:
        raise InputError(f"{where}: {newer}") from None
    except _FaultError as fault:
        raise InputError(f"{where}{' ' if str(fault).startswith('is ') else ': '}{fault}; {fix}") from None
    except ValueError as error:
        raise InputError(f"{where} is no JSON ({str(error).splitlines()[0]}); {fix}") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [k for k, _ in pairs]
        raise _FaultError(f"the key {_shown(next(k for k in found if keys.count(k) > 1))} is there twice")
    return found


def _constant(text: str) -> float:
    raise _FaultError(f"{text} is there, expected finite numbers only")


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise _FaultError(f"{text[:40]} is there, expected numbers below 1.8e308")
    return value


def _plain(value: Any, depth: int) -> None:
    """Refuse what no schema allows."""
    if depth > DEPTH:
        raise _FaultError(f"is nested more than {DEPTH} deep")
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            raise _FaultError(f"{_shown(value)} is there, expected texts without NUL and halves of surrogate pairs")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise _FaultError(f"{_shown(value)} is there, expected whole numbers of 64 bits")
    elif isinstance(value, dict | list):
        for part in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
            _plain(part, depth + 1)


def _check(value: Any, schema: Any, key: str) -> None:
    """Raise a `_FaultError` where a value is not what a schema says."""
    fits = True
    if isinstance(schema, AnyOf):
        _any(value, schema, key)
    elif isinstance(schema, dict):
        fits = isinstance(value, dict)
        if fits:
            _dict(value, schema, key)
    elif isinstance(schema, tuple | list):
        fits = isinstance(value, list) and (isinstance(schema, list) or len(value) == len(schema))
        if fits:
            kinds: Iterable[Any] = schema * len(value) if isinstance(schema, list) else schema
            for number, (part, kind) in enumerate(zip(value, kinds, strict=True)):
                _check(part, kind, f"{key}[{number}]")
    elif isinstance(schema, Between):
        fits = _is(value, schema.kind) and schema.low <= value <= schema.high
        if key == "schema" and _is(value, int) and value > schema.high:
            raise _NewerError(f"schema is {value}, this tuplet reads up to {schema.high:g}; upgrade tuplet")
    elif isinstance(schema, set):
        fits = isinstance(value, str) and value in schema
    elif schema is not object:
        fits = _is(value, type(None) if schema is None else schema)
    if not fits:
        raise _FaultError(f"{key or 'the content'} is {_shown(value)}, expected {_said(schema)}")


def _dict(value: dict[str, Any], schema: dict[Any, Any], key: str) -> None:
    named = {k.removesuffix("?"): s for k, s in schema.items() if k is not ...}
    start = f"{key}." if key else ""
    for name, kind in named.items():
        if name in value:
            _check(value[name], kind, start + name)
        elif f"{name}?" not in schema:
            raise _FaultError(f"{start}{name} is missing, expected {_said(kind)}")
    for name in value.keys() - named.keys():
        if ... not in schema:
            raise _FaultError(f"{start}{_shown(name)[1:-1]} is there, expected only {', '.join(named)}")
        _check(value[name], schema[...], start + _shown(name)[1:-1])


def _any(value: Any, schema: AnyOf, key: str) -> None:
    faults = []
    for one in schema.schemas:
        try:
            return _check(value, one, key)
        except _FaultError as fault:
            faults.append(fault)
    start = f"{key or 'the content'} is {_shown(value)}, expected "
    within = [fault for fault in faults if not str(fault).startswith(start)]  # of the right type, wrong inside
    raise within[0] if within else _FaultError(start + _said(schema))


def _is(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


def _said(schema: Any) -> str:
    if isinstance(schema, AnyOf):
        return " or ".join(map(_said, schema.schemas))
    if isinstance(schema, Between):
        low = f" >= {schema.low:g}" if schema.low > -math.inf else ""
        high = f" <= {schema.high:g}" if schema.high < math.inf else ""
        return _WORDS[schema.kind] + (f"{low} and{high}" if low and high else low + high)
    if isinstance(schema, dict):
        return "a dict"
    if isinstance(schema, list | tuple):
        return "a list" if isinstance(schema, list) else f"a list of {len(schema)}"
    if isinstance(schema, set):
        return f"one of {', '.join(sorted(schema))}"
    return "anything" if schema is object else _WORDS[type(None) if schema is None else schema]


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"a {'dict' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"
