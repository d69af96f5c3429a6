"""The commands: which dataclass of options goes to which function, and how ``--help`` shows them."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable
from inspect import get_annotations, getsource
from typing import Annotated, Any, Union

from tyro.conf import arg, subcommand

from tuplet.cli.audit import Audit, audit
from tuplet.cli.bench import Bench, Report, bench, report
from tuplet.cli.data import Convert, Data, Info, Show, Simulate, Verify, data
from tuplet.cli.demo import Demo, demo
from tuplet.cli.embed import Embed, embed
from tuplet.cli.evaluate import Evaluate, evaluate
from tuplet.cli.explore import Explore, explore
from tuplet.cli.export import Export, export
from tuplet.cli.inspect import Inspect, inspect
from tuplet.cli.search import Index, Search, index, search
from tuplet.cli.serve import Serve, serve
from tuplet.cli.source import Reading
from tuplet.cli.sweep import Sweep, sweep
from tuplet.cli.train import Train, train

RUN: dict[type, Callable[..., None]] = {
    Demo: demo,
    Bench: bench,
    Audit: audit,
    Train: train,
    Evaluate: evaluate,
    Embed: embed,
    Inspect: inspect,
    Explore: explore,
    Index: index,
    Search: search,
    Serve: serve,
    Export: export,
    Report: report,
    Data: data,
    Sweep: sweep,
}
NAMES = tuple(command.__name__.lower() for command in RUN)
Command: Any = Union[tuple(Annotated[command, subcommand(name)] for command, name in zip(RUN, NAMES, strict=True))]  # noqa: UP007


def told(command: type) -> None:
    """Annotate the options of a dataclass for tyro, which would show ``(default: None)`` and break lines as the source does."""
    nothing = ("", "None", "False")  # what happens then stands in the text
    found = get_annotations(command)
    (body,) = ast.parse(textwrap.dedent(getsource(command))).body
    assert isinstance(body, ast.ClassDef)
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            name = ast.unparse(field.target)
            words = " ".join(str(text.value.value).split())
            shown = arg(help=words, help_behavior_hint=lambda seen: "" if seen in nothing else f"[default: {seen}]")
            found[name] = Annotated[found[name], shown]
    command.__annotations__ = found


for options in (Reading, *(k for k in RUN if k is not Data), Convert, Info, Show, Simulate, Verify):
    told(options)
