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
from tuplet.audit._parts import decompose
from tuplet.audit._question import asked
from tuplet.audit.advice import Advice, advise
from tuplet.audit.pilots import STEPS, STRENGTHS, Pilot, pilot
from tuplet.data import Source
from tuplet.diagnose.similarity import similarity
from tuplet.information import PID
from tuplet.train._fits import LEAST
from tuplet.train._rows import ROWS, groups, some
from tuplet.train.config import TrainConfig
from tuplet.train.strength import strategic
from tuplet.types import Batch, Embeddings

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
        >>> from tuplet.datasets import blocks
        >>> found = audit(blocks.load(rows=300), seeds=(0, 1), strengths=(1.0,), steps=2, permutations=20, bootstrap=20)
        >>> found.pairs[0].pair, found.pairs[0].pilot.rows
        (('x1', 'x2'), 60)
    """
    began = time.perf_counter()
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
    )
    target, config, settings = question.target, question.config, question.settings
    source = source.labelled(target)
    kept = Kept(
        None if out is None else Path(out),
        {"source": source.name, "data": source.fingerprint, "target": target, **settings},
    )
    total = 3 * len(question.pairs) + (len(names) if len(names) > 2 else 0)
    done = 0

    def say(what: str) -> None:
        nonlocal done
        done += 1
        if report is not None:
            report(done, total, what)

    alone = cache(partial(_separate, source, target, steps, config))
    both = _labelled(source, target)
    flat = {k: both.inputs[k].flatten(1) for k in names}

    whole = torch.stack([both.present[k] for k in names]).all(dim=0)

    def parts(first: str, others: Sequence[str]) -> PID:
        here = torch.stack([both.present[k] for k in (first, *others)]).all(dim=0)
        return decompose(
            flat[first][here],
            torch.cat([flat[k][here] for k in others], dim=1),
            both.target[target][here],
            group=None if both.group is None else both.group[here],
            permutations=permutations,
            bootstrap=bootstrap,
        )

    rest, found = {}, []
    with kept:
        if len(names) > 2:
            for name in names if int(whole.sum()) >= LEAST["train"] + LEAST["val"] else ():
                others = [k for k in names if k != name]
                rest[name] = kept.get(f"rest {name!r}", partial(parts, name, others), DECOMPOSED, PID)
                say(f"{name} against the rest decomposed")
        for a, b in question.pairs:
            pid = kept.get(f"pid {a!r} {b!r}", partial(parts, a, [b]), DECOMPOSED, PID)
            say(f"{a} + {b} decomposed")
            tried = kept.get(
                f"pilot {a!r} {b!r}",
                partial(
                    pilot, source, (a, b), target=target, strengths=strengths, seeds=seeds, steps=steps, config=config
                ),
                TRIED,
                Pilot,
            )
            say(f"{a} + {b} tried")
            near = kept.get(f"similarity {a!r} {b!r}", partial(_compared, alone, a, b), COMPARED, _numbers)
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


def _labelled(source: Source, target: str) -> Batch:
    """Training and validation rows, at most 2 * ROWS of them, with the groups that the split keeps whole."""
    batches = [some(source.train), some(source.val)]
    gathered = [groups(source, b) for b in batches]
    return Batch(
        inputs={k: torch.cat([b.inputs[k] for b in batches]) for k in batches[0].inputs},
        present={k: torch.cat([b.present[k] for b in batches]) for k in batches[0].inputs},
        index=torch.cat([b.index for b in batches]),
        group=None if gathered[0] is None else torch.cat([g for g in gathered if g is not None]),
        target={target: torch.cat([b.target[target] for b in batches])},
    )


def _separate(source: Source, target: str, steps: int, config: TrainConfig) -> Embeddings:
    """Train every encoder alone, and embed validation rows."""
    size = min(config.batch_size, len(source.train))
    config = replace(config, epochs=-(-steps // (len(source.train) // size)), batch_size=size)
    return strategic(source, target=target, strength=0.0, config=config).embeddings["val"]


def _compared(alone: Callable[[], Embeddings], a: str, b: str) -> Numbers:
    emb = alone()
    here = torch.nonzero(emb.present[a] & emb.present[b])[:ROWS, 0]
    scores = similarity(emb.h[a][here], emb.h[b][here], k=min(10, len(here) - 1))
    found = {}
    for name, score in scores.items():
        low, high = (math.nan, math.nan) if score.null is None else (score.null.low, score.null.high)  # does not vary
        known = {"value": score.value, "chance": score.chance, "low": low, "high": high}
        found[name] = {k: v for k, v in known.items() if v is not None}
    return found


def _numbers(**found: dict[str, float | None]) -> Numbers:
    """Read similarities back: what is not defined is NaN."""
    return {metric: {k: math.nan if v is None else v for k, v in score.items()} for metric, score in found.items()}
