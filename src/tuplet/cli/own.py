"""The suite of a user's data: built from what the folder's mark says, so that workers and reports can build it again."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tuplet.cli.source import opened
from tuplet.errors import InputError
from tuplet.io import parse_state

if TYPE_CHECKING:
    from tuplet.bench import Suite
    from tuplet.data import Source

_PLAN = {
    **dict.fromkeys(("data", "root", "title", "target", "kind", "fingerprint"), str),
    **{"modalities": [str], "size": int, "rows": int},
}


def described(data: str, *, root: Path | None, modalities: tuple[str, ...], target: str | None) -> str:
    """Open the data of a command and write down what a suite needs to know of them.

    Args:
        data: as on the command line.
        root: as on the command line.
        modalities: those to compare on; all when empty.
        target: what probes predict, or None.

    Returns:
        A factory for `tuplet.bench.cell.load_suite`.

    Raises:
        InputError: as `tuplet.cli.source.opened`, or for unknown modalities or targets.

    Example:
        >>> described("digits", root=None, modalities=("fourier", "zernike"), target=None)[:15]
        'tuplet.cli.own:'
    """
    from tuplet.bench.show import contents
    from tuplet.bench.suites.own import chosen_target

    file, mark, options = data.partition("?")
    place = str(Path(file).resolve()) + mark + options if Path(file).is_file() else data
    source = opened(data, root)
    if modalities:
        source = source.select(modalities)
    name = chosen_target(source, target)
    print(contents(source))
    if not len(source.val) or not len(source.test) or len(source.train) < 2:
        raise InputError(
            f"{data} has {len(source.train)}, {len(source.val)} and {len(source.test)} rows to train, validate and test, "
            f"expected at least 2, 1 and 1; give more rows"
        )
    found = {
        "data": place,
        "root": str(root.resolve()) if root else "",
        "title": source.name,
        "target": name,
        "kind": source.targets[name].kind if name else "",
        "size": source.targets[name].size if name else 0,
        "modalities": sorted(source.modalities),
        "rows": len(source.train),
        "fingerprint": source.fingerprint,
    }
    return "tuplet.cli.own:own?" + urlencode({"plan": json.dumps(found)})


def own(plan: str) -> Suite:
    """Build the suite of a user's data.

    Args:
        plan: JSON, as `described` writes it.

    Returns:
        The suite. Its data are read when a cell runs, and have to be those that the plan was made of.

    Raises:
        InputError: if the plan is damaged.

    Example:
        >>> from tuplet.bench.cell import load_suite
        >>> load_suite(described("digits", root=None, modalities=("fourier", "zernike"), target=None)).title
        modalities: fourier 76 (vector), zernike 47 (vector); target: label (10 classes); group: none
        'digits'
    """
    from tuplet.bench.suites.own import comparison

    found = parse_state(plan, _PLAN, where="suite.json: plan")
    fingerprint = found.pop("fingerprint")
    data, root = found.pop("data"), found.pop("root")
    modalities = tuple(found.pop("modalities"))
    load = partial(_same, data, root, modalities, fingerprint)
    return comparison(load, factory="tuplet.cli.own:own?" + urlencode({"plan": plan}), modalities=modalities, **found)


def _same(data: str, root: str, modalities: tuple[str, ...], fingerprint: str) -> Source:
    source = opened(data, Path(root) if root else None).select(modalities)
    if source.fingerprint != fingerprint:
        raise InputError(f"{data} has changed since this comparison began; start it anew with --fresh")
    return source
