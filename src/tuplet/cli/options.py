"""How ``--help`` shows the options of a command: no default that says nothing, and lines that fill the box."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Annotated

from tyro.conf import arg


def told(command: type) -> None:
    """Annotate the options of a dataclass for tyro, which would show ``(default: None)`` and break lines as the source does."""
    found = inspect.get_annotations(command)
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(command))).body
    assert isinstance(body, ast.ClassDef)
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            name = ast.unparse(field.target)
            words = " ".join(str(text.value.value).split())
            found[name] = Annotated[found[name], arg(help=words, help_behavior_hint=_default)]
    command.__annotations__ = found


def _default(shown: str) -> str:
    """Show a default unless it is nothing: what happens then stands in the text."""
    return "" if shown in ("", "None", "False") else f"[default: {shown}]"
