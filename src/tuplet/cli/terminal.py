"""What a terminal can show, and what people type into it."""
# ruff: noqa: RUF001

from __future__ import annotations

import codecs
import contextlib
import difflib
import io
import os
import sys
import traceback
import unicodedata
from pathlib import Path
from typing import Any

from tuplet.errors import InputError

PLAIN = {
    **dict.fromkeys("╭╮╰╯├┤┬┴┼┌┐└┘┏┓┗┛┡┩╇╈", "+"),
    **dict.fromkeys("─━═╌╴╶╸╺–—−", "-"),
    **dict.fromkeys("│┃║", "|"),
    **{"λ": "lambda", "τ": "tau", "±": "+-", "×": "x", "·": "*", "•": "*", "…": "...", "→": "->", "←": "<-"},
    **{"≤": "<=", "≥": ">=", "≈": "~", "²": "^2", "³": "^3", "µ": "u", "μ": "u", "█": "#", "✓": "v"},
    **{"‘": "'", "’": "'", "“": '"', "”": '"', "↑": "^", "↓": "v", "°": "deg"},
}
"""What stands for a character in a terminal that has ASCII only."""


def speak() -> None:
    """Let no character end a command: what a terminal cannot show is spelt in ASCII."""
    codecs.register_error("tuplet", _spelt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="tuplet")


def _spelt(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    shown = []
    for c in error.object[error.start : error.end]:
        if "\udc80" <= c <= "\udcff":
            shown.append(f"\\x{ord(c) - 0xDC00:02x}")
            continue
        plain = unicodedata.normalize("NFKD", c).encode("ascii", "ignore").decode()
        shown.append(PLAIN.get(c) or plain or "?")
    return "".join(shown), error.end


def check(arguments: list[str]) -> None:
    """Refuse arguments that no file name and no option can hold."""
    for text in arguments:
        if "\0" in text:
            raise InputError(f"the argument {text!r} has a NUL character; leave it out")
        if any("\ud800" <= c <= "\udfff" for c in text):
            seen, encoding = repr(os.fsencode(text))[1:], sys.getfilesystemencoding()
            raise InputError(f"the argument {seen} is no text in {encoding}; rename the file, or set LC_ALL=C.UTF-8")


def parsed(arguments: list[str]) -> Any:
    """Parse a command line."""
    import tyro
    from tyro.conf import DisallowNone, FlagCreatePairsOff, PositionalMetavarFromFieldName

    from tuplet.cli.commands import NAMES, Command

    if not arguments:
        arguments = ["--help"]
    if arguments[0] not in NAMES and not arguments[0].startswith("-"):
        near = difflib.get_close_matches(arguments[0], NAMES, 1)
        fix = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(NAMES)};"
        raise InputError(f"the command is {arguments[0]!r}, {fix} `tuplet --help` lists all commands")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                Command,
                args=arguments,
                prog="tuplet",
                description="Align any number of modalities.",
                config=(DisallowNone, FlagCreatePairsOff, PositionalMetavarFromFieldName),
            )
    except SystemExit as end:
        if not end.code:
            return 0
        words = [word for word in arguments[: 2 if arguments[0] == "data" else 1] if word.isalpha()]
        raise InputError(f"{_condensed(said.getvalue())}; see `{' '.join(('tuplet', *words))} --help`") from None


def _condensed(box: str) -> str:
    """Make one line of the box in which tyro explains an error: what stands between its title and its next rule."""
    words: list[str] = []
    for line in [line.strip("│|") for line in box.splitlines()[1:]]:
        if not line.strip("─- "):  # a rule, or nothing
            if words:
                break
        elif not line.startswith(" " * 9):  # those are help texts
            words.append(line.strip())
    text = " ".join(words).rstrip(".")
    return text[:1].lower() + (text[1:] if len(text) <= 200 else f"{text[1:197]} ...")


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line."""
    text = "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else " " for c in str(error))
    return " ".join(text.split()) or type(error).__name__


def out_of_memory(error: Exception) -> str | None:
    """Return what to say if an error means that memory ran out."""
    words = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")
    found = str(error).lower()
    if not isinstance(error, MemoryError) and not any(word in found for word in words):
        return None
    what = f" ({one_line(error)[:160]})" if str(error) else ""
    return f"not enough memory{what}; ask for fewer rows, a smaller batch or fewer workers"


def internal(error: Exception) -> str:
    """Return what to say of an error that nobody foresaw."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return (
        f"{type(error).__name__}: {one_line(error)[:300]}{where}; TUPLET_DEBUG=1 shows the traceback; please report it, "
        "if it is not from your recipe"
    )
