"""Everything at once: probes, subsets and retrieval of one trained model, as plain results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuplet.data import Source
from tuplet.diagnose import centroid_gap, effective_rank, positive_cosine
from tuplet.evaluate._units import by_group, unit_ids
from tuplet.evaluate.features import pixels
from tuplet.evaluate.probe import few_shot_probe, linear_probe, mlp_probe
from tuplet.evaluate.retrieval import Score, mean_cosine, retrieve
from tuplet.evaluate.subset import joined, subset_probes, subsets
from tuplet.frames import Listed
from tuplet.model import AlignmentModel
from tuplet.model.embedding import embed
from tuplet.types import Embeddings, InputError, Loss


@dataclass(frozen=True, slots=True)
class Result:
    """One number of an evaluation.

    Attributes:
        metric: ``probe/linear``, ``probe/mlp``, ``probe/few_shot`` (and, of unequal classes, ``probe/linear/balanced`` and
            ``probe/linear/auroc``), ``subset``, ``retrieval/own/R@1``, ``retrieval/cosine/mAP``, ``cosine/mean`` ...
        value: its value.
        detail: the subset or direction it belongs to (``a+b``, ``a+b->c``), ``mean`` over directions, or empty.
        higher: whether higher is better.
        chance: value without information, or None where that has no meaning.
        pool: number of candidates, or of test rows.
        items: one value per test row or query, or per group of them where the source has groups, whose rows are no independent
            draws; for paired statistics, empty where there are none.
    """

    metric: str
    value: float
    detail: str = ""
    higher: bool = True
    chance: float | None = None
    pool: int = 0
    items: tuple[float, ...] = field(default=(), repr=False)


def evaluate(
    model: AlignmentModel,
    objective: Callable[[Embeddings], Loss] | None,
    source: Source,
    *,
    target: str | None = None,
    part: Literal["train", "val", "test"] = "test",
    which: Sequence[tuple[str, ...]] | None = None,
    relevance: str = "instance",
) -> Listed[Result]:
    """Evaluate a trained model on a source's test rows.

    Args:
        model: embeds the three parts of the source.
        objective: gives its own retrieval score, if it has one; None for none.
        source: training rows fit the probes, validation rows choose the MLP probe's epoch, test rows are scored once.
        target: what the probes predict; the source's only target when left out, and no probes if it has none.
        part: rows to retrieve among and to describe the space of; ``"train"`` shows whether training worked at all.
        which: the modality subsets; all 2^M - 1 when left out.
        relevance: as in `retrieve`.

    Returns:
        The results, a list; ``.to_frame()`` makes a pandas frame of it. Retrieval is leave-one-out: each modality from all the
        others and back.

    Raises:
        InputError: if the source has no such target, or several and none is named.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = torch.randn(100, 3).numpy()
        >>> source = from_arrays({"a": x, "b": x}, targets={"label": x[:, 0] > 0})
        >>> model = AlignmentModel.mlp({"a": (3,), "b": (3,)}, dim=4)
        >>> {r.metric.split("/")[0] for r in evaluate(model, None, source)} == {"probe", "subset", "retrieval", "space"}
        True
    """
    parts = {name: embed(model, getattr(source, name)) for name in ("train", "val", "test")}
    own = getattr(objective, "score", None)
    name = target_of_probes(source, target)
    return Listed[Result](
        (
            *(
                probe_results(*[(e.h, e.target[name]) for e in parts.values()], which=which, groups=unit_ids(source, "test"))
                if name
                else ()
            ),
            *retrieval_results(
                parts[part],
                {"cosine": mean_cosine} | ({"own": own} if own else {}),
                relevance=relevance,
                groups=unit_ids(source, part),
            ),
            *space_results(parts[part]),
        )
    )


def evaluate_inputs(
    source: Source, *, target: str | None = None, which: Sequence[tuple[str, ...]] | None = None
) -> Listed[Result]:
    """Evaluate the scaled inputs themselves: what probes read without any encoder.

    Args:
        source: as in `evaluate`.
        target: what the probes predict.
        which: the modality subsets; all when left out.

    Returns:
        Probe and subset results if there is a target; retrieval by cosine if all modalities have equally many numbers, as
        pictures of one size do. Other inputs have nothing to be compared by.

    Raises:
        InputError: if the source has no such target, or nothing to measure.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = torch.randn(100, 3).numpy()
        >>> source = from_arrays({"a": x, "b": x}, targets={"label": x[:, 0] > 0})
        >>> evaluate_inputs(source)[0].metric
        'probe/linear'
    """
    name = target_of_probes(source, target)
    parts = [pixels(rows, size=1 << 30) for rows in (source.train, source.val, source.test)]
    groups = unit_ids(source, "test")
    probed = probe_results(*[(p.x, p.target[name]) for p in parts], which=which, groups=groups) if name else []
    test, same = parts[-1], len({x.shape[1] for x in parts[-1].x.values()}) == 1
    found = (
        retrieval_results(Embeddings.of(test.x, present=test.present), {"cosine": mean_cosine}, groups=groups) if same else []
    )
    if not probed and not found:
        raise InputError(f"{source.name} has no target; inputs of different shapes have nothing else to compare")
    return Listed[Result]([*probed, *found])


def probe_results(
    train: tuple[Mapping[str, Tensor], Tensor],
    val: tuple[Mapping[str, Tensor], Tensor],
    test: tuple[Mapping[str, Tensor], Tensor],
    *,
    which: Sequence[tuple[str, ...]] | None = None,
    groups: Tensor | None = None,
) -> list[Result]:
    """Run the three probes on all modalities, and the linear one on every subset."""
    if groups is not None and not test[1].is_floating_point():
        groups = groups[test[1] >= 0]
    train, val, test = _labelled(train), _labelled(val), _labelled(test)
    names = sorted(train[0])
    flat = [(joined(h, names), y) for h, y in (train, val, test)]
    by_subset = subset_probes(train, test, which=which or subsets(names))
    whole = tuple(names)
    y = flat[0][1]
    shots = 3 if y.is_floating_point() else min(3, int(y.bincount()[y].min()))  # or what the smallest class has
    found = {
        "probe/linear": by_subset[whole] if whole in by_subset else linear_probe(flat[0], flat[2]),
        "probe/mlp": mlp_probe(flat[0], flat[1], flat[2]),
        "probe/few_shot": few_shot_probe(flat[0], flat[2], shots=shots),
    }
    rows = [(metric, "", probe, True) for metric, probe in found.items()]
    rows += [("subset", "+".join(subset), probe, False) for subset, probe in by_subset.items()]
    beside = [
        Result(f"{metric}/{k}", v, chance=0.5 if k == "auroc" else 1 / len(np.unique(test[1])), pool=len(p.items))
        for metric, p in found.items()
        for k, v in p.beside.items()
    ]
    return beside + [
        Result(metric, p.value, detail, p.metric == "accuracy", p.chance, len(p.items), _items(p.items, groups) if keep else ())
        for metric, detail, p, keep in rows
    ]


def retrieval_results(
    emb: Embeddings, scores: Mapping[str, Score], *, relevance: str = "instance", groups: Tensor | None = None
) -> list[Result]:
    """Retrieve each modality from all the others, and all the others from each."""
    directions = []
    for name in emb.modalities:
        rest = tuple(k for k in emb.modalities if k != name)
        directions += [(rest, (name,))] + ([((name,), rest)] if len(rest) > 1 else [])
    directions = [d for d in directions if bool(torch.stack([emb.present[k] for k in d[0] + d[1]]).all(dim=0).any())]
    results = []
    if groups is not None:  # where there are items, every direction has the rows that have all modalities
        groups = groups[torch.stack([emb.present[k].cpu() for k in emb.modalities]).all(dim=0)]
    for kind, score in scores.items():
        if not directions:  # no row has what a direction needs
            break
        runs = {f"{'+'.join(q)}->{'+'.join(c)}": retrieve(emb, q, c, score=score, relevance=relevance) for q, c in directions}
        for metric in next(iter(runs.values())).values:
            higher, key = metric not in ("MdR", "MnR"), f"retrieval/{kind}/{metric}"
            results += [Result(key, r.values[metric], d, higher, r.chance[metric], r.pool) for d, r in runs.items()]
            value, chance = (float(np.mean([getattr(r, f)[metric] for r in runs.values()])) for f in ("values", "chance"))
            same = len({r.queries for r in runs.values()}) == 1
            items = _items(np.mean([r.items[metric] for r in runs.values()], axis=0), groups) if same and higher else ()
            results.append(Result(key, value, "mean", higher, chance, max(r.pool for r in runs.values()), items))
    return results


def space_results(emb: Embeddings) -> list[Result]:
    """Describe the embedding space itself; nothing of a part in which no row has two modalities."""
    if not bool((torch.stack(list(emb.present.values())).sum(dim=0) > 1).any()):
        return []
    cosines = positive_cosine(emb)
    ranks = [effective_rank(emb.z[k][here]) for k, here in emb.present.items() if bool(here.any())]
    return [
        Result("space/positive_cosine", float(cosines.mean()), pool=len(emb)),
        Result("space/positive_cosine_5%", float(torch.quantile(cosines, 0.05)), pool=len(emb)),
        Result("space/centroid_gap", centroid_gap(emb), higher=False, pool=len(emb)),
        Result("space/effective_rank", float(np.mean(ranks)), pool=len(emb)),
    ]


def _labelled(part: tuple[Mapping[str, Tensor], Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
    """Leave out the rows without a class."""
    h, y = part
    if y.is_floating_point() or bool((y >= 0).all()):
        return part
    return {k: v[y >= 0] for k, v in h.items()}, y[y >= 0]


def target_of_probes(source: Source, name: str | None) -> str | None:
    """Return the target to probe; None if there is none."""
    if name is None and len(source.targets) < 2:
        return next(iter(source.targets), None)
    if name not in source.targets:
        raise InputError(f"target is {name!r}, but {source.name} has {sorted(source.targets)}; name one of them")
    return name


def _items(values: NDArray[np.float64], groups: Tensor | None) -> tuple[float, ...]:
    per_unit = values if groups is None else by_group(values, groups)
    return tuple(round(float(v), 5) for v in per_unit)
