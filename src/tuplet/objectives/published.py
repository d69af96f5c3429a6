"""The one table of objectives: how each is built, its paper's settings, and what to try beside them.

Commands, suites, documentation and contract tests read it. A new objective is a file of its own, a line here and an oracle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tuplet.objectives.bottleneck import Bottleneck
from tuplet.objectives.cmc import CMC
from tuplet.objectives.comm import CoMM
from tuplet.objectives.compose import Objective
from tuplet.objectives.cone import Cone
from tuplet.objectives.gram import Gram
from tuplet.objectives.multi_view import MVDHEL, MVInfoNCE
from tuplet.objectives.one_vs_all import OneVsAll
from tuplet.objectives.pairwise import Pairwise
from tuplet.objectives.sigmoid_pairwise import SigmoidPairwise
from tuplet.objectives.structure import Structure
from tuplet.objectives.symile import Symile
from tuplet.objectives.transport import TransportConsistency
from tuplet.objectives.triangle import Triangle
from tuplet.objectives.uniformity import UniAlign
from tuplet.types import InputError

__all__ = [
    "CMC",
    "MVDHEL",
    "PUBLISHED",
    "Bottleneck",
    "CoMM",
    "Cone",
    "Gram",
    "MVInfoNCE",
    "OneVsAll",
    "Pairwise",
    "Published",
    "SigmoidPairwise",
    "Structure",
    "Symile",
    "TransportConsistency",
    "Triangle",
    "UniAlign",
    "build",
]
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Published:
    """One objective as it is compared and trained.

    Attributes:
        label: for people.
        make: builds it from the names of the modalities, the width of the embeddings and settings.
        paper: the paper's settings, or the author's program's; a bench's default row.
        trials: other settings that a bench tries on validation rows; as many for every objective.
        small: settings for small data, of `tuplet train`; None for a variant that only a bench has.
        tau: the setting that ``tuplet train --tau`` sets; empty for none.
        sizes: numbers of modalities that it is defined for, or affordable at; None for all.
        contrasts: whether it has negatives, so that groups and blocks apply.
        regularises: whether it is added to `Pairwise`; settings are then ``tau`` of Pairwise, its ``weight`` in the sum,
            and what `make` takes.
        note: one line for readers of a table.

    Source: the papers named in the objectives' own docstrings.

    Example:
        >>> PUBLISHED["gram"].label, PUBLISHED["gram"].paper
        ('GRAM', {'tau': 0.07})
    """

    label: str
    make: Callable[..., Objective]
    paper: Settings
    trials: tuple[Settings, ...]
    small: Settings | None = field(default_factory=dict)
    tau: str = "tau"
    sizes: tuple[int, ...] | None = None
    contrasts: bool = True
    regularises: bool = False
    note: str = ""

    def built(self, names: tuple[str, ...], dim: int, *, settings: Settings) -> Objective:
        """Build the objective, a regulariser beside Pairwise."""
        if not self.regularises:
            return self.make(names, dim, **settings)
        own = dict(settings)
        base = Pairwise(tau=own.pop("tau", 0.07))
        return base + float(own.pop("weight", 1.0)) * self.make(names, dim, **own)


def _row(
    label: str,
    kind: Callable[..., Objective],
    paper: float | Settings,
    *tried: float | Settings,
    fixed: Settings | None = None,
    **more: Any,
) -> Published:
    """Write a row whose objective takes its settings as arguments; a number is a temperature."""
    base, *trials = ({"tau": x} if isinstance(x, int | float) else x for x in (paper, *tried))
    always = fixed or {}
    return Published(label, lambda names, dim, **s: kind(**always, **s), base, tuple(trials), **more)


BETAS = ({"tau": 0.03, "beta": 0.3}, {"tau": 0.1, "beta": 1.0})
WIDTHS = tuple({"tau": round(math.sqrt(tau), 3)} for tau in (0.03, 0.1))
PUBLISHED: dict[str, Published] = {
    "pairwise": _row("Pairwise CLIP", Pairwise, 0.07, 0.03, 0.1),
    "pairwise_hub": _row(
        "Pairwise hub", Pairwise, 0.07, 0.03, 0.1, fixed={"pairs": "hub"}, small=None, note="every view with the first one only"
    ),
    "sigmoid": _row(
        "Pairwise sigmoid",
        SigmoidPairwise,
        0.1,
        0.03,
        0.07,
        note="SigLIP for any number of views; the bias is learned, the temperature is not",
    ),
    "cmc": _row("CMC", CMC, 0.1, 0.03, 0.07, note="NT-Xent: negatives from both views of a pair"),
    "mv_infonce": _row("MV-InfoNCE", MVInfoNCE, 0.1, 0.03, 0.07, note="one logarithm per tuple, pairs pooled inside it"),
    "mv_dhel": _row("MV-DHEL", MVDHEL, 0.2, 0.1, 0.4, note="pull of whole tuples, spread of each view apart"),
    "bottleneck": _row("Pairwise + IB", Bottleneck, {"tau": 0.07, "beta": 1.0}, *BETAS),
    "symile": _row("Symile", Symile, 0.07, 0.03, 0.1, note="n negatives"),
    "symile_n_squared": _row(
        "Symile all tuples",
        Symile,
        0.07,
        0.03,
        0.1,
        fixed={"negatives": "n_squared"},
        small=None,
        sizes=(3,),
        note="all B^(M-1) negatives; affordable with three views",
    ),
    "gram": _row("GRAM", Gram, 0.07, 0.03, 0.1),
    "gram_penalised": _row(
        "GRAM + sign",
        Gram,
        0.07,
        0.03,
        0.1,
        fixed={"sign": "penalise"},
        small=None,
        note="opposite matches cost: GRAM alone is blind to sign",
    ),
    "triangle": _row("TRIANGLE", Triangle, 0.07, 0.03, 0.1, sizes=(3,)),
    "one_vs_all": _row("OVA-IB", OneVsAll, {"tau": 0.01, "beta": 1.0}, *BETAS, small={"tau": 0.1}),
    "one_vs_all_sufficiency": _row(
        "OVA-IB beta 0", OneVsAll, 0.01, 0.03, 0.1, fixed={"beta": 0.0}, small=None, note="without minimality: blind to sign"
    ),
    "one_vs_all_penalised": _row(
        "OVA-IB + sign",
        OneVsAll,
        {"tau": 0.01, "beta": 1.0},
        *BETAS,
        fixed={"sign": "penalise"},
        small=None,
        note="opposite matches cost: OVA-IB alone is blind to sign",
    ),
    "cone": _row("Cone (ours)", Cone, 0.1, 0.05, 0.2, note="against the best non-negative mixture of the other views"),
    "uni_align": _row(
        "UniAlign",
        UniAlign,
        0.07,
        *WIDTHS,
        small={"temperature": 0.1},
        tau="temperature",
        note="Hoelder weights; its tau is a bandwidth, the root of a temperature",
    ),
    "structure": _row(
        "Pairwise + structure",
        Structure,
        {"tau": 0.07, "weight": 1.0},
        {"tau": 0.03, "weight": 1.0},
        {"tau": 0.07, "weight": 10.0},
        small={"weight": 10.0},
        contrasts=False,
        regularises=True,
        note="UniOMA's regulariser with the identity coupling, added to Pairwise CLIP",
    ),
    "transport": _row(
        "OT consistency",
        TransportConsistency,
        {"epsilon": 0.05},
        {"epsilon": 0.1},
        {"epsilon": 0.2},
        tau="",
        contrasts=False,
        note="entropic transport between batches, a loop of plans; epsilon smooths them as a temperature does",
    ),
    "comm": Published(
        "CoMM",
        CoMM,
        {"tau": 0.1},
        ({"tau": 0.03}, {"tau": 0.07}),
        note="a small fusion transformer is trained with it, on two noisy views of the inputs",
    ),
}
"""Short name -> objective. Settings for small data are those that did best on the digits' validation rows."""


def build(name: str, names: tuple[str, ...], dim: int, *, tau: float | None = None) -> Objective:
    """Build an objective by its short name, with its settings for small data.

    Args:
        name: a key of `PUBLISHED` that has such settings.
        names: of the modalities.
        dim: width of the embeddings.
        tau: temperature; the objective's own when left out.

    Returns:
        The objective.

    Raises:
        InputError: for an unknown name, or a temperature for an objective without one.

    Example:
        >>> type(build("gram", ("a", "b", "c"), 8, tau=0.2)).__name__
        'Gram'
    """
    row = PUBLISHED.get(name)
    if row is None or row.small is None:
        known = sorted(k for k, p in PUBLISHED.items() if p.small is not None)
        raise InputError(f"objective is {name!r}, expected one of {known}")
    if tau is not None and not row.tau:
        raise InputError(f"tau is {tau:g}, but {name} has no temperature; leave it out")
    given = {} if tau is None else {row.tau: tau}
    return row.built(names, dim, settings={**row.small, **given})
