"""The one error for bad input, and the checks that raise it most. Imports nothing large, so that a command starts at once."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Real


class InputError(ValueError):
    """Bad input: one line that names the argument, what was seen, what was expected and the fix."""

    __module__ = "tuplet.types"  # the name by which users import it, and see it

    def __init__(self, told: object = "") -> None:
        super().__init__(plain_text(str(told)))


def plain_text(text: str) -> str:
    r"""Spell out what no terminal or file can hold, or what would end a line: control characters and lone surrogates."""
    return "".join(repr(c)[1:-1] if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)


def one_of(argument: str, value: object, allowed: tuple[object, ...]) -> None:
    """Refuse a misspelt option, which would otherwise choose another algorithm."""
    if value not in allowed:
        raise InputError(f"{argument} is {value!r}, expected {' or '.join(map(repr, allowed))}")


def some_of(argument: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Refuse names that are not there."""
    if unknown := sorted(set(given) - set(known := list(allowed)), key=str):
        raise InputError(f"{argument} names {[given] if isinstance(given, str) else unknown}, expected some of {known}")


def in_range(argument: str, value: float | int, low: float | int, high: float | int = math.inf) -> None:
    """Refuse what is no number, one below ``low``, or one that reaches ``high``."""
    if not (_number(value) and low <= value < high):
        _refuse(argument, value, f">= {low}" if high == math.inf else f"in [{low}, {high})")


def positive(argument: str, value: float | int) -> None:
    """Refuse what is no number, or one that is not above 0, or infinite."""
    if not (_number(value) and 0 < value < math.inf):
        _refuse(argument, value, "> 0")


def _number(value: object) -> bool:
    """Tell one number, an array or a tensor of one too, from text, dates and several."""
    kind = str(getattr(value, "dtype", ""))
    return isinstance(value, Real) or (getattr(value, "shape", None) == () and ("int" in kind or "float" in kind))


def _refuse(argument: str, value: object, bound: str) -> None:
    if not _number(value):
        raise InputError(f"{argument} is {value!r}, expected a number {bound}")
    raise InputError(f"{argument} is {value}, expected a {'finite ' * (value == math.inf)}number {bound}")


@contextmanager
def importing(fix: str) -> Iterator[None]:
    """Say where an import fails what needs the package, and how to get it; ``{package}`` is the one that is absent."""
    try:
        yield
    except ImportError as error:
        raise InputError(fix.replace("{package}", str(error.name))) from None
