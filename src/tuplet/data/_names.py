"""Which strings name a modality, a target or a class."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from tuplet.types import InputError


def check_names(argument: str, names: Iterable[object]) -> list[str]:
    """Refuse names that no terminal, file or log can hold; any other non-empty string is a name."""
    checked = []
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"{argument} has the name {str(name)[:80]!r} of type {type(name).__name__}, expected text")
        if not name:
            raise InputError(f"{argument} has an empty name, expected text such as 'force'")
        if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
            raise InputError(
                f"{argument} has the name {name[:80]!a}, which has control characters or lone surrogates; rename it"
            )
        checked.append(name)
    return sorted(checked)


def plain_text(text: str) -> str:
    r"""Spell out what no terminal or file can hold: control characters and lone surrogates."""
    return "".join(repr(c)[1:-1] if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
