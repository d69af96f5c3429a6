"""Turns docstrings into Markdown: formulas, inline mathematics and the names of objectives."""

import re
import textwrap
from collections.abc import Callable


def markdown(text: str, link: Callable[[str], str | None] = lambda name: None) -> str:
    """Rewrite a docstring's reStructuredText marks.

    Args:
        text: with ``.. math::``, ``:math:`x```, double backticks for code and single ones for names.
        link: name in single backticks -> address of its page, or None to leave it as code.

    Returns:
        Markdown with ``$$``, ``$`` and single backticks.
    """
    text = re.sub(r"^([ ]*)\.\. math::([^\n]*)\n((?:\1[ ]+\S[^\n]*\n|[ ]*\n)*)", _display, text + "\n", flags=re.M)
    text = re.sub(r":math:`([^`]+)`", r"$\1$", text)
    text = re.sub(r"(?<!`)`([\w.]+)`(?!`)", lambda m: _named(m[1], link(m[1])), text)
    return re.sub(r"``([^`]+)``", r"`\1`", text).rstrip("\n")


def _display(found: re.Match[str]) -> str:
    margin, first, rest = found.groups()
    body = "\n".join(part for part in (first.strip(), textwrap.dedent(rest).strip()) if part)
    return f"\n{margin}$$\n{textwrap.indent(body, margin)}\n{margin}$$\n\n"


def _named(name: str, address: str | None) -> str:
    return f"`{name}`" if address is None else f"[`{name}`]({address})"
