"""Folder-safe names from any text: names come from users and from inside files, and must never choose a place."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST = 80
"""Characters of a safe name, at most."""
_PLAIN = re.compile(r"[a-z0-9_-](?:[a-z0-9._-]*[a-z0-9_-])?")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")


def shortened(text: str, *, length: int = 24) -> str:
    """Cut a long name for a picture or a table, its middle left out.

    Args:
        text: a name.
        length: characters, at most; 3 or more.

    Returns:
        The name, or its beginning and end around an ellipsis.

    Example:
        >>> shortened("left_hand.force", length=9)
        'left…orce'
    """
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[: length - 1 - half]}…{text[-half:]}"


def safe_name(text: str) -> str:
    """Make a name for one file or folder from any text.

    A plain text (lower-case ASCII letters, digits, ``_ - .``) is its own name. Any other text becomes its readable part,
    ``~``, and 20 hexadecimal digits of its SHA-256.

    Args:
        text: anything, such as the name of a modality or a data set.

    Returns:
        1 to ``LONGEST`` ASCII characters of ``a-z 0-9 _ - . ~``, the same for the same text in every process. Different texts
        have different names, also where a file system ignores case. Never ``.`` or ``..``, a hidden file, an option
        (``-x``), or a name that Windows reserves.

    Example:
        >>> safe_name("push_2.v1")
        'push_2.v1'
        >>> safe_name("../../etc/passwd"), safe_name("Force")
        ('etc_passwd~3754d6cb3a38e1185e5b', 'force~cfda1755ffb11565e5b6')
    """
    plain = _PLAIN.fullmatch(text) and not text.startswith("-") and not _DEVICES.fullmatch(text)
    if plain and len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]
    letters = unicodedata.normalize("NFKD", text[:1000]).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "_", letters).strip("_")[: LONGEST - 30].strip("_")
    return f"{words or 'name'}~{digest}"
