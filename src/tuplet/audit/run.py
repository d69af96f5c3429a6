"""`audit`: before training anything for real, ask whether and how strongly to align each pair of modalities."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from tuplet.audit._keep import COMPARED, DECOMPOSED, TRIED, Kept
from tuplet.audit._parts import Labels, Side, decompose
from tuplet.audit._question import asked
from tuplet.audit.advice import Advice, advise
from tuplet.audit.pilots import STEPS, STRENGTHS, Pilot, Pilots
from tuplet.data import Source
from tuplet.diagnose.similarity import similarity
from tuplet.functional._blocks import reuse_memory
from tuplet.information import PID
from tuplet.train._fits import LEAST
from tuplet.train.config import TrainConfig
from tuplet.types import Batch

Numbers = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class PairAudit:
    """What was found about one pair.

    Attributes:
        pair: the two modalities.
        pid: what they say about the target; ``unique1`` is of the first.
        similarity: metric -> ``value``, ``chance`` (unless only shuffles say it), ``low`` and ``high`` of shuffled pairs.
        pilot: a few short trainings.
        advice: what follows.
    """

    pair: tuple[str, str]
    pid: PID
    similarity: Numbers
    pilot: Pilot
    advice: Advice


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found about a source.

    Attributes:
        source: its name.
        data: its fingerprint.
        target: what was asked about.
        rows: number of rows per part.
        pairs: of modalities.
        rest: modality -> decomposition of it (first) against all others together (second); empty for two modalities.
        seconds: wall time of what was computed now; kept results cost nothing.
        settings: of the pilots.
    """

    source: str
    data: str
    target: str
    rows: dict[str, int]
    pairs: tuple[PairAudit, ...]
    rest: dict[str, PID] = field(repr=False)
    seconds: float
    settings: dict[str, Any]

    def __repr__(self) -> str:
        pairs = "; ".join(f"{' + '.join(p.pair)}: {p.advice.word}" for p in self.pairs)
        return f"Audit({self.source!r}; target {self.target}; {pairs}; tuplet.audit._report.summary explains it)"

    @property
    def plan(self) -> dict[tuple[str, str], float]:
        """Return the recommended strength of every pair that alignment helps."""
        return {p.pair: p.advice.strength for p in self.pairs if p.advice.strength > 0}


def audit(
    source: Source,
    *,
    target: str | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = STEPS,
    config: TrainConfig | None = None,
    permutations: int = 100,
    bootstrap: int = 60,
    folds: int | None = None,
    out: str | Path | None = None,
    report: Callable[[int, int, str], None] | None = None,
) -> Audit:
    """Ask whether and how strongly to align each pair of modalities.

    Args:
        source: paired data with a target. Test rows are not used.
        target: its name; ``"label"`` or the only one when left out.
        pairs: of modalities; all when left out.
        strengths: that the pilot tries; 0 is added.
        seeds: of the pilot's trainings, two or more.
        steps: of every training of the pilot; an audit speaks of trainings of that length, so give what you will train.
        config: of the pilot: batch size, learning rate, weight decay.
        permutations: of the target, for the nulls of the decomposition.
        bootstrap: resamples, for its intervals.
        folds: of the pilot, as in `pilot`: None chooses, and ``settings["folds"]`` says what.
        out: folder that keeps every finished piece, so that a stopped audit continues; None keeps nothing.
        report: called with pieces done, pieces in all, and what was done.

    Returns:
        The `Audit`: per pair the decomposition of what the two say about the target, the similarity of separately trained
        encoders, a pilot and the advice; for more than two modalities, each against all others.

    Raises:
        InputError: for an unknown target or pair, a folder that holds another audit, or too few rows.

    Notes:
        The decomposition is of what small models read from raw features of training and validation rows; a part counts if
        cluster codes find it too (`audit.parts.decompose`). What a modality holds but neither reads is missing from its own
        parts and looks unique to the other. The recommendation is about the accuracy of each modality's own encoder and
        head; if you need a shared space, for retrieval say, align in any case and read here what it costs. Experimental:
        ``benchmarks/recommendation.py`` says how often it is right.

    Source:
        Fang, Zhang, Chan (2026), To Align or Not to Align, for the question; the recommendation is this library's.

    Example:
        >>> from tuplet.simulators import blocks
        >>> found = audit(blocks.load(rows=300), seeds=(0, 1), strengths=(1.0,), steps=2, permutations=20, bootstrap=20)
        >>> found.pairs[0].pair, found.pairs[0].pilot.rows
        (('x1', 'x2'), 240)
    """
    began = time.perf_counter()
    reuse_memory()
    names = tuple(sorted(source.modalities))
    question = asked(
        source,
        target=target,
        pairs=pairs,
        strengths=strengths,
        seeds=seeds,
        steps=steps,
        config=config,
        permutations=permutations,
        bootstrap=bootstrap,
        folds=folds,
    )
    target, config, settings = question.target, question.config, question.settings
    source = source.labelled(target)
    kept = Kept(
        None if out is None else Path(out), {"source": source.name, "data": source.fingerprint, "target": target, **settings}
    )
    total = 3 * len(question.pairs) + (len(names) if len(names) > 2 else 0)
    done = 0

    def say(what: str) -> None:
        nonlocal done
        done += 1
        if report is not None:
            report(done, total, what)

    folds = settings["folds"]
    pilots = Pilots(source, target=target, strengths=strengths, seeds=seeds, steps=steps, config=config, folds=folds)
    both = replace(pilots.judging.rows, group=pilots.judging.units)
    side = cache(partial(_side, both, target))

    def parts(first: str, others: tuple[str, ...]) -> PID:
        here = _rows_with(both, (first, *others))
        return decompose(side((first,), here), side(others, here), permutations=permutations, bootstrap=bootstrap)

    rest, found = {}, []
    with kept:
        if len(names) > 2:
            for name in names if len(_rows_with(both, names)) >= LEAST["train"] + LEAST["val"] else ():
                others = tuple(k for k in names if k != name)
                rest[name] = kept.get(f"rest {name!r}", partial(parts, name, others), DECOMPOSED, PID)
                say(f"{name} against the rest decomposed")
        for a, b in question.pairs:
            pid = kept.get(f"pid {a!r} {b!r}", partial(parts, a, (b,)), DECOMPOSED, PID)
            say(f"{a} + {b} decomposed")
            tried = kept.get(f"pilot {a!r} {b!r}", partial(pilots.pilot, (a, b)), TRIED, Pilot)
            say(f"{a} + {b} tried")
            near = kept.get(f"similarity {a!r} {b!r}", partial(_compared, pilots, a, b), COMPARED, numbers)
            say(f"{a} + {b} compared")
            found.append(PairAudit((a, b), pid, near, tried, advise((a, b), pid, near, tried)))
    return Audit(
        source=source.name,
        data=source.fingerprint,
        target=target,
        rows={part: len(getattr(source, part)) for part in ("train", "val", "test")},
        pairs=tuple(found),
        rest=rest,
        seconds=time.perf_counter() - began,
        settings=settings,
    )


def _rows_with(batch: Batch, names: Sequence[str]) -> tuple[int, ...]:
    """List the rows that have all these modalities."""
    return tuple(torch.stack([batch.present[k] for k in names]).all(dim=0).nonzero()[:, 0].tolist())


def _side(both: Batch, target: str, names: tuple[str, ...], rows: tuple[int, ...]) -> Side:
    """Put some modalities of some rows beside each other."""
    at = torch.tensor(rows)
    labels = Labels(both.target[target][at], None if both.group is None else both.group[at])
    return Side(torch.cat([both.inputs[k][at].flatten(1) for k in names], dim=1), labels)


def _compared(pilots: Pilots, a: str, b: str) -> Numbers:
    """Compare the encoders that one fold trained without alignment, on the rows that it holds out."""
    present = pilots.judging.rows.present
    here = [(present[a] & present[b])[held].nonzero()[:, 0] for _, held in pilots.judging.parts]
    fold = max(range(len(here)), key=lambda f: len(here[f]))
    h = [pilots.alone(k)[2][fold][here[fold]] for k in (a, b)]
    scores = similarity(*h, k=min(10, len(h[0]) - 1))
    found = {}
    for name, score in scores.items():
        low, high = (math.nan, math.nan) if score.null is None else (score.null.low, score.null.high)  # does not vary
        known = {"value": score.value, "chance": score.chance, "low": low, "high": high}
        found[name] = {k: v for k, v in known.items() if v is not None}
    return found


def numbers(**found: dict[str, float | None]) -> Numbers:
    """Read similarities back: what is not defined is NaN."""
    return {metric: {k: math.nan if v is None else v for k, v in score.items()} for metric, score in found.items()}
