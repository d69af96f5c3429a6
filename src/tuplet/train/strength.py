"""`strategic`: train one encoder and one head per modality, aligned as strongly as asked; strength 0 is not aligned at all."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from tuplet.data import Modality, Source, Target
from tuplet.functional._measures import hits, shares_of_r2
from tuplet.model import AlignmentModel
from tuplet.model.embedding import embed
from tuplet.nets import Projection
from tuplet.nets.choice import WIDTHS
from tuplet.nets.choice import encoders as preset_encoders
from tuplet.objectives import Objective, Pairwise, Schedule, Sum
from tuplet.objectives.compose import Among
from tuplet.objectives.supervised import UnimodalTask
from tuplet.train._fits import check_threshold
from tuplet.train.config import TrainConfig
from tuplet.train.loop import Run, fit
from tuplet.types import Embeddings, InputError, one_of

Strength = float | Schedule | Mapping[tuple[str, str], float | Schedule] | Literal["validation"]
GRID = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Strengths tried by ``strength="validation"``: of the paper's grid for real data."""
UNCLIPPED = 1e30


@dataclass(frozen=True)
class StrategicRun:
    """Encoders trained on a task and aligned with a known strength.

    Attributes:
        run: how training went; holds the model.
        task: the heads, one per modality.
        strength: as it was given; the chosen number after ``"validation"``.
        metric: ``"accuracy"`` of classes or of a thresholded real target, or ``"r2"``; higher is better.
        scores: ``"val"`` and ``"test"`` -> modality -> the metric of that modality's own head, over rows that have it.
        chance: modality -> what a constant prediction reaches on test rows: the most frequent class, or 0.
        items: modality -> ``(n,)`` outcomes of test rows that average to the score, for paired intervals.
        embeddings: ``"val"`` and ``"test"`` -> ``h`` (what heads read) and ``z`` (what was aligned), for similarity.
        tried: strength -> mean validation score over modalities, after ``"validation"``.

    Example:
        >>> StrategicRun.__dataclass_fields__["metric"].type
        'str'
    """

    run: Run = field(repr=False)
    task: UnimodalTask = field(repr=False)
    strength: Strength
    metric: str
    scores: dict[str, dict[str, float]]
    chance: dict[str, float]
    items: dict[str, Tensor] = field(repr=False)
    embeddings: dict[str, Embeddings] = field(repr=False)
    tried: dict[float, float] = field(default_factory=dict)

    @property
    def model(self) -> AlignmentModel:
        """Return the trained model."""
        return self.run.model


def strategic(
    source: Source,
    *,
    modalities: Sequence[str] | None = None,
    target: str = "label",
    strength: Strength = 1.0,
    objective: Objective | None = None,
    config: TrainConfig | None = None,
    encoders: Callable[[str], nn.Module] | None = None,
    preset: Literal["small", "paper"] = "small",
    dim: int | None = None,
    projector: Literal["mlp", "none"] = "mlp",
    real: Literal["l1", "squared"] = "l1",
    threshold: float | None = None,
    grid: Sequence[float] = GRID,
    seed: int = 0,
) -> StrategicRun:
    r"""Train a task with one head per modality and add alignment of any strength.

    .. math:: L = \sum_m L_{\mathrm{task}}(W_m h_m, y) + \lambda L_{\mathrm{align}}(z_1, \dots, z_M)

    Args:
        source: paired data with a target.
        modalities: names of two or more; all when left out.
        target: what the heads predict.
        strength: :math:`\lambda \ge 0`; a `Schedule`; ``{("a", "b"): number or Schedule}`` for pairs, others being 0; or
            ``"validation"``: train with each strength of ``grid`` and keep the one with the best mean validation score over
            modalities, the smallest of equals.
        objective: what aligns; ``Pairwise(tau=0.07)`` when left out, the paper's InfoNCE (its temperature is unstated).
        config: how to train. ``clip`` and ``seed`` are not used: a gradient norm over all modalities would couple them.
        encoders: makes a modality's untrained encoder from its name, drawn from torch's generator, which is seeded by
            ``seed`` and the name before; encoders of ``preset`` when left out.
        preset: as in `tuplet.nets.encoders`.
        dim: width of preset encoders and of the projections; the preset's when left out.
        projector: ``"mlp"`` aligns a three-layer projection of ``h`` (the paper's real data), ``"none"`` ``h`` itself, which
            then needs one width (its synthetic data).
        real: loss of a real target, as in `UnimodalTask`.
        threshold: score a real target of one dimension by accuracy: prediction and truth on the same side of this number
            (the paper's MOSEI: 0, where neutral counts as negative).
        grid: strengths for ``"validation"``.
        seed: of weights and batches.

    Returns:
        The `StrategicRun`: scores per modality on validation and test rows, chance, and embeddings.

    Raises:
        InputError: naming the argument that does not fit.

    Notes:
        Strength 0 leaves the term out, and every modality's weights depend on ``seed`` and its own name only: the encoders
        then are, to the last bit, those that each would become alone, whoever its partners are. Random layers (dropout) are
        the exception, as they share one generator.

    Source:
        Fang, Zhang, Chan (2026), To Align or Not to Align, equations 3 to 5.

    Example:
        >>> from tuplet.data import SOURCES
        >>> run = strategic(
        ...     SOURCES["digits"](), modalities=("fourier", "zernike"), strength=0.5, config=TrainConfig(epochs=1)
        ... )
        >>> sorted(run.scores["test"]), run.metric, run.chance["fourier"]
        (['fourier', 'zernike'], 'accuracy', 0.1...)
    """
    one_of("projector", projector, ("mlp", "none"))
    source = source if modalities is None else source.select(modalities)
    if target not in source.targets:
        raise InputError(f"target is {target!r}, expected one of {sorted(source.targets)}")
    about = source.targets[target]
    check_threshold(threshold, target, about)
    source = source.labelled(target)
    config = config or TrainConfig()
    align = Pairwise(tau=0.07) if objective is None else objective

    def trained(strength: Strength, config: TrainConfig) -> StrategicRun:
        model, task = untrained(
            source, target=target, encoders=encoders, preset=preset, dim=dim, projector=projector, real=real, seed=seed
        )
        whole = weighted(task, strength, copy.deepcopy(align), tuple(source.modalities))
        settings = replace(config, clip=UNCLIPPED, seed=seed)
        run = fit(model, whole, train=source.train, val=source.val, config=settings)
        if run.stopped:
            raise KeyboardInterrupt  # half a training is no result
        return _scored(run, task, source, about, threshold, strength)

    if not isinstance(strength, str):
        return trained(strength, config)
    one_of("strength", strength, ("validation",))
    if not grid:
        raise InputError("grid is empty; give at least one strength to try")
    tried: dict[float, float] = {}
    best: StrategicRun | None = None
    for value in sorted({float(g) for g in grid}):
        run = trained(value, replace(config, out=config.out and config.out / f"strength-{value:g}"))
        tried[value] = sum(run.scores["val"].values()) / len(run.scores["val"])
        if best is None or tried[value] > max(v for k, v in tried.items() if k != value):
            best = run
    assert best is not None
    return replace(best, tried=tried)


def untrained(
    source: Source,
    *,
    target: str = "label",
    encoders: Callable[[str], nn.Module] | None = None,
    preset: Literal["small", "paper"] = "small",
    dim: int | None = None,
    projector: Literal["mlp", "none"] = "mlp",
    real: Literal["l1", "squared"] = "l1",
    seed: int = 0,
) -> tuple[AlignmentModel, UnimodalTask]:
    """Build what `strategic` trains, every modality's weights from a random stream of its own."""
    made, projections, widths = dict[str, nn.Module](), dict[str, nn.Module](), dict[str, int]()
    few = source.train[slice(0, 2)]
    for name in sorted(source.modalities):
        torch.manual_seed(_seed(seed, name))
        one = _One({name: source.modalities[name]})
        made[name] = preset_encoders(one, preset=preset, dim=dim)[name] if encoders is None else encoders(name)
        with torch.no_grad():
            training, shape = made[name].training, made[name].eval()(few.inputs[name]).shape
        made[name].train(training)
        widths[name] = int(shape[1])
        wide = WIDTHS[preset] if dim is None else dim
        projections[name] = nn.Identity() if projector == "none" else Projection(widths[name], wide)
    if projector == "none" and len(set(widths.values())) > 1:
        raise InputError(f"projector is 'none', but encoders are {widths} wide; make them equal, or set projector='mlp'")
    task = UnimodalTask(widths, source.targets[target].size, target=target, real=real)
    for name, head in task.heads.items():
        torch.manual_seed(_seed(seed, f"{name} head"))
        cast(nn.Linear, head).reset_parameters()
    return AlignmentModel(made, projections), task


@dataclass(frozen=True)
class _One:
    """A single modality, for the choice of its encoder."""

    modalities: Mapping[str, Modality]


def _seed(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4], "little")


def weighted(task: UnimodalTask, strength: Strength, align: Objective, names: Sequence[str]) -> Objective:
    """Add alignment to a task, as `strategic` does; what has strength 0 is left out."""
    parts: dict[tuple[str, ...], float | Schedule]
    if isinstance(strength, Mapping):
        parts = {tuple(pair): weight for pair, weight in strength.items()}
        for pair in parts:
            if len(set(pair)) != 2 or set(pair) - set(names):
                raise InputError(f"strength names the pair {pair}, expected two of {sorted(names)}")
    else:
        assert not isinstance(strength, str)
        parts = {(): strength}
    for weight in parts.values():
        ends = (weight.start, weight.end) if isinstance(weight, Schedule) else (weight,)
        if not all(0 <= w < math.inf for w in ends):
            raise InputError(f"strength is {weight}, expected a number >= 0")
    kept = [(w, Among(p, align) if p else align) for p, w in parts.items() if isinstance(w, Schedule) or w > 0]
    return Sum((1.0, task), *kept) if kept else task


def _scored(
    run: Run, task: UnimodalTask, source: Source, about: Target, threshold: float | None, strength: Strength
) -> StrategicRun:
    scores, embeddings, items = dict[str, dict[str, float]](), dict[str, Embeddings](), dict[str, Tensor]()
    accuracy = about.kind == "class" or threshold is not None
    for part in ("val", "test"):
        emb = embeddings[part] = embed(run.model, getattr(source, part))
        truth = emb.target[task.target]
        with torch.no_grad():
            found = task.cpu().predict(emb)
        for name, out in found.items():
            here = emb.present[name]
            y, guess = truth[here], out[here]
            if about.kind == "class":
                right = hits(guess, y)
            elif threshold is not None:
                right = ((guess > threshold) == (y.reshape(guess.shape) > threshold)).float()[:, 0]
            else:
                right = shares_of_r2(guess, y)
            items[name] = right
            scores.setdefault(part, {})[name] = float(right.double().mean())
    chance = {k: _constant(truth[emb.present[k]], about, threshold) for k in items}
    metric = "accuracy" if accuracy else "r2"
    return StrategicRun(run, task, strength, metric, scores, chance, items, embeddings)


def _constant(y: Tensor, about: Target, threshold: float | None) -> float:
    """Return what the best constant prediction reaches."""
    if about.kind == "class":
        return float(y.bincount().max()) / len(y)
    if threshold is None:
        return 0.0
    share = float((y > threshold).float().mean())
    return max(share, 1 - share)
