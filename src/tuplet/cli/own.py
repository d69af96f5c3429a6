"""The suite of a user's data: built from what the folder's mark says, so that workers and reports can build it again."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tuplet.cli.source import NOTED, Reading, opened
from tuplet.errors import InputError
from tuplet.io import parse_state

if TYPE_CHECKING:
    from tuplet.data import Source
    from tuplet.study import Suite
    from tuplet.study._regimes import Starts

NAME = "tuplet.cli.own:own"
OWN = {"own": NAME}
"""Name in a run folder -> what builds the suite, as in `tuplet.suites.SUITES`."""
_PLAN = {
    **dict.fromkeys(("data", "title", "target", "kind", "fingerprint"), str),
    **{"modalities": [str], "size": int, "rows": int, "reading": NOTED},
    **{"start?": {"random", "gcca", "both"}, "unstarted?": str},
}


def described(data: str, how: Reading, start: Starts | None = None, *, shown: bool = True) -> str:
    """Open the data of a command and write down what a suite needs to know of them."""
    from tuplet.cli.contents import contents
    from tuplet.study._ledger import marked
    from tuplet.suites.own import chosen_target

    file, mark, options = data.partition("?")
    place = str(Path(file).resolve()) + mark + options if Path(file).exists() else data
    source = opened(data, how)
    name = chosen_target(source, how.target)
    if shown:
        print(contents(source))
    if not len(source.val) or not len(source.test) or len(source.train) < 2:
        raise InputError(
            f"{data} has {len(source.train)}, {len(source.val)} and {len(source.test)} rows to train, validate and test, "
            f"expected at least 2, 1 and 1; give more rows"
        )
    start, unstarted = ("random", "") if start == "random" else _allowed(source, start)
    found = {
        "data": place,
        "reading": replace(how, root=how.root and how.root.resolve()).note(),
        "title": source.name,
        "target": name,
        "kind": source.targets[name].kind if name else "",
        "size": source.targets[name].size if name else 0,
        "modalities": sorted(source.modalities),
        "rows": len(source.train),
        "fingerprint": source.fingerprint,
        "start": start,
        "unstarted": unstarted,
    }
    return marked(NAME, found)


def _allowed(source: Source, start: Starts | None) -> tuple[Starts, str]:
    """Say with which starts the data can be compared; what was asked for is refused where it cannot be had."""
    from tuplet.model import AlignmentModel, ClosedFormError

    try:
        AlignmentModel.for_source(source, start="gcca", ridge=0.1)  # what is refused does not depend on the ridge
    except ClosedFormError as error:
        if start is not None:
            raise
        return "random", error.why
    return start or "both", ""


def own(plan: str) -> Suite:
    """Build the suite of a user's data."""
    from tuplet.study._ledger import marked
    from tuplet.suites.own import comparison

    found = parse_state(plan, _PLAN, where="suite.json: plan")
    factory = marked(NAME, json.loads(plan))
    fingerprint = found.pop("fingerprint")
    data, how = found.pop("data"), Reading.noted(found.pop("reading"))
    modalities = tuple(found.pop("modalities"))
    load = partial(_same, data, how, fingerprint)
    return comparison(load, factory=factory, modalities=modalities, **found)


def _same(data: str, how: Reading, fingerprint: str) -> Source:
    source = opened(data, how)
    if source.fingerprint != fingerprint:
        raise InputError(f"{data} has changed since this comparison began; start it anew with --fresh")
    return source
