"""Words that several pages share, and how names and numbers are kept short."""

from __future__ import annotations

SENTENCES = {
    "yes": "Align {}",
    "perhaps": "Aligning {} may help",
    "no": "Do not align {}",
    "rather not": "Aligning {} may do harm",
    "no difference": "Aligning {} probably makes no difference",
    "no clear difference": "Aligning {} makes no clear difference",
    "it depends": "Aligning {} helps one of them and harms the other",
    "unknown": "Whether to align {} is unknown",
}
"""Answer to "should these be aligned?" -> how a sentence with it begins."""


def cut(name: str, longest: int = 28) -> str:
    """Shorten a name for a figure or a table."""
    return name if len(name) <= longest else name[: longest - 1] + "…"
